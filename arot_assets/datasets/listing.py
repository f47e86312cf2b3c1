"""Listing: every object that a source contains now.

Belongs here: listing a source of any kind, files that are still growing. Does not belong here: which objects are
included (``objects.py``), lists and archives (``sources``), previous contents and shards (``inventory.py``).
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.datasets.declaration import Archives, DatasetDeclaration
from arot_assets.datasets.objects import (
    LISTED,
    PROBLEMS_SHOWN,
    KnownObjects,
    Listing,
    ListingNotes,
    extensions,
    found_table,
    is_taken,
    listing_of,
    without,
)
from arot_assets.datasets.reach import reaching
from arot_assets.datasets.sources.archives import is_archive, look_inside
from arot_assets.datasets.sources.folder_metadata import folder_metadata
from arot_assets.datasets.sources.hub import files_of
from arot_assets.datasets.sources.url_list import list_urls
from arot_assets.progress import track
from resources.storage import Storage
from resources.storage.objects import ObjectColumns, is_local


def list_source(
    storage: Storage,
    declaration: DatasetDeclaration,
    root: str = "",
    known: KnownObjects | None = None,
) -> Listing:
    """List a source: the objects of the dataset's medium, with their sidecars attached.

    Args:
        storage: accesses the source.
        declaration: the dataset.
        root: the root to list, if it differs from the declaration: the Hub at a commit (``sources.pinned``).
        known: what the previous inventory knows about unchanged archives and metadata files.

    Raises:
        StorageError: the source, or a folder in it, cannot be listed.
    """
    if declaration.is_url_list:
        return list_urls(reaching(storage, declaration), declaration)
    where = root or declaration.root
    skipped: list[tuple[str, str]] = []

    def noting(listed: Iterable[ObjectColumns]) -> Iterator[ObjectColumns]:
        for columns in listed:
            skipped.extend(columns.skipped)
            yield columns

    with track(f"{declaration.name}: listing {declaration.source}") as advance:
        found = found_table(noting(storage.ls_columns(where, on_progress=advance)))
    growing = _growing(storage, declaration, found) if is_local(where) else []  # elsewhere objects appear complete
    listing = _with_skipped(_listing(storage, declaration, where, found, growing, known or KnownObjects()), skipped)
    del found
    pa.default_memory_pool().release_unused()  # of a million objects, some 25 MB beside 75 that are used
    return listing


def _with_skipped(listing: Listing, skipped: Sequence[tuple[str, str]]) -> Listing:
    """The listing with entries that are not files: all are counted, and the first ones named."""
    if not skipped:
        return listing
    problems = [f"{what}: {uri}" for uri, what in sorted(skipped)]
    return replace(
        listing,
        ignored=dict(Counter(listing.ignored) + Counter(what for _, what in skipped)),
        problems=tuple([*listing.problems, *problems][:PROBLEMS_SHOWN]),
    )


def _listing(
    storage: Storage,
    declaration: DatasetDeclaration,
    root: str,
    found: pa.Table,
    growing: Sequence[str],
    known: KnownObjects,
) -> Listing:
    """The objects of a folder with their sidecars, metadata from metadata files, and the members of archives."""
    ignored: Counter[str] = Counter()
    if declaration.on_hub:
        found, ignored = files_of(storage, found, known.rows)
    folder = folder_metadata(storage, found, declaration.medium, declaration.archives or Archives(), known.folder)
    if folder.files:
        found = found.filter(without(found, folder.files))
    told: Mapping[str, ListingNotes] = {}
    inside = LISTED.empty_table()
    if declaration.opens_archives:
        packed = is_archive(found["uri"])
        archives = look_inside(
            storage, declaration, root, found.filter(pc.and_(packed, without(found, growing))), known
        )
        found, told, inside = found.filter(pc.invert(packed)), archives.told, archives.objects
        ignored += archives.ignored
    loose = listing_of(found, declaration.medium, growing, folder.said)
    every = [folder.told, *told.values(), ListingNotes(loose.ignored, loose.problems)]
    return Listing(
        pa.concat_tables([loose.objects, inside]),
        dict(sum((Counter(one.ignored) for one in every), ignored)),
        tuple(growing),
        tuple([problem for one in every for problem in one.problems][:PROBLEMS_SHOWN]),
        told,
        folder,
    )


def _growing(storage: Storage, declaration: DatasetDeclaration, found: pa.Table) -> list[str]:
    """Check recently modified files twice; returns those that are still changing."""
    seconds = declaration.settle_seconds
    recent = found.filter(pc.greater(found["mtime"], time.time() - seconds))
    extension = extensions(recent["uri"])
    young = recent.filter(pc.or_(is_taken(extension, declaration.medium), is_archive(recent["uri"]))).to_pylist()
    if not young or seconds == 0:
        return []
    time.sleep(min(seconds, max(0.0, max(i["mtime"] for i in young) + seconds - time.time())))

    def changed(uri: str, size: int, mtime: float, **_: object) -> bool:
        return not storage.exists(uri) or storage.stat(uri)[1:3] != (size, mtime)

    return sorted(i["uri"] for i in young if changed(**i))
