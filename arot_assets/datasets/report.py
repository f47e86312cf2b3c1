"""What users see of a shard of samples: failures by reason, and a contact sheet.

Belongs here: selecting and preparing what is shown. Does not belong here: drawing (``drawing.py``), Dagster.
"""

from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.datasets.places import Place
from arot_assets.media.file import DecodeError
from arot_assets.reasons import general
from resources.storage import StorageError

SHEET_POSTERS = 24
SHEET_COLUMNS = 8
TILE = 96
FAILURES_SHOWN = 20


def failure_table(samples: pa.Table) -> list[dict[str, Any]]:
    """Rows that are not ok by status and reason, with one example each; at most ``FAILURES_SHOWN`` reasons."""
    bad = samples.filter(pc.not_equal(samples["status"], "ok")).select(["status", "reason", "uri"]).to_pylist()
    counts = Counter((r["status"], _general(r)) for r in bad)
    example = {(r["status"], _general(r)): r["uri"] for r in reversed(bad)}
    return [
        {"rows": rows, "status": status, "reason": reason, "for example": _short(example[status, reason])}
        for (status, reason), rows in counts.most_common(FAILURES_SHOWN)
    ]


def _short(uri: str) -> str:
    """The file name with its folder: a whole URI would leave no room for the reason."""
    return "/".join(uri.rsplit("/", 2)[-2:])


def _general(row: dict[str, Any]) -> str:
    """The reason without the names of objects, so that one cause counts as one reason."""
    return "same bytes as another object" if row["status"] == "duplicate" else general(str(row["reason"]))


def sample_sheet(place: Place, samples: pa.Table) -> str | None:
    """A contact sheet of ok samples spread evenly over the shard, as Markdown with an inline JPEG; None without any.

    Args:
        place: of the dataset.
        samples: rows of the shard.
    """
    from arot_assets.drawing import contact_sheet, data_uri

    ok = samples.filter(pc.equal(samples["status"], "ok"))
    uris = ok["uri"].to_pylist()
    files = place.files(dict(zip(uris, ok["sample_id"].to_pylist(), strict=True)))
    step = max(1, -(-len(uris) // SHEET_POSTERS))
    posters, names = [], []
    for uri in uris[::step]:
        try:
            posters.append(place.medium.poster(files(uri), TILE))
        except (StorageError, DecodeError):
            continue  # it disappeared or changed since it was read; the next listing will report it
        names.append(uri.rsplit("/", 1)[-1])
    if not posters:
        return None
    return f"![contact sheet]({data_uri(contact_sheet(posters, names, columns=SHEET_COLUMNS, tile=TILE))})"
