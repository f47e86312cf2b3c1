"""Checking an S3 prefix with a million objects, with a few requests each time.

Belongs here: which part of the prefix a check covers, and comparing it with the inventory. Does not belong here: requesting the
inventory (``source.py``).

Each check covers two parts. First the end: whatever comes after the last known key, because that is where most sources grow
(dates, counters). Then the next ``WINDOW`` objects after those of the previous check, in rotation, so that any change is seen
within one round. A prefix with fewer objects is covered completely each time.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.datasets.changes import SCHEMA, ListingDifference, compare
from arot_assets.datasets.declaration import DatasetDeclaration
from arot_assets.datasets.inventory import FOLDER_METADATA, read_inventory
from arot_assets.datasets.objects import found_table, listing_of
from arot_assets.datasets.sources.folder_metadata import metadata_files, seen_files
from arot_assets.media.medium import Medium
from resources.storage import ObjectInfo, Storage
from resources.storage.objects import ObjectColumns
from resources.storage.s3.backend import S3Backend
from resources.tables import INVENTORY, TableRef, Tables
from sensors.change import Change

WINDOW = 10_000
"""Objects covered by one check: ten requests."""
_known: dict[str, "tuple[ObjectInfo, _Before]"] = {}
"""Inventory's URI -> its state when it was read, and its contents: between checks it is mostly unchanged."""


@dataclass(frozen=True)
class _Before:
    """The contents of the inventory: its present rows, and metadata files (``objects.FolderMetadata.seen``)."""

    rows: pa.Table
    files: Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class PrefixCheck:
    """What a check found.

    Attributes:
        change: how the part that was checked differs from the inventory; None if it does not.
        after: the URI after which the next check begins; empty for the beginning.
    """

    change: Change | None
    after: str


def look(storage: Storage, tables: Tables, declaration: DatasetDeclaration, after: str) -> PrefixCheck:
    """Check the next part of a prefix, and its end.

    Args:
        storage: accesses the source.
        tables: the store, for the inventory.
        declaration: a dataset whose source is on S3.
        after: what the previous check returned; empty at first.

    Raises:
        StorageError: the prefix cannot be listed, or the inventory cannot be read.
    """
    before = _before(storage, tables, declaration.name)
    window, last = _window(storage.using(S3Backend).ls_after(declaration.root, after))
    parts = [_difference(declaration.medium, before, window, after, last)]
    newest = pc.max(before.rows["uri"]).as_py() if before.rows.num_rows else ""
    if last and newest > last:
        end, last_of_end = _window(storage.using(S3Backend).ls_after(declaration.root, newest))
        parts.append(_difference(declaration.medium, before, end, newest, last_of_end))
    new, changed, gone = (sum(len(getattr(p, name)) for p, _, _ in parts) for name in ("new", "changed", "gone"))
    files = [file for _, _, others in parts for file in others]
    if not (new or changed or gone or files):
        return PrefixCheck(None, last)
    digest = hashlib.sha256(repr(files).encode())
    for _, listed, _ in parts:
        digest.update(repr(listed.select(["uri", "size", "mtime", "sidecar_mtime"]).to_pylist()).encode())
    text = f"{new} new, {changed} changed, {gone} gone{f', {len(files)} other metadata files' if files else ''}"
    text += " in the part that was checked" if last else ""
    return PrefixCheck(Change(digest.hexdigest()[:16], text), last)


def _window(columns: Iterator[ObjectColumns]) -> tuple[pa.Table, str]:
    """The first objects of a listing, and the URI of the last of them, which is empty if the listing ended.

    The window ends between two files, never between a file and its sidecars: names with the same stem are adjacent.
    """
    some = []
    count = 0
    whole = True
    for page in columns:
        some.append(page)
        count += len(page.uri)
        if count >= WINDOW:
            whole = False
            break
    found = found_table(some)
    if whole:
        return found, ""
    uris = found["uri"].to_pylist()
    stem = _stem(uris[-1])
    kept = len(uris)
    while kept and _stem(uris[kept - 1]) == stem:
        kept -= 1
    kept = kept or len(uris)  # thousands of objects with the same stem are not files with sidecars
    return found.slice(0, kept), uris[kept - 1]


def _stem(uri: str) -> str:
    folder, _, name = uri.rpartition("/")
    return f"{folder}/{name.split('.', 1)[0]}"


def _difference(
    medium: Medium, before: _Before, window: pa.Table, after: str, last: str
) -> tuple[ListingDifference, pa.Table, list[Any]]:
    """How a part of a listing differs from its range of the inventory, in words; and metadata files that differ, in
    their current state."""
    within = pc.greater(before.rows["uri"], after)
    if last:
        within = pc.and_(within, pc.less_equal(before.rows["uri"], last))
    rows = before.rows.filter(within)
    listed = _with_what_lies_elsewhere(listing_of(window, medium).objects, rows, after, last)
    files = seen_files(metadata_files(window))
    known = {uri: list(seen) for uri, seen in before.files.items() if after < uri and not (last and uri > last)}
    others = [(uri, files.get(uri)) for uri in sorted(files.keys() | known.keys()) if files.get(uri) != known.get(uri)]
    return compare(rows, listed), listed, others


def _with_what_lies_elsewhere(listed: pa.Table, rows: pa.Table, after: str, last: str) -> pa.Table:
    """The objects of a part of a listing, completed from the inventory by what only the whole listing shows: what
    metadata files say about them, and sidecars whose names sort elsewhere because they match only loosely
    (``datasets.pairing``).
    """
    where = pc.index_in(listed["uri"], value_set=rows["uri"].combine_chunks())
    known = rows.take(where)
    far = [
        any(uri <= after or (last != "" and uri > last) for uri in those or ())
        for those in known["sidecars"].to_pylist()
    ]
    for name in ("sidecars", "sidecar_mtime", "metadata"):
        values = known[name]
        if name != "metadata":
            values = pc.if_else(pa.array(far, pa.bool_()), values, listed[name])
        listed = listed.set_column(listed.schema.get_field_index(name), listed.schema.field(name), values)
    return listed


def _before(storage: Storage, tables: Tables, dataset: str) -> _Before:
    """The contents of the inventory; read again when it was rewritten."""
    ref = TableRef(dataset, INVENTORY)
    uri = tables.uri(ref)
    if not tables.exists(ref):
        return _Before(SCHEMA.empty_table(), {})
    stamp = storage.stat(uri)
    known = _known.get(uri)
    if known is None or known[0] != stamp:
        inventory = read_inventory(tables, dataset)
        rows = SCHEMA.empty_table() if inventory is None else inventory.filter(pc.equal(inventory["state"], "present"))
        folder = json.loads((tables.footer_if_any(ref) or {}).get(FOLDER_METADATA) or "{}")
        known = _known[uri] = (stamp, _Before(rows, folder.get("seen", {})))
    return known[1]
