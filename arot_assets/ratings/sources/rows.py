"""Ratings in tables: CSV, TSV, Parquet and JSONL, one rating a row, a column a rater, or a row a member of a ranking.

Belongs here: rows of a file as ``Statement``. Does not belong here: files that tools write (``lenslet.py``, ``label_studio.py``).
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from arot_assets.errors import did_you_mean
from arot_assets.ratings.declaration import CATEGORY, LABELS, PAIR, RANKING, SCORE, SourceRule
from arot_assets.ratings.said import RatingsError, Statement, counted, number_of, text_of, time_of, value_of, winner_of
from resources.storage import Storage

Row = Mapping[str, Any]


def read_table(storage: Storage, source: SourceRule) -> Iterator[Statement]:
    """What a table says.

    Raises:
        RatingsError: it is no such table, or lacks a column.
        StorageError: it cannot be read.
    """
    columns, rows = _rows(storage, source)
    _require(columns, source)
    key = (lambda text: text) if source.again == "correction" else counted(())
    if source.kind == RANKING:
        yield from _rankings(rows, source)
    for row in rows if source.kind != RANKING else ():
        for rater, column in _cells(row, source):
            items: tuple[str, ...]
            if source.kind == PAIR:
                items = (text_of(row[source.left]), text_of(row[source.right]))
            else:
                items = (text_of(row[source.item]),)
            own = text_of(row[source.row_id]) if source.row_id else ""
            session = text_of(row.get(source.session))
            said_key = json.dumps([rater, own]) if own else key(json.dumps([rater, session, *items]))
            yield _said(row, source, said_key, rater, items, column)


def _said(row: Row, source: SourceRule, key: str, rater: str, items: tuple[str, ...], column: str) -> Statement:
    score: float | None = None
    labels: tuple[str, ...] = ()
    ranks: tuple[int, ...] = ()
    if source.kind == PAIR:
        ranks, fault = winner_of(row[source.winner], items[0], items[1])
    else:
        score, labels, fault = value_of(source.kind, row[column], source.separator)
    if not all(items):
        fault = "the row names no sample"
    rated_at, note = time_of(row.get(source.time), source.timezone)
    return Statement(
        key, source.kind, items, rater, score, labels, ranks, rated_at,
        number_of(row.get(source.duration)), text_of(row.get(source.session)), fault, note,
    )  # fmt: skip


def _cells(row: Row, source: SourceRule) -> Iterator[tuple[str, str]]:
    """The raters of a row, each with the column of the value; empty cells of the wide form say nothing."""
    if not source.raters:
        yield source.rater_name or (text_of(row[source.rater]) if source.rater else ""), source.value
        return
    for column in source.raters:
        if text_of(row[column]):
            yield column, column


def _rankings(rows: Sequence[Row], source: SourceRule) -> Iterator[Statement]:
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        rater = source.rater_name or (text_of(row[source.rater]) if source.rater else "")
        groups.setdefault((text_of(row[source.group]), rater, text_of(row.get(source.session))), []).append(row)
    for (group, rater, session), members in groups.items():
        items = tuple(text_of(row[source.item]) for row in members)
        ranks = [number_of(row[source.rank]) for row in members]
        fault = ""
        if any(rank is None for rank in ranks):
            fault = "a rank is no number"
        elif len(items) < 2:
            fault = "a ranking needs two samples or more"
        elif len(set(items)) < len(items) or not all(items):
            fault = "a sample is missing, or ranked twice"
        rated_at, note = time_of(members[0].get(source.time), source.timezone)
        yield Statement(
            json.dumps([rater, session, group]), RANKING, items, rater,
            ranks=() if fault else dense(ranks), rated_at=rated_at, session=session,
            seconds=number_of(members[0].get(source.duration)), fault=fault, note=note,
        )  # fmt: skip


def dense(ranks: Sequence[float | None]) -> tuple[int, ...]:
    """Ranks as 1, 2, 3 … without gaps, ties kept."""
    order = {rank: n for n, rank in enumerate(sorted({rank for rank in ranks if rank is not None}), 1)}
    return tuple(order[rank] for rank in ranks if rank is not None)


def _require(columns: Sequence[str], source: SourceRule) -> None:
    wanted = {
        SCORE: (source.item, source.value), CATEGORY: (source.item, source.value), LABELS: (source.item, source.value),
        PAIR: (source.left, source.right, source.winner), RANKING: (source.item, source.group, source.rank),
    }[source.kind]  # fmt: skip
    if source.raters:
        wanted = (source.item, *source.raters)
    optional = (source.rater, source.time, source.duration, source.session, source.row_id)
    for column in (*wanted, *(name for name in optional if name)):
        if column not in columns:
            raise RatingsError(
                f"source '{source.name}': '{source.file}' has no column '{column}'.{did_you_mean(column, columns)}"
            )


def _object(line: str, number: int) -> Row:
    """A line of JSONL.

    Raises:
        ValueError: it is no JSON object.
    """
    try:
        found = json.loads(line)
    except ValueError as error:
        raise ValueError(f"line {number} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"line {number} is no JSON object")
    return found


def _rows(storage: Storage, source: SourceRule) -> tuple[Sequence[str], Sequence[Row]]:
    """The columns and rows of a file; its form follows from its name."""
    name = source.file.lower()
    data = storage.read_bytes(source.address)
    try:
        if name.endswith(".parquet"):
            import pyarrow as pa
            import pyarrow.parquet as pq

            table = pq.read_table(pa.BufferReader(data))
            return table.column_names, table.to_pylist()
        text = data.decode("utf-8-sig")
        if name.endswith((".jsonl", ".ndjson")):
            rows = [_object(line, n) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
            names = list(dict.fromkeys(key for row in rows for key in row))
            return names, [{**dict.fromkeys(names), **row} for row in rows]
        if name.endswith((".csv", ".tsv")):
            reader = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t" if name.endswith(".tsv") else ",")
            found = [row for row in reader if any(v for v in row.values())]
            if (short := next((n for n, row in enumerate(found, 2) if None in row or None in row.values()), 0)) > 0:
                raise RatingsError(
                    f"source '{source.name}': '{source.file}': row {short} has more or fewer cells than the header"
                )
            return list(reader.fieldnames or ()), found
    except (ValueError, OSError, csv.Error) as error:
        said = str(error).partition("\n")[0]
        raise RatingsError(f"source '{source.name}': '{source.file}' cannot be read: {said}; check the file") from error
    raise RatingsError(
        f"source '{source.name}': '{source.file}' is no table; its name must end in .csv, .tsv, .parquet or .jsonl"
    )
