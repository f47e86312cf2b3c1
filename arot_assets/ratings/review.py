"""A review: a folder with pictures and a table, or a queue of groups, that lenslet opens.

Belongs here: choosing samples, their pictures, what lenslet reads, and the sources by which the answers come back. Does not
belong here: Label Studio (``review_tasks.py``), starting tools (``cli/review.py``), reading answers (``sources/``), what to rate
next (``queue.py``).

Pictures are named ``<sample_id>.jpg``, ``<sample_id>.2.jpg`` for one that is shown again, so that every answer says which sample
it is about, whatever becomes of the dataset meanwhile.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from arot_assets.datasets.places import place_of
from arot_assets.media.file import DecodeError
from arot_assets.names import ascii_word
from arot_assets.ratings.declaration import RatingsDeclaration, ScaleRule, SourceRule
from arot_assets.ratings.reviews import reviews_folder, write_sources
from arot_assets.ratings.said import RatingsError
from resources.storage import Storage, StorageError
from resources.warehouse import Connection, Warehouse
from resources.warehouse.views import literal, quote

SIDE = 1024
"""Longer side of a picture, in pixels."""
STARS = ScaleRule(low=1, high=5)
ITEMS, QUEUE = "items.parquet", "queue.json"
MOST_COLUMNS = 40
"""Of metrics; the tool draws a histogram of each."""


@dataclass(frozen=True)
class Review:
    """A review that is ready to be opened.

    Attributes:
        folder: with everything in it.
        opens: the file that the tool opens.
        samples: how many pictures there are.
        left_out: samples whose file could not be read, and why.
    """

    folder: Path
    opens: Path
    samples: int
    left_out: Mapping[str, str]


def choose(con: Connection, declaration: RatingsDeclaration, limit: int, subset: str = "") -> list[str]:
    """The samples of a review: of a subset, or of the dataset, those with the fewest ratings first.

    Raises:
        RatingsError: the subset cannot be read, or is empty.
    """
    import duckdb

    dataset, name = declaration.dataset, declaration.name
    rated = (
        f"select sample_id, n from {quote(name)}.scale"
        if con.has(name, "scale")
        else "select '' as sample_id, 0 as n where false"
    )
    among = f"and sample_id in (select sample_id from {quote(subset)})" if subset else ""
    query = f"""select sample_id from {quote(dataset)}.samples left join ({rated}) r using (sample_id)
        where status = 'ok' {among} order by coalesce(r.n, 0), hash(sample_id), sample_id limit {limit}"""
    try:
        found = [str(sample) for (sample,) in con.execute(query).fetchall()]
    except duckdb.Error as error:
        said = str(error).partition("\n")[0]
        remedy = f"`arot run` makes '{subset}'" if subset else f"run `arot run {dataset}` first"
        raise RatingsError(f"{name}: what to review cannot be chosen: {said}; {remedy}") from error
    if not found:
        raise RatingsError(f"{name}: there is nothing to review; is '{subset or dataset}' empty? `arot run {dataset}`")
    return found


def make_review(
    storage: Storage,
    warehouse: Warehouse,
    declaration: RatingsDeclaration,
    samples: Sequence[str],
    rater: str,
    group: int = 1,
) -> Review:
    """Write the pictures, and the table or queue that lenslet opens.

    Args:
        storage: reaches the files.
        warehouse: over the store.
        declaration: the ratings.
        samples: in the order in which they are shown; one that is named twice is shown twice.
        rater: whose answers they will be.
        group: 1 for single pictures; 2 for pairs, more for rankings: so many are shown side by side.

    Raises:
        RatingsError: no picture can be read.
        StorageError: the folder cannot be written.
    """
    folder = new_folder(declaration.name, rater)
    names, left_out = pictures(storage, warehouse, declaration.dataset, samples, folder / "images")
    if not names:
        raise RatingsError(
            f"{declaration.name}: none of {len(samples):,} samples can be shown: {next(iter(left_out.values()))}"
        )
    source: dict[str, Any] = {"by": "id", "rater_name": rater}
    label = f"review_{ascii_word(folder.name).lower()}"
    if group == 1:
        opens = folder / ITEMS
        log = f"{opens}.lenslet.labels.log.jsonl"
        pq.write_table(_table(warehouse, declaration.dataset, names), opens)
        sources = [
            SourceRule(name=f"{label}_stars", type="lenslet", file=log, kind="score", scale=STARS, **source),
            SourceRule(name=f"{label}_tags", type="lenslet", file=log, kind="labels", **source),
        ]
    else:
        opens = folder / QUEUE
        groups = side_by_side(names, group, left_out)
        queue = [
            {"instance_id": f"{folder.name}-{n}", "images": [f"images/{file}" for file, _ in one]}
            for n, one in enumerate(groups, 1)
        ]
        opens.write_text(json.dumps(queue), encoding="utf-8")
        results = str(folder / ".lenslet" / "ranking" / "queue.results.jsonl")
        kind = "pair" if group == 2 else "ranking"
        sources = [SourceRule(name=label, type="lenslet_ranking", file=results, kind=kind, **source)]  # type: ignore[arg-type]
    write_sources(folder, sources)
    return Review(folder, opens, len(names) if group == 1 else group * len(groups), left_out)


def new_folder(name: str, rater: str) -> Path:
    folder = reviews_folder(name) / f"{ascii_word(rater).lower()}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    (folder / "images").mkdir(parents=True)
    return folder


def pictures(
    storage: Storage, warehouse: Warehouse, dataset: str, samples: Sequence[str], folder: Path
) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Write the pictures; gives (file, sample) in order, and the samples without a picture with the reason."""
    from PIL import Image

    with warehouse.connect() as con:
        con.register("to_show", pa.table({"sample_id": pa.array(sorted(set(samples)), pa.string())}))
        found = con.execute(
            f"select sample_id, uri from {quote(dataset)}.samples semi join to_show using (sample_id) where status = 'ok'"
        ).fetchall()
    uris = dict(found)
    place = place_of(storage, warehouse, dataset, list(uris))
    files = place.files({uri: sample for sample, uri in uris.items()})
    names, left_out, times = [], {}, Counter[str]()
    for sample in samples:
        times[sample] += 1
        file = f"{sample}.jpg" if times[sample] == 1 else f"{sample}.{times[sample]}.jpg"
        if sample in left_out:
            continue
        if sample not in uris:
            left_out[sample] = f"no sample of '{dataset}'"
            continue
        try:
            poster = place.medium.poster(files(uris[sample]), SIDE)
        except (StorageError, DecodeError) as error:
            left_out[sample] = str(error)
            continue
        Image.fromarray(poster).save(folder / file, "JPEG", quality=90)
        names.append((file, sample))
    return names, left_out


def side_by_side(names: Sequence[tuple[str, str]], group: int, left_out: dict[str, str]) -> list[list[tuple[str, str]]]:
    """Groups of (file, sample), in order and without a sample twice; what is left over at the end is added to ``left_out``.

    Raises:
        RatingsError: there are too few for one group.
    """
    found: list[list[tuple[str, str]]] = []
    waiting = list(names)
    while waiting:
        one: list[tuple[str, str]] = []
        for name in waiting:
            if len(one) < group and name[1] not in {sample for _, sample in one}:
                one.append(name)
        if len(one) < group:
            break
        found.append(one)
        waiting = [name for name in waiting if name not in one]
    if not found:
        raise RatingsError(f"{len(waiting)} images are too few for groups of {group}; choose more with --limit")
    left_out |= {sample: f"nothing is left to show beside it in groups of {group}" for _, sample in waiting}
    return found


def _table(warehouse: Warehouse, dataset: str, names: Sequence[tuple[str, str]]) -> pa.Table:
    """A row a picture: where it is, its sample, the numbers and short texts of ``wide``, and vectors for similarity.

    The first to be shown is the last row: the tool takes rows to be added one after the other, and shows the newest first.
    """
    given = pa.table(
        {
            "source": [f"images/{file}" for file, _ in names],
            "path": [file for file, _ in names],
            "sample_id": [sample for _, sample in names],
            "place": pa.array(range(len(names)), pa.int64()),
        }
    )
    with warehouse.connect() as con:
        columns = con.execute(
            f"""select column_name, data_type from duckdb_columns() where schema_name = {literal(dataset)} and table_name = 'wide'
            and (data_type in ('DOUBLE', 'FLOAT', 'BIGINT', 'INTEGER', 'BOOLEAN') or column_name in ('caption', 'tags')
            or data_type like 'FLOAT[%]' or data_type like 'HALF%[%]')
            and column_name not in ('sample_id', 'source', 'path', 'place') order by column_index limit {MOST_COLUMNS}"""
        ).fetchall()
        picked = "".join(
            f", w.{quote(name)}::float[] as {quote(name)}"
            if kind.endswith("]") and name != "tags"
            else f", w.{quote(name)}"
            for name, kind in columns
        )
        con.register("shown", given)
        table = con.execute(
            f"""select s.*{picked} from shown s left join {quote(dataset)}.wide w
            on w.sample_id = s.sample_id and w.status = 'ok' order by s.place desc"""
        ).to_arrow_table()
    return _fixed(table).drop_columns(["place"])


def _fixed(table: pa.Table) -> pa.Table:
    """Vectors of one length as lists of fixed size, which the tool searches by similarity."""
    for n, field in enumerate(table.schema):
        if not pa.types.is_list(field.type) or not pa.types.is_floating(field.type.value_type):
            continue
        lengths = {len(vector) for vector in table[field.name].to_pylist() if vector is not None}
        if len(lengths) == 1:
            fixed = table[field.name].cast(pa.list_(pa.float32(), lengths.pop()))
            table = table.set_column(n, field.name, fixed)
    return table
