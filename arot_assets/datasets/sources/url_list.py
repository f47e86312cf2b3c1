"""A file that lists URLs, as a source.

Belongs here: reading the list (text, CSV, TSV, JSON lines, Parquet) and choosing its columns. Does not belong here: fetching
what is listed; that is done when samples are made, and a failure is a row there.

Nothing is known of an object but its URL and what the list says of it: size, time and etag are null. Addresses that carry a
password or a signature are not taken, since the inventory would keep them.
"""

import csv
import hashlib
import io
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from arot_assets.datasets.declaration import ImageDatasetDeclaration, UrlList
from arot_assets.datasets.objects import LISTED, Listing
from arot_assets.datasets.sources.listed import CAPTION_COLUMNS, TAGS_COLUMNS, choose, to_metadata
from arot_assets.progress import track
from resources.storage import Storage, StorageError
from resources.storage.http.rules import carries_secret, request_url

URL_COLUMNS = ("url", "uri", "image_url", "image_uri", "img_url", "link")
BATCH = 5000
PROBLEMS_SHOWN = 10
LONGEST_FIELD = 16 * 1024 * 1024

NOT_TAKEN = "not an http(s) address"
SECRET = "address with a password or signature"
TWICE = "URL that is listed already"
UNREADABLE = "line that cannot be read"

Row = tuple[int, dict[str, Any] | None]
"""Number of the line or row (from 1), and its columns; None if it cannot be read."""


def list_urls(storage: Storage, declaration: ImageDatasetDeclaration) -> Listing:
    """The objects of a list, in schema ``LISTED``. A URL that is listed twice counts once, as first said.

    Raises:
        StorageError: the list cannot be read, has no column of URLs, or is still being written.
    """
    root = declaration.root
    _settled(storage, declaration)
    said = declaration.urls or UrlList()
    ignored: Counter[str] = Counter()
    problems: list[str] = []
    batches: list[pa.RecordBatch] = []
    uris: list[str] = []
    metadata: list[str | None] = []
    with track(f"{declaration.name}: reading {declaration.source}") as advance:
        columns: _Columns | None = None
        for number, row in read_rows(storage, root):
            uri = None
            if row is None:
                why: str | None = UNREADABLE
            else:
                columns = columns or _Columns(row, said, root)
                uri = columns.url(row)
                why = _not_taken(uri)
            if why is not None:
                ignored[why] += 1
                problems.append(f"{declaration.source}: line {number}: {why}")
                del problems[PROBLEMS_SHOWN:]
                continue
            assert row is not None and columns is not None and uri is not None
            uris.append(uri)
            metadata.append(columns.metadata(row))
            if len(uris) == BATCH:
                batches.append(_batch(uris, metadata))
                advance(len(uris))
                uris, metadata = [], []
        batches.append(_batch(uris, metadata))
        advance(len(uris))
    found = pa.Table.from_batches(batches)
    once = _first_rows(found["uri"])
    if len(once) < found.num_rows:
        ignored[TWICE] = found.num_rows - len(once)
    return Listing(_listed(found.take(pa.array(once))), dict(ignored), problems=tuple(problems))


def list_signature(storage: Storage, declaration: ImageDatasetDeclaration) -> str | None:
    """A text that differs when the list, or how it is read, differs; None where its server tells neither time nor etag.

    Raises:
        StorageError: the list is not there.
    """
    info = storage.stat(declaration.root)
    if not info.etag and not info.mtime:
        return None
    said = (declaration.urls or UrlList()).model_dump_json()
    return hashlib.sha256(f"{info.uri} {info.size} {info.mtime!r} {info.etag} {said}".encode()).hexdigest()[:16]


class _Columns:
    """Which columns of a list are what.

    Args:
        row: its first one.
        said: what the declaration names.
        root: the list, for errors.

    Raises:
        StorageError: there is no such column.
    """

    def __init__(self, row: Mapping[str, Any], said: UrlList, root: str) -> None:
        self._url = choose(row, said.column, URL_COLUMNS)
        self._caption = choose(row, said.caption_column, CAPTION_COLUMNS)
        self._tags = choose(row, said.tags_column, TAGS_COLUMNS)
        known = ", ".join(row)
        for key, name, found in (
            ("column", said.column or "url", self._url),
            ("caption_column", said.caption_column, self._caption),
            ("tags_column", said.tags_column, self._tags),
        ):
            if name and found is None:
                raise StorageError(
                    f"'{root}' has no column {name!r}, but {known}; name the right one: `urls: {{{key}: …}}` in its defs.yaml"
                )

    def url(self, row: Mapping[str, Any]) -> str:
        """The URL of a row as it is kept: without blanks around it, and without a fragment."""
        return str(row.get(self._url or "") or "").strip().partition("#")[0]

    def metadata(self, row: Mapping[str, Any]) -> str | None:
        """What the row says beside the URL."""
        rest = {k: v for k, v in row.items() if k not in (self._url, self._caption, self._tags)}
        return to_metadata(row.get(self._caption or ""), row.get(self._tags or ""), rest)


def _not_taken(uri: str) -> str | None:
    try:
        if carries_secret(uri):
            return SECRET
        request_url(uri)
    except ValueError:
        return NOT_TAKEN
    return None


def read_rows(storage: Storage, root: str) -> Iterator[Row]:
    """All rows of a list, without what columns of bytes hold.

    Raises:
        StorageError: it is not there, or not what its name says.
    """
    extension = root.rpartition(".")[2].lower()
    with storage.open(root) as file:
        try:
            if extension == "parquet":
                yield from _parquet_rows(file)
                return
            # newline="" leaves line ends inside quotes to the CSV reader
            text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="" if extension in ("csv", "tsv") else None)
            if extension == "txt":
                yield from _text_rows(text)
            elif extension == "jsonl":
                yield from _json_rows(text)
            else:
                yield from _csv_rows(text, "\t" if extension == "tsv" else ",")
        except (UnicodeDecodeError, csv.Error, pa.ArrowInvalid) as error:
            raise StorageError(f"cannot read '{root}' as a list: {error}; is it {extension} in UTF-8?") from error


def _text_rows(lines: Iterator[str]) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and not text.startswith("#"):
            yield number, {"url": text.split(maxsplit=1)[0] if " #" in text else text}


def _csv_rows(lines: Iterator[str], delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_FIELD)
    reader = csv.reader(lines, delimiter=delimiter)
    header = next(reader, [])
    for fields in reader:
        if fields:
            yield reader.line_num, dict(zip(header, fields, strict=True)) if len(fields) == len(header) else None


def _json_rows(lines: Iterator[str]) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        yield number, {"url": value} if isinstance(value, str) else value if isinstance(value, dict) else None


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


def _settled(storage: Storage, declaration: ImageDatasetDeclaration) -> None:
    """Look twice at a list that changed a moment ago."""
    info = storage.stat(declaration.root)
    age = time.time() - info.mtime
    if 0 <= age < declaration.settle_seconds:
        time.sleep(declaration.settle_seconds - age)
        if storage.stat(declaration.root)[1:] != info[1:]:
            raise StorageError(f"'{declaration.root}' is still being written; wait, or lower `settle_seconds`")


def _first_rows(uris: pa.ChunkedArray) -> NDArray[np.int64]:
    """The number of the first row of each URI, ascending."""
    which = pc.index_in(uris, value_set=pc.unique(uris)).to_numpy()
    return np.sort(np.unique(which, return_index=True)[1])


def _batch(uris: list[str], metadata: list[str | None]) -> pa.RecordBatch:
    return pa.record_batch([pa.array(uris, pa.string()), pa.array(metadata, pa.string())], names=["uri", "metadata"])


def _listed(found: pa.Table) -> pa.Table:
    rows = found.num_rows
    columns = {"uri": found["uri"], "metadata": found["metadata"]}
    columns["sidecars"] = pa.ListArray.from_arrays(np.zeros(rows + 1, np.int32), pa.array([], pa.string()))
    return pa.table([columns.get(f.name, pa.nulls(rows, f.type)) for f in LISTED], schema=LISTED)
