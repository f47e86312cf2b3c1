"""The rows of a list: text, CSV, TSV, JSON lines, Parquet.

Belongs here: reading a file of rows in any format. Does not belong here: the meaning of columns (``url_list.py``).

A TSV is assumed to use quoting only if there is evidence for it (``resources.quotes``). In a CSV, a quote that is never
closed costs its own line, but not those after it.
"""

import codecs
import csv
import io
import json
from collections import deque
from collections.abc import Iterator, Sequence
from typing import IO, Any

import pyarrow as pa

from resources.quotes import has_quotes
from resources.storage import Storage, StorageError

BATCH = 5000
LONGEST_FIELD = 16 * 1024 * 1024
LONGEST_HEADER = 64 * 1024
URL_COLUMN = "url"
WEB = ("http://", "https://")

Row = tuple[int, dict[str, Any] | None]
"""Number of the line or row (from 1), and its columns; None if it cannot be read."""


def read_rows(storage: Storage, uri: str, header: Sequence[str] = (), *, tolerant: bool = False) -> Iterator[Row]:
    """All rows of a list, without binary columns.

    Args:
        storage: accesses the list.
        uri: the list.
        header: the column names of a CSV or TSV without a header line.
        tolerant: treat bytes that are not UTF-8 as single characters (``surrogateescape``) instead of failing.

    Raises:
        StorageError: it does not exist, does not match its extension, or lacks a header.
    """
    extension = uri.rpartition(".")[2].lower()
    errors = "surrogateescape" if tolerant else "strict"
    with storage.open(uri) as file:
        try:
            if extension == "parquet":
                yield from _parquet_rows(file)
            elif extension == "txt":
                with _text(file, None, errors) as lines:
                    yield from _text_rows(lines)
            elif extension == "jsonl":
                with _text(file, None, errors) as lines:
                    yield from _json_rows(lines)
            else:
                yield from _table_rows(file, uri, "\t" if extension == "tsv" else _separator(file), header, errors)
        except (UnicodeDecodeError, csv.Error, pa.ArrowInvalid) as error:
            raise StorageError(
                f"cannot read '{uri}' as a list: {error}; check that it is {extension} in UTF-8"
            ) from error


def column_names(storage: Storage, uri: str, header: Sequence[str] = ()) -> list[str]:
    """The columns of a list, of all its rows, in the order of their first appearance.

    Raises:
        StorageError: see ``read_rows``.
    """
    found: dict[str, None] = {}
    every = uri.lower().endswith(".jsonl")
    for _, row in read_rows(storage, uri, header):
        found.update(dict.fromkeys(row or ()))
        if found and not every:  # in other formats, all rows have the same columns
            break
    return list(found)


def _text(file: IO[bytes], newline: str | None, errors: str) -> io.TextIOWrapper:
    """The text of a file: UTF-8, or UTF-16 if its first bytes say so, as written by PowerShell and Excel."""
    mark = file.read(2)
    file.seek(0)
    encoding = "utf-16" if mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    return io.TextIOWrapper(file, encoding=encoding, newline=newline, errors=errors)


def _text_rows(lines: Iterator[str]) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and not text.startswith("#"):
            yield number, {URL_COLUMN: text.split(maxsplit=1)[0] if " #" in text else text}


def _table_rows(file: IO[bytes], uri: str, delimiter: str, header: Sequence[str], errors: str) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_FIELD)
    quoted = delimiter != "\t" or _is_quoted(file, errors)
    columns = list(header)
    with _text(file, "" if quoted else None, errors) as lines:
        for number, fields in _quoted_records(lines, delimiter) if quoted else _plain_records(lines):
            if columns:
                if fields:
                    yield number, dict(zip(columns, fields, strict=True)) if len(fields) == len(columns) else None
                continue
            if any(field.strip().startswith(WEB) for field in fields):
                names = ", ".join("url" if f.strip().startswith(WEB) else "caption" for f in fields)
                raise StorageError(
                    f"'{uri}' has no header: its first line is a row. Name the columns in its defs.yaml, as in "
                    f"`urls: {{header: [{names}]}}`, or add them as the first line",
                    kind="invalid",
                )
            columns = _unique([field.strip() for field in fields])


def _is_quoted(file: IO[bytes], errors: str) -> bool:
    """Whether a TSV is written with quotes; leaves the file open, at its start."""
    text = _text(file, "", errors)
    try:
        return has_quotes(text)
    finally:
        text.detach()
        file.seek(0)


def _separator(file: IO[bytes]) -> str:
    """The field separator of a CSV: a comma, or a semicolon as written by spreadsheets in locales with decimal
    commas."""
    first = file.readline(LONGEST_HEADER)
    file.seek(0)
    return ";" if b";" in first and b"," not in first else ","


def _unique(names: Sequence[str]) -> list[str]:
    """Column names made unique: each repeated one gets a number: ``text``, ``text.1``."""
    found: list[str] = []
    for name in names:
        number, unique = 0, name
        while unique in found:
            number += 1
            unique = f"{name}.{number}"
        found.append(unique)
    return found


def _plain_records(lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\n")
        yield number, text.split("\t") if text else []


def _quoted_records(lines: Iterator[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Records with the number of their last line. A record of several lines with a different number of fields than the
    first record is treated as an unclosed quote: its first line is the record, and the other lines are read again.
    """
    waiting: deque[str] = deque()
    taken: list[str] = []

    def feed() -> Iterator[str]:
        while True:
            line = waiting.popleft() if waiting else next(lines, None)
            if line is None:
                return
            taken.append(line)
            yield line

    number, width = 0, 0
    while True:
        taken.clear()
        try:
            fields = next(csv.reader(feed(), delimiter=delimiter, strict=True), None)
        except csv.Error:
            fields = []
            if len(taken) < 2 and sum(map(len, taken)) < LONGEST_FIELD:
                fields = next(csv.reader(taken, delimiter=delimiter), [])  # unbalanced quotes within one line
        if fields is None:
            return
        width = width or len(fields)
        if len(taken) > 1 and len(fields) != width:
            waiting.extendleft(reversed(taken[1:]))
            number += 1
            yield number, [taken[0]] if width != 1 else [taken[0], ""]
        else:
            number += len(taken)
            yield number, fields


def _json_rows(lines: Iterator[str]) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        yield number, {URL_COLUMN: value} if isinstance(value, str) else value if isinstance(value, dict) else None


def _parquet_rows(file: Any) -> Iterator[Row]:
    import pyarrow.parquet as pq

    from resources.storage.members.parquet import holds_bytes

    table = pq.ParquetFile(file)
    names = [field.name for field in table.schema_arrow if not holds_bytes(field.type)]
    number = 0
    for batch in table.iter_batches(batch_size=BATCH, columns=names):
        for row in batch.to_pylist():
            number += 1
            yield number, row
