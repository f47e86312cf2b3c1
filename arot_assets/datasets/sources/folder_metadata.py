"""The ``metadata`` files of image folders: rows that name objects and describe them.

Belongs here: which files these are, which objects their rows refer to, what is kept of them. Does not belong here:
reading rows (``rows.py``), columns to captions and tags (``listed.py``).

These are the files of the ``imagefolder`` builder of Hugging Face ``datasets``: ``metadata.jsonl``, ``metadata.csv`` or
``metadata.parquet`` in any folder, with a column ``file_name``, or ``X_file_name``, ``file_names``, ``X_file_names``
for rows of several objects, at any depth of a JSON row. Names are relative to the folder; ``./``, ``\\`` and names that
only some file systems distinguish (``pairing``) are resolved as usual. The files are read on every scheme, and in
archives.

Where ``datasets`` fails as a whole, a faulty row only affects itself, and is counted and named: one that cannot be
read, names no object, or names one that does not exist. Several rows for one object are all kept.
"""

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.datasets.declaration import Archives
from arot_assets.datasets.encodings import read_text
from arot_assets.datasets.objects import FolderMetadata, ListingNotes, extensions, is_taken
from arot_assets.datasets.pairing import unicode_form, without_case
from arot_assets.datasets.sidecars import BAD_SIDECAR, as_base64
from arot_assets.datasets.sources.listed import CAPTION_COLUMNS, TAGS_COLUMNS, choose, to_metadata
from arot_assets.datasets.sources.rows import read_rows
from arot_assets.jsontext import MAX_DEPTH, storable_text
from arot_assets.media.medium import Medium
from resources.storage import Storage, StorageError

FILES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
FILE_NAME = "file_name"
IS_NAME = re.compile(r"(?:.*_)?file_names?")
COMMIT = re.compile(r"^(hf://[a-z]+/[^/@]+/[^/@]+)@[0-9a-f]{40}")
"""Files of one repository may be known at several commits."""
_HALVES = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Unpaired surrogates, except those that represent bytes (``surrogateescape``)."""
NO_OBJECT = "row of a metadata file that describes a missing file"
UNREADABLE = "row of a metadata file that cannot be read"
SHOWN = 5
ENOUGH = 10_000
"""A file that names nothing in this many rows is another kind of file."""
CODE_VERSION = "2"


def metadata_files(found: pa.Table) -> pa.Table:
    """The objects that are metadata files by name, in schema ``FOUND``."""
    return found.filter(pc.match_substring_regex(found["uri"], rf"(?i)(^|/)({'|'.join(map(re.escape, FILES))})$"))


def folder_metadata(
    storage: Storage, found: pa.Table, medium: Medium, rules: Archives, known: FolderMetadata | None = None
) -> FolderMetadata:
    """What the metadata files among these objects say about the objects among them.

    Args:
        storage: accesses them.
        found: schema ``FOUND``.
        medium: whose files the rows refer to.
        rules: which columns are captions and tags, if declared.
        known: the result of the previous listing; reused while its ``stamp`` is unchanged.
    """
    files = metadata_files(found)
    if not files.num_rows:
        return FolderMetadata()
    seen = seen_files(files)
    objects = found["uri"].filter(is_taken(extensions(found["uri"]), medium)).to_pylist()
    stamp = _stamp(seen, objects, rules)
    if known is not None and known.stamp == stamp:
        return known
    names = _Names(objects)
    reading = _Reading()
    taken = [uri for uri in _nearest_first(seen) if reading.take(storage, uri, names)]
    said = {uri: text for uri, text in reading.texts(rules) if text is not None}
    return FolderMetadata(said, seen, taken, ListingNotes(dict(reading.ignored), tuple(reading.problems)), stamp)


def seen_files(files: pa.Table) -> dict[str, list[Any]]:
    """Uri -> size, time and etag: what distinguishes the versions of a file, as JSON represents it."""
    return {row["uri"]: [row["size"], row["mtime"], row["etag"]] for row in files.to_pylist()}


def _stamp(seen: Mapping[str, Any], objects: Sequence[str], rules: Archives) -> str:
    text = f"{CODE_VERSION} {rules.model_dump_json()} {json.dumps(seen, sort_keys=True)}"
    return hashlib.sha256("\n".join([text, *sorted(objects)]).encode()).hexdigest()[:16]


def _nearest_first(uris: Iterable[str]) -> list[str]:
    """Files in deeper folders before others that may describe the same objects."""
    return sorted(uris, key=lambda uri: (-uri.count("/"), uri))


class _Names:
    """Objects by their paths.

    Args:
        uris: of the objects.
    """

    def __init__(self, uris: Iterable[str]) -> None:
        self._exact = {COMMIT.sub(r"\1", uri): uri for uri in uris}
        self._folded: list[dict[str, list[str]]] = []

    def find(self, folder: str, name: str) -> str | None:
        """The object that a row refers to, None if there is none, or more than one."""
        path = _joined(folder, name)
        for exact in (f"{folder}/{name}", path):
            if exact in self._exact:
                return self._exact[exact]
        if not self._folded:
            for fold in (unicode_form, without_case):
                table: dict[str, list[str]] = defaultdict(list)
                for known, uri in self._exact.items():
                    table[fold(known)].append(uri)
                self._folded.append(table)
        for fold, table in zip((unicode_form, without_case), self._folded, strict=True):
            found = table.get(fold(path), ())
            if len(found) == 1:
                return found[0]
        return None


def _joined(folder: str, name: str) -> str:
    r"""The path of a name in a folder; ``./``, ``../`` and ``\`` are resolved as usual."""
    for part in name.strip().replace("\\", "/").split("/"):
        if part == "..":
            folder = folder.rpartition("/")[0]
        elif part not in ("", "."):
            folder = f"{folder}/{part}"
    return folder


@dataclass
class _Reading:
    """What has been read so far. Rows are kept as text: a source may have millions of them."""

    rows: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    ignored: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def take(self, storage: Storage, uri: str, names: _Names) -> bool:
        """Read one file; returns whether its rows name objects."""
        folder = COMMIT.sub(r"\1", uri).rpartition("/")[0]
        lost: list[str] = []
        unreadable: list[str] = []
        named = 0
        try:
            for number, row in read_rows(storage, uri, tolerant=True):
                of_row = [] if row is None else _file_names(row)
                named += bool(of_row)
                if row is None or not of_row:
                    unreadable.append(str(number))
                    if number == ENOUGH and not named:
                        break
                    continue
                if len(of_row) == 1:
                    row.pop(FILE_NAME, None)
                text = json.dumps(row, default=str)
                for name in of_row:
                    target = names.find(folder, name)
                    if target is None:
                        lost.append(repr(name))
                    elif text not in self.rows[target]:
                        self.rows[target].append(text)
        except StorageError as error:
            self.problems.append(str(error))
        if not named:
            if not uri.lower().endswith(".parquet"):  # a Parquet file of objects may have this name too
                self.problems.append(f"{uri}: no row has a {FILE_NAME}, so it describes none of the objects beside it")
            return False
        self._tell(uri, UNREADABLE, unreadable, "rows that cannot be read, or name no file: ")
        self._tell(uri, NO_OBJECT, lost, "rows that describe missing files: ")
        return True

    def _tell(self, uri: str, cause: str, which: Sequence[str], text: str) -> None:
        if which:
            self.ignored[cause] += len(which)
            more = f" and {len(which) - SHOWN:,} more" if len(which) > SHOWN else ""
            self.problems.append(f"{uri}: {len(which):,} {text}{', '.join(which[:SHOWN])}{more}")

    def texts(self, rules: Archives) -> Iterator[tuple[str, str | None]]:
        """The metadata of each object."""
        for uri, texts in self.rows.items():
            row, said, sure = _merged([json.loads(text) for text in texts]), {}, True
            caption = choose(row, rules.caption_column, CAPTION_COLUMNS)
            tags = choose(row, rules.tags_column, TAGS_COLUMNS)
            for key in row:
                row[key], is_sure = _readable(row[key])
                sure &= is_sure
                if key in (caption, tags) and (is_sure or isinstance(row[key], str)):
                    said[key] = row[key]
            rest = {key: value for key, value in row.items() if key not in said}
            notes = () if sure else (BAD_SIDECAR,)
            yield uri, to_metadata(said.get(caption or ""), said.get(tags or ""), rest, notes=notes)


def _file_names(row: Mapping[str, Any]) -> list[str]:
    """The files that a row names, at any depth, without duplicates; none if it is nested too deeply."""
    try:
        return list(dict.fromkeys(_names_in(row)))
    except RecursionError:
        return []


def _names_in(value: Any, key: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner_key, inner in value.items():
            yield from _names_in(inner, str(inner_key))
    elif isinstance(value, list):
        for inner in value:
            yield from _names_in(inner, key)
    elif isinstance(value, str) and value.strip() and IS_NAME.fullmatch(key):
        text = _readable(value)[0]
        yield text if isinstance(text, str) else value


def _merged(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Several rows for one object merged into one: where they differ, a column contains a list."""
    if len(rows) == 1:
        return rows[0]
    merged: dict[str, Any] = {}
    for key in dict.fromkeys(key for row in rows for key in row):
        values: list[Any] = []
        for row in rows:
            if row.get(key) not in (None, "", *values):
                values.append(row[key])
        merged[key] = values[0] if len(values) == 1 else values or None
    return merged


def _readable(value: Any, depth: int = MAX_DEPTH // 2) -> tuple[Any, bool]:
    """A value in which strings that are not UTF-8 have been decoded, and whether all of it is certain; undecodable
    bytes become Base64, and values nested deeper than anybody does on purpose become text.
    """
    if depth == 0 and isinstance(value, Mapping | list):
        return json.dumps(value), False
    if isinstance(value, str):
        try:
            value.encode("utf-8")
            return value, True
        except UnicodeEncodeError:
            data = value.encode("utf-8", "surrogateescape") if not _HALVES.search(value) else None
        if data is None:  # an unpaired surrogate, written as \\ud83d
            return storable_text(value), True
        text, sure = read_text(data)
        return (as_base64(data) if text is None else text), sure
    if isinstance(value, Mapping):
        read = {key: _readable(inner, depth - 1) for key, inner in value.items()}
        return {key: inner for key, (inner, _) in read.items()}, all(sure for _, sure in read.values())
    if isinstance(value, list):
        items = [_readable(inner, depth - 1) for inner in value]
        return [inner for inner, _ in items], all(sure for _, sure in items)
    return value, True
