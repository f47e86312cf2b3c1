"""What changed since the previous inventory, and the shards of what is new.

Belongs here: comparing two lists of objects, planning shards. Does not belong here: taking an inventory
(``inventory.py``), reading a source (``listing.py``).

Everything works on whole columns: an inventory has millions of rows, of which few change.

A shard is an immutable list of objects. A new object goes to a new shard. So does a changed one: its old row becomes
``superseded``, and a new row is ``present``. An object that disappeared is ``gone``.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from arot_assets.datasets.gathering import Rows, slices, take, take_rows
from arot_assets.datasets.objects import LISTED, STAMP

SCHEMA = pa.schema(
    [
        *LISTED,
        pa.field("shard", pa.string(), metadata={"description": "the Dagster partition that it belongs to"}),
        pa.field("first_seen", STAMP, metadata={"description": "first listing that contained it in this state"}),
        pa.field("last_seen", STAMP, metadata={"description": "last listing that contained it in this state"}),
        pa.field("state", pa.string(), metadata={"description": "present | gone | superseded"}),
    ]
)
PIECE = 1 << 15
"""Addresses that are looked for at a time: a table of twice as many fits into a processor's second-level cache. Of 10 M, with 1 %
new and gone, pieces of 2^13 and 2^15 take 1.5 s, of 2^17 3.3, and one table of all 5.1."""
COMPARED = ("size", "mtime", "etag", "sidecars", "sidecar_mtime", "metadata")
"""Columns of which another value makes an object another one."""


@dataclass(frozen=True)
class InventoryChanges:
    """The next inventory, and how it differs from the previous one.

    Attributes:
        inventory: all rows, present and past, in ``SCHEMA``.
        new_shards: shards that did not exist before, in order.
        new, changed, gone, unchanged: numbers of objects.
    """

    inventory: pa.Table
    new_shards: tuple[str, ...]
    new: int
    changed: int
    gone: int
    unchanged: int

    @property
    def differs(self) -> bool:
        """Whether anything except ``last_seen`` differs from the previous one."""
        return bool(self.new or self.changed or self.gone)


@dataclass(frozen=True)
class ListingDifference:
    """How a listing differs from the previous inventory. Objects are given by their row numbers, int64 [N] each.

    Attributes:
        new: rows of the listing whose uri was not present before.
        changed: rows of the listing whose object, sidecars or metadata differ from before.
        outdated: for each of ``changed``, its row of the inventory.
        gone: rows of the inventory that were present and are no longer listed.
        unchanged: rows of the inventory that are present and unchanged.
    """

    new: Rows
    changed: Rows
    outdated: Rows
    gone: Rows
    unchanged: Rows


def compare(previous: pa.Table | None, objects: pa.Table) -> ListingDifference:
    """What is new, changed and gone.

    Args:
        previous: the previous inventory, None at first.
        objects: schema ``LISTED``, one row per object, in any order.
    """
    before = previous if previous is not None else SCHEMA.empty_table()
    is_present = pc.equal(before["state"], "present")
    present = np.flatnonzero(is_present.to_numpy())
    known = before["uri"] if len(present) == before.num_rows else before["uri"].filter(is_present)
    found = places(objects["uri"], known)
    listed = np.flatnonzero(found >= 0)
    rows = present[found[listed]]

    whole = np.ones(len(rows), np.bool_)
    for some in slices(len(rows)):
        for name in COMPARED:
            whole[some] &= equal(take(before[name], rows[some]), take(objects[name], listed[some]))
    return ListingDifference(
        new=np.flatnonzero(found < 0),
        changed=listed[~whole],
        outdated=rows[~whole],
        gone=np.setdiff1d(present, rows, assume_unique=True),
        unchanged=rows[whole],
    )


def places(uris: pa.ChunkedArray, known: pa.ChunkedArray, piece: int = PIECE) -> Rows:
    """Where these addresses are among those that are known.

    A listing has the order of the one before, but for what changed. So each piece of it is looked for after the place of the one
    before, in a table that fits the caches of a processor; only what is elsewhere is looked for among all.

    Args:
        uris: string [N].
        known: string [M], each once.
        piece: addresses that are looked for at a time.

    Returns:
        int64 [N]: the row of ``known``; -1 for what is not there.
    """
    found = np.full(len(uris), -1, np.int64)
    start = 0
    for at in range(0, len(uris), piece):
        some = uris.slice(at, piece)
        if some.equals(known.slice(start, len(some))):
            rows = np.arange(start, start + len(some))
        else:
            near = pc.index_in(some, value_set=known.slice(start, 2 * piece))
            rows = pc.add(near.cast(pa.int64()), start).fill_null(-1).to_numpy()
        found[at : at + piece] = rows
        start = int(rows[rows >= 0][-1]) + 1 if (rows >= 0).any() else start
    rest = np.flatnonzero(found < 0)
    if len(rest):
        elsewhere = (
            uris if len(rest) == len(uris) else pa.chunked_array([take(uris, rest[s]) for s in slices(len(rest))])
        )
        wanted = pc.index_in(known, value_set=elsewhere)
        place_of = np.full(len(rest), -1, np.int64)
        place_of[wanted.drop_null().to_numpy()] = np.flatnonzero(wanted.is_valid().to_numpy())
        found[rest] = place_of[pc.index_in(elsewhere, value_set=elsewhere).to_numpy()]  # twice the same: the same place
    return found


def equal(left: pa.Array | pa.ChunkedArray, right: pa.Array | pa.ChunkedArray) -> NDArray[np.bool_]:
    """Value by value; null equals null."""
    if pa.types.is_list(left.type):
        left, right = (pc.binary_join(side, "\0") for side in (left, right))
    both_null = pc.and_(left.is_null(), right.is_null())
    return np.asarray(pc.or_(pc.fill_null(pc.equal(left, right), False), both_null))


def plan(
    previous: pa.Table | None,
    objects: pa.Table,
    now: datetime,
    shard_size: int,
    difference: ListingDifference | None = None,
    shard_bytes: float | None = None,
) -> InventoryChanges:
    """Compare a listing with the previous inventory, and assign new objects to new shards.

    Args:
        previous: the previous inventory, None at first.
        objects: schema ``LISTED``, one row per object, in any order.
        now: the time of the listing.
        shard_size: objects per shard.
        difference: of the two, if it is known already.
        shard_bytes: size of the objects of a shard; None for no limit.
    """
    before = previous if previous is not None else SCHEMA.empty_table()
    found = difference or compare(previous, objects)
    fresh = _fresh(objects, np.concatenate([found.new, found.changed]))
    shards = _shard_names(before, fresh["size"], shard_size, shard_bytes)
    stamp = pa.scalar(now, STAMP)
    for name, values in (
        ("shard", shards),
        ("first_seen", pa.repeat(stamp, fresh.num_rows)),
        ("last_seen", pa.repeat(stamp, fresh.num_rows)),
        ("state", pa.repeat("present", fresh.num_rows)),
    ):
        fresh = fresh.append_column(SCHEMA.field(name), values)
    old = _replace(before, "last_seen", found.unchanged, stamp)
    old = _replace(old, "state", found.gone, "gone")
    old = _replace(old, "state", found.outdated, "superseded")
    return InventoryChanges(
        pa.concat_tables([old.select(SCHEMA.names).cast(SCHEMA), fresh.cast(SCHEMA)]),
        tuple(pc.unique(shards).to_pylist()),
        new=len(found.new),
        changed=len(found.changed),
        gone=len(found.gone),
        unchanged=len(found.unchanged),
    )


def _fresh(objects: pa.Table, rows: Rows) -> pa.Table:
    """These rows of a listing, sorted by uri."""
    taken = take_rows(objects, rows)
    return take_rows(taken, pc.sort_indices(taken["uri"]).to_numpy().astype(np.int64))


def _shard_names(before: pa.Table, sizes: pa.ChunkedArray, shard_size: int, shard_bytes: float | None) -> pa.Array:
    """The shard of each of these objects: numbered from the first free number on, full when either limit is reached."""
    last = pc.max(before["shard"].unique().cast(pa.int64())).as_py()
    first = 0 if last is None else last + 1
    numbers = _cut(sizes, shard_size, shard_bytes)
    names = pa.array([f"{n:05}" for n in range(first, first + int(numbers.max(initial=-1)) + 1)], pa.string())
    return names.take(pa.array(numbers))


def _cut(sizes: pa.ChunkedArray, shard_size: int, shard_bytes: float | None) -> Rows:
    """The ordinal of each object's shard."""
    if shard_bytes is None:
        return np.arange(len(sizes)) // shard_size
    numbers = np.zeros(len(sizes), np.int64)
    number, count, total = 0, 0, 0.0
    for k, size in enumerate(pc.fill_null(sizes, 0).to_numpy().tolist()):
        if count and (count == shard_size or total + size > shard_bytes):
            number, count, total = number + 1, 0, 0.0
        numbers[k] = number
        count, total = count + 1, total + size
    return numbers


def _replace(table: pa.Table, column: str, rows: Rows, value: object) -> pa.Table:
    """The table with one value in these rows of a column."""
    if not len(rows):
        return table
    field_ = SCHEMA.field(column)
    values: object = pa.repeat(pa.scalar(value, field_.type), table.num_rows)
    if len(rows) < table.num_rows:
        mask = np.zeros(table.num_rows, np.bool_)
        mask[rows] = True
        values = pc.if_else(pa.array(mask), pa.scalar(value, field_.type), table[column])
    return table.set_column(table.schema.get_field_index(column), field_, values)
