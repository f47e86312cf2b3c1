"""Looking at a prefix of S3 with a million objects: a few requests each time.

Belongs here: which part of the prefix a look takes, and comparing it with the inventory. Does not belong here: asking for the
inventory (``source.py``).

Each look takes two parts. The end: what comes behind the last known key, since most sources grow there (dates, counters). And
the next ``WINDOW`` objects after those of the look before, round and round, so that every change anywhere is seen after one
round. A prefix with fewer objects is seen whole each time.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.datasets.declaration import DatasetDeclaration
from arot_assets.datasets.inventory import INVENTORY, SCHEMA, Difference, compare, read_inventory
from arot_assets.datasets.objects import found_table, listing_of
from arot_assets.media.medium import Medium
from resources.storage import ObjectInfo, Storage
from resources.storage.objects import ObjectColumns
from resources.storage.s3.backend import S3Backend
from resources.tables import TableRef, Tables
from sensors.change import Change

WINDOW = 10_000
"""Objects that one look takes: ten requests."""
_known: dict[str, tuple[ObjectInfo, pa.Table]] = {}
"""Inventory's uri -> what it was when it was read, and its present rows: between looks it mostly stays as it is."""


@dataclass(frozen=True)
class Look:
    """What a look found.

    Attributes:
        change: how the part that was looked at differs from the inventory; None if it does not.
        after: the URI after which the next look begins; empty for the beginning.
    """

    change: Change | None
    after: str


def look(storage: Storage, tables: Tables, declaration: DatasetDeclaration, after: str) -> Look:
    """Look at the next part of a prefix, and at its end.

    Args:
        storage: reaches the source.
        tables: the lake, for the inventory.
        declaration: a dataset whose source is on S3.
        after: what the look before gave; empty at first.

    Raises:
        StorageError: the prefix cannot be listed, or the inventory not read.
    """
    present = _present(storage, tables, declaration.name)
    window, last = _window(storage.using(S3Backend).ls_after(declaration.root, after))
    parts = [_difference(declaration.medium, present, window, after, last)]
    newest = pc.max(present["uri"]).as_py() if present.num_rows else ""
    if last and newest > last:
        end, last_of_end = _window(storage.using(S3Backend).ls_after(declaration.root, newest))
        parts.append(_difference(declaration.medium, present, end, newest, last_of_end))
    new, changed, gone = (sum(len(getattr(p, name)) for p, _ in parts) for name in ("new", "changed", "gone"))
    if not new + changed + gone:
        return Look(None, last)
    digest = hashlib.sha256()
    for _, listed in parts:
        digest.update(repr(listed.select(["uri", "size", "mtime", "sidecar_mtime"]).to_pylist()).encode())
    text = f"{new} new, {changed} changed, {gone} gone{' in the part looked at' if last else ''}"
    return Look(Change(digest.hexdigest()[:16], text), last)


def _window(columns: Iterator[ObjectColumns]) -> tuple[pa.Table, str]:
    """The first objects of a listing, and the URI of the last of them; empty when the listing ended.

    The window ends between two files, never between a file and its sidecars: names with one stem follow each other.
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
    kept = kept or len(uris)  # thousands of objects of one stem are no files with sidecars
    return found.slice(0, kept), uris[kept - 1]


def _stem(uri: str) -> str:
    folder, _, name = uri.rpartition("/")
    return f"{folder}/{name.split('.', 1)[0]}"


def _difference(
    medium: Medium, present: pa.Table, window: pa.Table, after: str, last: str
) -> tuple[Difference, pa.Table]:
    """How a part of a listing differs from the rows of its range."""
    within = pc.greater(present["uri"], after)
    if last:
        within = pc.and_(within, pc.less_equal(present["uri"], last))
    listed = listing_of(window, medium).objects
    return compare(present.filter(within), listed), listed


def _present(storage: Storage, tables: Tables, dataset: str) -> pa.Table:
    """The inventory's present rows; read again when it was written again."""
    uri = tables.uri(TableRef(dataset, INVENTORY))
    if not tables.exists(TableRef(dataset, INVENTORY)):
        return SCHEMA.empty_table()
    stamp = storage.stat(uri)
    known = _known.get(uri)
    if known is None or known[0] != stamp:
        inventory = read_inventory(tables, dataset)
        rows = SCHEMA.empty_table() if inventory is None else inventory.filter(pc.equal(inventory["state"], "present"))
        known = _known[uri] = (stamp, rows)
    return known[1]
