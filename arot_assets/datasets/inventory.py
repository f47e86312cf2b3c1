"""Inventory: every object seen at a source, and the shard that each belongs to.

Belongs here: taking an inventory, its file and its footer. Does not belong here: comparing it with the previous one
(``changes.py``), reading the source (``listing.py``), the contents of the objects (``samples.py``).
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.datasets.changes import SCHEMA, InventoryChanges, compare, plan
from arot_assets.datasets.declaration import DatasetDeclaration
from arot_assets.datasets.listing import list_source
from arot_assets.datasets.objects import LISTED, FolderMetadata, KnownObjects, Listing, ListingNotes
from arot_assets.datasets.sources.pinned import PinnedSource, pin
from arot_assets.datasets.unchanged import is_unchanged, note_seen
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


class InventoryError(ArotError):
    """A source that cannot be used as it is; the message names it, the cause and the remedy."""


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
    rows = pc.index_in(objects["uri"], value_set=present["uri"])
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


def known_of(
    previous: pa.Table | None, footer: Mapping[str, str] | None, declaration: DatasetDeclaration
) -> KnownObjects:
    """What a listing may take over from the previous inventory; nothing if that was made under other rules.

    Args:
        previous: ``read_inventory``.
        footer: its footer.
        declaration: the dataset.
    """
    if previous is None or footer is None or footer.get(ARCHIVES, "") != _rules(declaration):
        return KnownObjects()
    archives = {uri: ListingNotes(**of_it) for uri, of_it in json.loads(footer.get(TOLD) or "{}").items()}
    folder = json.loads(footer.get(FOLDER_METADATA) or "{}")
    if not folder.get("stamp"):
        return KnownObjects(previous, archives)
    rows = previous.filter(pc.and_(pc.equal(previous["state"], "present"), pc.is_valid(previous["metadata"])))
    said = dict(zip(rows["uri"].to_pylist(), rows["metadata"].to_pylist(), strict=True))
    return KnownObjects(
        previous, archives, FolderMetadata(**{**folder, "said": said, "told": ListingNotes(**folder["told"])})
    )


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
    change = {}
    if footer is None or result.differs:
        told = f"{result.new:,} new, {result.changed:,} changed, {result.gone:,} gone, {result.unchanged:,} unchanged"
        change = {"changed_at": now.isoformat(), "change": told}
    return Survey(result, listing, _footer(declaration, pinned, listing, footer or {}, change))


def _footer(
    declaration: DatasetDeclaration,
    pinned: PinnedSource,
    listing: Listing,
    before: Mapping[str, str],
    change: Mapping[str, str],
) -> dict[str, str]:
    """The footer of the next inventory.

    Args:
        declaration: the dataset.
        pinned: the source before it was listed.
        listing: of it.
        before: the previous footer, which may be empty.
        change: what changed and when; empty if nothing did, and then the previous words stay.
    """
    asked = declaration.urls is not None and declaration.urls.revalidate
    return {
        **(change or before),
        **_roots(before, declaration.root),
        SIGNATURE: pinned.signature or "",
        REVALIDATED: "true" if asked else "",
        COMMIT: pinned.commit,
        ARCHIVES: _rules(declaration),
        NOT_TAKEN: not_taken(listing),
        PROBLEMS: "\n".join(listing.problems),
        TOLD: json.dumps({uri: asdict(of_it) for uri, of_it in listing.archives.items()}),
        FOLDER_METADATA: json.dumps(asdict(replace(listing.folder, said={}))),
        MEDIUM: declaration.medium.name,
        RULES: declaration.urls.model_dump_json() if declaration.urls is not None else "",
    }


def seen_again(storage: Storage, tables: Tables, declaration: DatasetDeclaration, now: datetime) -> bool:
    """List the source; if it is what the inventory says, note that it was seen again. Otherwise nothing is written.

    A folder or bucket is compared batch by batch (``unchanged.py``); where a listing takes over what the inventory knows, as
    for archives and lists of URLs, that is read whole.

    Raises:
        StorageError: the source cannot be listed, or the store cannot be written.
        InventoryError: see ``take_inventory``.
    """
    ref = TableRef(declaration.name, INVENTORY)
    footer = tables.footer_if_any(ref)
    if footer is not None and _is_plain(declaration, footer) and set(tables.descriptions(ref)) == {*SCHEMA.names}:
        pinned = pin(storage, declaration)
        listing = list_source(storage, declaration, pinned.root)
        same = is_unchanged(tables, declaration.name, listing.objects) if listing.objects.num_rows else None
        if same:
            note_seen(tables, declaration.name, now, _footer(declaration, pinned, listing, footer, {}))
        if same is not None:
            return same
    found = survey(storage, tables, declaration, now)
    if not found.changes.differs:
        record(tables, declaration.name, found)
    return not found.changes.differs


def _is_plain(declaration: DatasetDeclaration, footer: Mapping[str, str]) -> bool:
    """Whether a listing of the source needs nothing that the inventory knows."""
    knows = declaration.is_url_list or declaration.opens_archives or declaration.on_hub
    folder = json.loads(footer.get(FOLDER_METADATA) or "{}")
    return not (knows or footer.get(ARCHIVES) or folder.get("stamp"))
