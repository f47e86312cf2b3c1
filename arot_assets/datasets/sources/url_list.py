"""A file that lists URLs, as a source.

Belongs here: choosing the columns of a list, which rows are included. Does not belong here: reading its format
(``rows.py``); downloading the listed objects, which happens when samples are built, where a failure becomes a row.

A list may be in parts: a folder of files, as written by Spark and img2dataset.

Nothing is known about an object except its URL and its metadata from the list: size, time and etag are null. URLs with
a password or a signature are not included, since the inventory would store them.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from arot_assets.datasets.declaration import LIST_EXTENSIONS, DatasetDeclaration, UrlList
from arot_assets.datasets.objects import LISTED, Listing
from arot_assets.datasets.sources.listed import CAPTION_COLUMNS, TAGS_COLUMNS, choose, to_metadata
from arot_assets.datasets.sources.rows import WEB, column_names, read_rows
from arot_assets.progress import track
from resources.storage import Storage, StorageError
from resources.storage.http.rules import carries_secret, request_url

URL_COLUMNS = ("image_url", "img_url", "image_uri", "url", "uri", "link")
"""Names that refer to an image come first: next to such a column, ``url`` is the page."""
BATCH = 5000
PROBLEMS_SHOWN = 10

NOT_TAKEN = "not an http(s) address"
SECRET = "address with a password or signature"
TWICE = "URL that is listed already"
UNREADABLE = "line that cannot be read"


def list_urls(storage: Storage, declaration: DatasetDeclaration) -> Listing:
    """The objects of a list, in schema ``LISTED``. A URL that is listed twice counts once, with its first metadata.

    Raises:
        StorageError: the list cannot be read, has no column of URLs, or is still being written.
    """
    said = declaration.urls or UrlList()
    ignored: Counter[str] = Counter()
    problems: list[str] = []
    batches: list[pa.RecordBatch] = []
    uris: list[str] = []
    metadata: list[str | None] = []
    with track(f"{declaration.name}: reading {declaration.source}") as advance:
        for part in _settled_parts(storage, declaration):
            shown = declaration.source if part == declaration.root else part
            names = column_names(storage, part, said.header)
            columns = _ColumnRoles(names, said, part) if names else None
            for number, row in read_rows(storage, part, said.header):
                uri = columns.url(row) if columns is not None and row is not None else ""
                why = UNREADABLE if row is None else _not_taken(uri)
                if row is None or columns is None or why is not None:
                    ignored[str(why)] += 1
                    problems.append(f"{shown}: line {number}: {why}")
                    del problems[PROBLEMS_SHOWN:]
                    continue
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


def list_signature(storage: Storage, declaration: DatasetDeclaration) -> str | None:
    """A text that changes when the list, or how it is read, changes; None if its server reports neither time nor etag.

    Raises:
        StorageError: the list does not exist.
    """
    parts = [storage.stat(part) for part in _parts(storage, declaration)]
    if not all(info.etag or info.mtime for info in parts):
        return None
    said = (declaration.urls or UrlList()).model_dump_json()
    seen = " ".join(f"{info.uri} {info.size} {info.mtime!r} {info.etag}" for info in parts)
    return hashlib.sha256(f"{seen} {said}".encode()).hexdigest()[:16]


class _ColumnRoles:
    """The role of each column of a list.

    Args:
        names: the columns of all of its rows.
        said: the declared names.
        root: the list, for error messages.

    Raises:
        StorageError: there is no such column.
    """

    def __init__(self, names: Sequence[str], said: UrlList, root: str) -> None:
        self._said = said
        self._url = choose(names, said.column, URL_COLUMNS)
        self._caption = choose(names, said.caption_column, CAPTION_COLUMNS)
        self._tags = choose(names, said.tags_column, TAGS_COLUMNS)
        known = ", ".join(names)
        for key, name, found in (
            ("column", said.column or "url", self._url),
            ("caption_column", said.caption_column, self._caption),
            ("tags_column", said.tags_column, self._tags),
        ):
            if name and found is None:
                raise StorageError(
                    f"'{root}' has no column {name!r}; it has {known}; name one of them: `urls: {{{key}: …}}` in its defs.yaml"
                )

    def url(self, row: Mapping[str, Any]) -> str:
        """The URL of a row as stored: without surrounding whitespace, and without a fragment."""
        return str(row.get(self._url or "") or "").strip().partition("#")[0]

    def metadata(self, row: Mapping[str, Any]) -> str | None:
        """The metadata of a row: everything except the URL. Rows of JSON Lines may name their caption differently."""
        caption = self._caption if self._caption in row else choose(row, self._said.caption_column, CAPTION_COLUMNS)
        rest = {k: v for k, v in row.items() if k not in (self._url, caption, self._tags)}
        return to_metadata(row.get(caption or ""), row.get(self._tags or ""), rest)


def _not_taken(uri: str) -> str | None:
    try:
        if carries_secret(uri):
            return SECRET
        request_url(uri)
    except ValueError:
        return NOT_TAKEN
    return None


def _parts(storage: Storage, declaration: DatasetDeclaration) -> list[str]:
    """The files of a list: the list itself, or the files of its folder by name; without auxiliary files of the tools.

    Raises:
        StorageError: there is none, or the list cannot be accessed.
    """
    root = declaration.root
    if root.startswith(WEB):
        return [root]
    found = [info.uri for info in storage.ls(root)]
    if found == [root]:
        return found
    parts = sorted(
        uri
        for uri in found
        if uri.lower().endswith(LIST_EXTENSIONS) and not uri.rpartition("/")[2].startswith(("_", "."))
    )
    if not parts:
        kinds = ", ".join(LIST_EXTENSIONS)
        raise StorageError(
            f"'{root}' is a folder without a list: none of its files ends in {kinds}",
            kind="not_found",
        )
    return parts


def _settled_parts(storage: Storage, declaration: DatasetDeclaration) -> list[str]:
    """The files of a list; recently modified ones are checked twice."""
    parts = _parts(storage, declaration)
    for part in parts:
        info = storage.stat(part)
        age = time.time() - info.mtime
        if 0 <= age < declaration.settle_seconds:
            time.sleep(declaration.settle_seconds - age)
            if storage.stat(part)[1:] != info[1:]:
                raise StorageError(f"'{part}' is still being written; wait, or lower `settle_seconds`")
    return parts


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
