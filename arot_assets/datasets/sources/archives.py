"""Tar, zip and Parquet files of a source, opened: their members are the objects.

Belongs here: which archives are opened, which are known already, and what Parquet columns say about images. Does not
belong here: opening them (``resources.storage.members.backend``).

An unchanged archive is not opened again: its rows are taken from the inventory. One that cannot be opened, or only
partially, is an object too, ``<archive>!/``, whose sample gives the reason; so nothing in it is lost silently.
"""

import fnmatch
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.datasets.declaration import Archives, DatasetDeclaration
from arot_assets.datasets.objects import FOUND, LISTED, STAMP, KnownObjects, Listing, ListingNotes, listing_of, without
from arot_assets.datasets.sources.folder_metadata import folder_metadata
from arot_assets.datasets.sources.listed import CAPTION_COLUMNS, TAGS_COLUMNS, choose, to_metadata
from arot_assets.media.medium import Medium
from arot_assets.progress import track
from resources.parallel import ordered_map
from resources.storage import Storage, StorageError
from resources.storage.member_address import ARCHIVE, EXTENSIONS, member_uri
from resources.storage.members.backend import MembersBackend, OpenArchive, broken
from resources.storage.objects import is_local

if TYPE_CHECKING:
    from resources.storage.members.columns import ImageColumn
    from resources.storage.members.parquet import ParquetMembers
    from resources.storage.members.reader import ArchiveMember

OPENING_THREADS = 4
"""Archives that are downloaded at a time; each may be gigabytes."""
BATCH = 5000
NO_IMAGES = "Parquet file without a column of images"
EMPTY = "archive without files"
NOT_INCLUDED = "archive that `include` leaves out"
INSIDE = rf"(?i)({ARCHIVE.pattern[: ARCHIVE.pattern.index('!')]})!/.*$"
"""The URI of a member, the extension of its archive first."""


@dataclass
class ArchiveContents:
    """The contents of archives.

    Attributes:
        objects: rows of the images in archives, including unchanged ones, schema ``LISTED``.
        told: uri of an archive -> notes for the user about it; empty for most.
        ignored: cause -> archives that were not opened.
    """

    objects: pa.Table
    told: dict[str, ListingNotes]
    ignored: Counter[str] = field(default_factory=Counter)


def is_archive(uris: pa.ChunkedArray) -> pa.ChunkedArray:
    """A mask of the objects that are archives, by their extension."""
    return pc.match_substring_regex(uris, rf"(?i)({'|'.join(re.escape(e) for e in EXTENSIONS)})$")


def look_inside(
    storage: Storage,
    declaration: DatasetDeclaration,
    root: str,
    archives: pa.Table,
    before: KnownObjects,
) -> ArchiveContents:
    """The contents of a source's archives.

    Args:
        storage: accesses them.
        declaration: the dataset.
        root: root of the listing.
        archives: schema ``FOUND``.
        before: what the previous inventory knows about archives.
    """
    rules = declaration.archives or Archives()
    wanted = archives.filter(_included(archives["uri"], root, rules.include))
    known, fresh = _known(before.rows, wanted)
    unknown = wanted.filter(pc.is_in(wanted["uri"], value_set=pa.array(fresh, pa.string())))
    stays = set(wanted["uri"].to_pylist()).difference(fresh)
    result = ArchiveContents(known, {uri: of_it for uri, of_it in before.archives.items() if uri in stays})
    if wanted.num_rows < archives.num_rows:
        result.ignored[NOT_INCLUDED] = archives.num_rows - wanted.num_rows
    if not fresh:
        return result
    threads = None if is_local(root) else OPENING_THREADS
    objects = [known]

    def opened(one: Mapping[str, Any]) -> tuple[str, Listing]:
        return one["uri"], _listing(storage, declaration.medium, one, rules)

    with (
        track(f"{declaration.name}: opening archives", len(fresh)) as advance,
        closing(ordered_map(opened, unknown.to_pylist(), threads)) as listings,
    ):
        for uri, listing in listings:
            advance(1)
            objects.append(listing.objects)
            if listing.ignored or listing.problems:
                result.told[uri] = ListingNotes(listing.ignored, listing.problems)
    result.objects = pa.concat_tables(objects)
    return result


def _listing(storage: Storage, medium: Medium, archive: Mapping[str, Any], rules: Archives) -> Listing:
    """The files of one archive with their sidecars and metadata."""
    uri = archive["uri"]
    is_parquet = uri.lower().endswith(".parquet")
    found, metadata, problems = _read(storage, archive, rules)
    if not found.num_rows:
        return Listing(LISTED.empty_table(), {NO_IMAGES if is_parquet else EMPTY: 1}, problems=tuple(problems))
    if is_parquet:
        return replace(listing_of(found, medium, metadata=metadata, cells=True), problems=tuple(problems))
    folder = folder_metadata(storage, found, medium, rules)
    listing = listing_of(found.filter(without(found, folder.files)), medium, metadata=folder.said)
    return replace(
        listing,
        ignored=dict(Counter(listing.ignored) + Counter(folder.told.ignored)),
        problems=(*problems, *folder.told.problems, *listing.problems),
    )


def _included(uris: pa.ChunkedArray, root: str, patterns: list[str]) -> pa.Array:
    prefix = root.rstrip("/") + "/"
    names = (uri.removeprefix(prefix) for uri in uris.to_pylist())
    return pa.array([not patterns or any(fnmatch.fnmatchcase(n, p) for p in patterns) for n in names], pa.bool_())


def _known(previous: pa.Table | None, archives: pa.Table) -> tuple[pa.Table, list[str]]:
    """Rows of the unchanged archives, and the uris of the others."""
    if previous is None or not archives.num_rows:
        return LISTED.empty_table(), archives["uri"].to_pylist()
    present = previous.filter(pc.equal(previous["state"], "present")).select(LISTED.names)
    present = present.filter(pc.match_substring_regex(present["uri"], INSIDE))
    holder = pc.replace_substring_regex(present["uri"], INSIDE, r"\1")
    times = pc.cast(pc.multiply(archives["mtime"], 1e6), pa.int64(), safe=False).cast(STAMP)
    now = dict(
        zip(archives["uri"].to_pylist(), zip(archives["etag"].to_pylist(), times.to_pylist(), strict=True), strict=True)
    )
    then = dict(
        zip(
            holder.to_pylist(), zip(present["etag"].to_pylist(), present["mtime"].to_pylist(), strict=True), strict=True
        )
    )
    same = {uri for uri, (etag, mtime) in now.items() if uri in then and _same(then[uri], (etag, mtime))}
    kept = present.filter(pc.is_in(holder, value_set=pa.array(sorted(same), pa.string())))
    return kept, [uri for uri in now if uri not in same]


def _same(then: tuple[Any, Any], now: tuple[Any, Any]) -> bool:
    """Compared by etag if there is one, otherwise by time."""
    return bool(then[0] == now[0]) if now[0] is not None else bool(then == now)


def _read(storage: Storage, archive: Mapping[str, Any], rules: Archives) -> tuple[pa.Table, dict[str, str], list[str]]:
    """The members of one archive, their metadata, and notes for the user about it.

    A damaged archive stays damaged until it changes; one that was inaccessible may be accessible next time, so its
    state is not recorded.
    """
    from resources.storage.members.parquet import ParquetMembers

    uri = archive["uri"]
    metadata: dict[str, str] = {}
    try:
        opened = storage.using(MembersBackend).opened(uri)
        if isinstance(opened.content, ParquetMembers):
            objects, metadata, problems = _cells(opened, opened.content, rules)
        else:
            found: list[ArchiveMember] = []
            odd: list[ArchiveMember] = []
            for entry in opened.content.entries():
                # an entry that is not a file and has no extension is not treated as an image to be recognized by its content
                taken = entry.problem is None or "." in entry.name.rpartition("/")[2]
                (found if taken else odd).append(entry)
            objects = _table(opened, [e.name for e in found], [e.size for e in found])
            problems = [f"{uri}: {note}" for note in opened.content.notes]
            problems += [f"{uri}: '{e.name}': {e.problem}" for e in odd]
        if opened.content.problem is None:
            return objects, metadata, problems
        error = broken(uri, opened.content.problem)
    except StorageError as failed:
        if failed.kind == "invalid":  # the error is in the declaration, not in the archive
            raise
        objects, metadata, problems, error = FOUND.empty_table(), {}, [], failed
    mtime, etag = (archive["mtime"], archive["etag"]) if error.kind == "format" else (0.0, None)
    whole = pa.table([[member_uri(uri, "")], [None], [mtime], [etag]], schema=FOUND)
    return pa.concat_tables([objects, whole]), metadata, [str(error), *problems]


def _table(opened: OpenArchive, names: Sequence[str], sizes: Sequence[int | None]) -> pa.Table:
    """Members with these names, schema ``FOUND``."""
    info = opened.info
    uris = [member_uri(info.uri, name) for name in names]
    columns = [uris, sizes, [info.mtime] * len(uris), [info.etag] * len(uris)]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, FOUND, strict=True)], schema=FOUND)


def _cells(
    opened: OpenArchive, content: "ParquetMembers", rules: Archives
) -> tuple[pa.Table, dict[str, str], list[str]]:
    """The images of a Parquet file, metadata from its other columns, and notes for the user."""
    uri = opened.info.uri
    try:
        pictures = content.places_of(rules.picture_column)
    except KeyError:
        raise _unknown_column(uri, "picture_column", rules.picture_column, content.schema.names) from None
    if not pictures:
        shown = ", ".join(f"{f.name} ({f.type})" for f in content.schema)
        remedy = "name the column: `archives: {picture_column: …}`; for lists of URLs set `urls: {parts: true}`"
        return FOUND.empty_table(), {}, [f"{uri}: no column contains images: {shown}; {remedy}"]
    try:
        rows = list(content.cells(pictures))
        metadata = dict(_said(opened, content, pictures, rows, rules))
    except (pa.ArrowException, OSError) as error:
        raise broken(uri, str(error)) from error
    names = [name for row in rows for name in row]
    return _table(opened, names, [None] * len(names)), metadata, []


def _said(
    opened: OpenArchive,
    content: "ParquetMembers",
    pictures: "list[ImageColumn]",
    rows: list[list[str]],
    rules: Archives,
) -> Iterator[tuple[str, str]]:
    """What the other columns of a Parquet file say about its images."""
    uri = opened.info.uri
    columns = content.other_columns(pictures)
    caption = choose(columns, rules.caption_column, CAPTION_COLUMNS)
    tags = choose(columns, rules.tags_column, TAGS_COLUMNS)
    for key, name, which in (
        ("caption_column", rules.caption_column, caption),
        ("tags_column", rules.tags_column, tags),
    ):
        if name and which is None:
            raise _unknown_column(uri, key, name, columns)
    if not columns:
        return
    row = 0
    for batch in content.batches(columns, BATCH):
        for one in batch.to_pylist():
            text = metadata_of(one, caption, tags)
            if text is not None:
                for name in rows[row]:
                    yield member_uri(uri, name), text
            row += 1


def _unknown_column(uri: str, key: str, name: str, columns: Sequence[str]) -> StorageError:
    return StorageError(
        f"'{uri}' has no column {name!r}; it has {', '.join(columns)}; name one of them: "
        f"`archives: {{{key}: …}}` in its defs.yaml",
        kind="invalid",
    )


def metadata_of(row: Mapping[str, Any], caption: str | None, tags: str | None) -> str | None:
    """The metadata of an image from its row, see ``listed.to_metadata``."""
    rest = {k: v for k, v in row.items() if k not in (caption, tags)}
    return to_metadata(row.get(caption or ""), row.get(tags or ""), rest)
