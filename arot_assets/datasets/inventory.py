"""Inventory: every object seen at a source, and the shard that each belongs to.

Belongs here: detecting new, changed and gone objects, planning shards. Does not belong here: reading the source
(``listing.py``), the contents of the objects (``samples.py``).

Everything works on whole columns: an inventory has millions of rows, of which few change.

A shard is an immutable list of objects. A new object goes to a new shard. So does a changed one: its old row becomes
``superseded``, and a new row is ``present``. An object that disappeared is ``gone``.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from arot_assets.datasets.declaration import DatasetDeclaration
from arot_assets.datasets.listing import list_source
from arot_assets.datasets.objects import LISTED, STAMP, FolderMetadata, Known, Listing, ListingNotes
from arot_assets.datasets.sources.pinned import pin
from resources.errors import ArotError
from resources.storage import Storage
from resources.storage.member_address import EXTENSIONS as ARCHIVE_EXTENSIONS
from resources.tables import INVENTORY, TableRef, Tables

SIGNATURE = "source_signature"
"""Footer key: the result of ``sources.pinned`` before the listing, empty if there is none."""
COMMIT = "commit"
"""Footer key: the commit of the Hub that was listed, empty for other sources."""
ARCHIVES = "archives"
"""Footer key: the ``archives`` of the declaration (JSON), empty without."""
TOLD = "told_of_archives"
"""Footer key: uri of an archive -> what is not included of it, and why (JSON), since it is not opened each time."""
FOLDER_METADATA = "folder_metadata"
"""Footer key: metadata files and what is not included of them (JSON), since they are not read each time."""
NOT_TAKEN = "not_taken"
"""Footer key: the result of ``not_taken`` for the listing."""
REVALIDATED = "revalidated"
"""Footer key: not empty if the servers of a list of URLs were asked for changes."""
ROOT = "root"
"""Footer key: the common prefix of the URIs of the last listing."""
EARLIER_ROOTS = "earlier_roots"
"""Footer key: the roots of earlier listings (JSON), newest first; rows of objects that disappeared start with them."""
MEDIUM = "medium"
"""Footer key: the name of the dataset's medium; absent in inventories from before there were several
(``media.FIRST``)."""
RULES = "urls"
"""Footer key: the ``urls`` of the declaration (JSON), empty without; for code that knows a dataset only by name."""
PACKED = {extension[extension.rindex(".") :] for extension in ARCHIVE_EXTENSIONS}
PROBLEMS = "problems"
"""Footer key: what the user should know about the listing, one note per line."""
ASKED_FROM = 20
"""Vanished objects below this number are only reported, even if they are a large fraction of a small source."""
WARN_SHARDS = 10_000
Rows = NDArray[np.int64]

SCHEMA = pa.schema(
    [
        *LISTED,
        pa.field("shard", pa.string(), metadata={"description": "the Dagster partition that it belongs to"}),
        pa.field("first_seen", STAMP, metadata={"description": "first listing that contained it in this state"}),
        pa.field("last_seen", STAMP, metadata={"description": "last listing that contained it in this state"}),
        pa.field("state", pa.string(), metadata={"description": "present | gone | superseded"}),
    ]
)


class InventoryError(ArotError):
    """A source that cannot be used as it is; the message names it, the cause and the remedy."""


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
class Survey:
    """The result of listing a source.

    Attributes:
        changes: the next inventory.
        listing: the current contents of the source.
        footer: the footer of the new inventory file.
    """

    changes: InventoryChanges
    listing: Listing
    footer: Mapping[str, str]


@dataclass(frozen=True)
class Difference:
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


def compare(previous: pa.Table | None, objects: pa.Table) -> Difference:
    """What is new, changed and gone.

    Args:
        previous: the previous inventory, None at first.
        objects: schema ``LISTED``, one row per object, in any order.
    """
    before = (previous if previous is not None else SCHEMA.empty_table()).combine_chunks()
    present = np.flatnonzero(pc.equal(before["state"], "present").to_numpy())
    known = before["uri"] if len(present) == before.num_rows else before["uri"].take(pa.array(present))
    found = pc.index_in(objects["uri"], value_set=known.combine_chunks())
    listed = np.flatnonzero(found.is_valid().to_numpy())
    rows = present[found.drop_null().to_numpy()]

    def same(*columns: str) -> NDArray[np.bool_]:
        result = np.ones(len(rows), np.bool_)
        for name in columns:
            result &= _equal(before[name].take(pa.array(rows)), objects[name].take(pa.array(listed)))
        return result

    whole = same("size", "mtime", "etag", "sidecars", "sidecar_mtime", "metadata")
    return Difference(
        new=np.flatnonzero(found.is_null().to_numpy()),
        changed=listed[~whole],
        outdated=rows[~whole],
        gone=np.setdiff1d(present, rows, assume_unique=True),
        unchanged=rows[whole],
    )


def _equal(left: pa.ChunkedArray, right: pa.ChunkedArray) -> NDArray[np.bool_]:
    """Value by value; null equals null."""
    if pa.types.is_list(left.type):
        left, right = (pc.binary_join(side, "\0") for side in (left, right))
    both_null = pc.and_(left.is_null(), right.is_null())
    return pc.or_(pc.fill_null(pc.equal(left, right), False), both_null).to_numpy()


def plan(
    previous: pa.Table | None,
    objects: pa.Table,
    now: datetime,
    shard_size: int,
    difference: Difference | None = None,
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
    taken = objects.take(pa.array(rows))
    return taken.take(pc.sort_indices(taken["uri"]))


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


def carry(previous: pa.Table | None, listing: Listing) -> Listing:
    """A listing of URLs with size, time and etag taken from the inventory, so that only the list itself is compared.

    Args:
        previous: the previous inventory, None at first.
        listing: of a list, which contains none of these.
    """
    if previous is None:
        return listing
    present = previous.filter(pc.equal(previous["state"], "present"))
    objects = listing.objects
    rows = pc.index_in(objects["uri"], value_set=present["uri"].combine_chunks())
    for name in ("size", "mtime", "etag"):
        objects = objects.set_column(LISTED.get_field_index(name), LISTED.field(name), present[name].take(rows))
    return replace(listing, objects=objects)


def not_taken(listing: Listing) -> str:
    """What a source contains besides the files that are included, by extension or cause, in words; empty if nothing."""
    counts = sorted(listing.ignored.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count:,} x {what}" for what, count in counts)


def read_inventory(tables: Tables, dataset: str) -> pa.Table | None:
    """The inventory as last written, None before the first. Columns that it does not have yet are null."""
    ref = TableRef(dataset, INVENTORY)
    if not tables.exists(ref):
        return None
    found = tables.read(ref)
    for field_ in SCHEMA:
        if field_.name not in found.schema.names:
            found = found.append_column(field_, pa.nulls(found.num_rows, field_.type))
    return found.select(SCHEMA.names)


def known_of(previous: pa.Table | None, footer: Mapping[str, str] | None, declaration: DatasetDeclaration) -> Known:
    """What a listing may take over from the previous inventory; nothing if that was made under other rules.

    Args:
        previous: ``read_inventory``.
        footer: its footer.
        declaration: the dataset.
    """
    if previous is None or footer is None or footer.get(ARCHIVES, "") != _rules(declaration):
        return Known()
    archives = {uri: ListingNotes(**of_it) for uri, of_it in json.loads(footer.get(TOLD) or "{}").items()}
    folder = json.loads(footer.get(FOLDER_METADATA) or "{}")
    if not folder.get("stamp"):
        return Known(previous, archives)
    rows = previous.filter(pc.and_(pc.equal(previous["state"], "present"), pc.is_valid(previous["metadata"])))
    said = dict(zip(rows["uri"].to_pylist(), rows["metadata"].to_pylist(), strict=True))
    return Known(previous, archives, FolderMetadata(**{**folder, "said": said, "told": ListingNotes(**folder["told"])}))


def _rules(declaration: DatasetDeclaration) -> str:
    return declaration.archives.model_dump_json() if declaration.archives is not None else ""


def _roots(footer: Mapping[str, str], root: str) -> dict[str, str]:
    """The roots to be recorded in the next footer, given the previous one, which may be empty; ``root`` is that of the
    listing."""
    known = [footer[ROOT], *json.loads(footer.get(EARLIER_ROOTS, "[]"))] if ROOT in footer else []
    return {ROOT: root, EARLIER_ROOTS: json.dumps([one for one in dict.fromkeys(known) if one != root])}


def _without_great_loss(
    declaration: DatasetDeclaration, previous: pa.Table | None, listing: Listing, footer: Mapping[str, str]
) -> Listing:
    """The listing, with a problem added if more than ``may_vanish`` of the present objects have vanished; only for the
    same source.

    Raises:
        InventoryError: so many have vanished that subsets would shrink before anybody noticed.
    """
    if previous is None or declaration.allow_empty or footer.get(ROOT) != declaration.root:
        return listing
    known = pc.sum(pc.equal(previous["state"], "present")).as_py() or 0
    missing = known - listing.objects.num_rows - len(listing.unsettled)
    if missing <= known * declaration.may_vanish:
        return listing
    told = f"{declaration.name}: {missing:,} of {known:,} objects vanished from '{declaration.source}' at once"
    if missing >= ASKED_FROM:
        share = -(-missing * 100 // known) / 100
        raise InventoryError(
            f"{told}, more than the allowed fraction of {declaration.may_vanish:g}; is the disk mounted, is a folder missing? "
            f"Nothing was changed. If this is intended, set `may_vanish: {share:g}` in its defs.yaml"
        )
    return replace(listing, problems=(told, *listing.problems))


def take_inventory(
    storage: Storage, tables: Tables, declaration: DatasetDeclaration, now: datetime
) -> tuple[InventoryChanges, Listing]:
    """List the source, compare, write the inventory. The table is unchanged if anything fails.

    Raises:
        StorageError: the source cannot be listed, or the store cannot be written.
        InventoryError: every object of a known source has vanished at once (an unmounted disk looks like that).
    """
    found = survey(storage, tables, declaration, now)
    record(tables, declaration.name, found)
    return found.changes, found.listing


def record(tables: Tables, dataset: str, found: Survey) -> None:
    """Write the result of a survey; if its plan does not differ, the inventory is the same except for ``last_seen``.

    Raises:
        StorageError: the store cannot be written; the inventory is unchanged.
    """
    tables.write(found.changes.inventory, TableRef(dataset, INVENTORY), footer=found.footer)


def survey(storage: Storage, tables: Tables, declaration: DatasetDeclaration, now: datetime) -> Survey:
    """List the source and compare it with the inventory; writes nothing.

    Raises:
        StorageError: the source cannot be listed.
        InventoryError: see ``take_inventory``.
    """
    previous = read_inventory(tables, declaration.name)
    footer = tables.footer_if_any(TableRef(declaration.name, INVENTORY))
    pinned = pin(storage, declaration)
    rules = _rules(declaration)
    listing = list_source(storage, declaration, pinned.root, known_of(previous, footer, declaration))
    if listing.objects.num_rows == 0 and not declaration.allow_empty:
        known = 0 if previous is None else pc.sum(pc.equal(previous["state"], "present")).as_py() or 0
        what = f", but {known:,} objects of it are known" if known else ""
        left = f", only files that are not included: {not_taken(listing)}" if listing.ignored else ""
        packed = not declaration.opens_archives and PACKED & listing.ignored.keys()
        remedy = (
            "set `archives: {}` in its defs.yaml to open them, or `urls: {parts: true}` if they are lists of URLs."
            if packed
            else "is the disk mounted, is the path correct?"
        )
        raise InventoryError(
            f"{declaration.name}: source '{declaration.source}' contains no {declaration.medium.name}{what}{left}; {remedy} "
            "Set `allow_empty: true` if this is intended"
        )
    listing = _without_great_loss(declaration, previous, listing, footer or {})
    if declaration.is_url_list:
        listing = carry(previous, listing)
    asked = declaration.urls is not None and declaration.urls.revalidate
    if asked:
        from arot_assets.datasets.sources.revalidation import revalidate

        again = bool((footer or {}).get(REVALIDATED))
        previous, listing = revalidate(storage, declaration, previous, listing, again)
    difference = compare(previous, listing.objects)
    shard_bytes = declaration.shard_gigabytes * 1e9 if declaration.shard_gigabytes is not None else None
    result = plan(previous, listing.objects, now, declaration.shard_size, difference, shard_bytes)
    roots = _roots(footer or {}, declaration.root)
    if footer is None or result.differs:
        change = f"{result.new:,} new, {result.changed:,} changed, {result.gone:,} gone, {result.unchanged:,} unchanged"
        footer = {"changed_at": now.isoformat(), "change": change}
    footer |= {**roots, SIGNATURE: pinned.signature or "", REVALIDATED: "true" if asked else ""}
    footer |= {COMMIT: pinned.commit, ARCHIVES: rules, NOT_TAKEN: not_taken(listing)}
    footer |= {PROBLEMS: "\n".join(listing.problems)}
    footer |= {TOLD: json.dumps({uri: asdict(of_it) for uri, of_it in listing.archives.items()})}
    footer |= {FOLDER_METADATA: json.dumps(asdict(replace(listing.folder, said={})))}
    footer |= {MEDIUM: declaration.medium.name}
    footer |= {RULES: declaration.urls.model_dump_json() if declaration.urls is not None else ""}
    return Survey(result, listing, footer)
