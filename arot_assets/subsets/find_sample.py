"""Which sample a user means: by the beginning of its id, its address, or the name of its file.

Belongs here: finding it in the datasets that a model reads. Does not belong here: what is told about it (``explain.py``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from arot_assets.errors import ProjectError
from resources.warehouse import Connection
from resources.warehouse.views import literal, quote

SHORTEST_PREFIX = 4
MOST_SHOWN = 10


@dataclass(frozen=True)
class SampleMatch:
    """A sample that matches the user's input."""

    dataset: str
    sample_id: str
    uri: str
    notes: tuple[str, ...]


def find_sample(con: Connection, datasets: Sequence[str], sample: str) -> SampleMatch:
    """The one sample that ``sample`` identifies: a sample_id or its beginning, a URI, a file name or the end of a path.

    Raises:
        ProjectError: there is none, or there are several.
    """
    is_prefix = len(sample) >= SHORTEST_PREFIX and all(c in "0123456789abcdef" for c in sample.lower())
    rows: list[tuple[str, str | None, str, str, str | None]] = []
    listed = con.execute("select table_schema from information_schema.tables where table_name = 'samples'").fetchall()
    for dataset in datasets:
        if (dataset,) not in listed:
            raise ProjectError(f"dataset '{dataset}' has no samples yet; `arot run {dataset}` creates them")
        rows += con.execute(
            f"""select {literal(dataset)}, sample_id, uri, status, duplicate_of from {quote(dataset)}.samples
            where uri = $1 or ends_with(uri, '/' || $1) or ($2 and starts_with(sample_id, lower($1)))
            order by (status = 'ok') desc, uri""",
            [sample, is_prefix],
        ).fetchall()
    exact = [r for r in rows if sample in (r[1], r[2])]
    rows = exact or rows
    if not rows:
        raise ProjectError(
            f"no sample '{sample}' in {', '.join(datasets)}; pass at least {SHORTEST_PREFIX} digits of a sample_id, a URI or a "
            'file name (arot sql "select sample_id, uri from …samples" lists them)'
        )
    identities = {r[1] or r[2] for r in rows}
    if len(identities) > 1:
        shown = "; ".join(f"{r[1] or '(unread)'} {r[2]}" for r in rows[:MOST_SHOWN])
        more = f" and {len(rows) - MOST_SHOWN} more" if len(rows) > MOST_SHOWN else ""
        raise ProjectError(
            f"'{sample}' matches {len(identities)} samples: {shown}{more}; pass more of the sample_id or the URI"
        )
    dataset, sample_id, uri, status, duplicate_of = min(rows, key=lambda r: r[3] != "ok")
    notes: tuple[str, ...] = ()
    if status == "duplicate":
        notes = (f"{uri} has the same bytes as {duplicate_of}; a sample is its content, so this applies to both",)
    for other in dict.fromkeys(r[0] for r in rows if r[0] != dataset):
        place = next(r[2] for r in rows if r[0] == other)
        notes += (
            f"the same bytes are also in {other}: {place}; of a sample's rows, the one that passes most predicates is shown",
        )
    if sample_id is None:
        raise ProjectError(f"{uri} could not be read (status {status}), so it has no sample_id and is in no subset")
    return SampleMatch(dataset, sample_id, uri, notes)
