"""Listing: every object that a source shows now.

Belongs here: looking at a source of any kind, files that still grow. Does not belong here: which objects are taken
(``objects.py``), lists and archives (``sources``), what was there before and shards (``inventory.py``).
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.datasets.declaration import DatasetDeclaration
from arot_assets.datasets.objects import (
    PROBLEMS_SHOWN,
    Listing,
    Told,
    extensions,
    found_table,
    is_taken,
    listing_of,
    without,
)
from arot_assets.datasets.reach import reaching
from arot_assets.datasets.sources.archives import is_archive, look_inside
from arot_assets.datasets.sources.hub import open_repository
from arot_assets.datasets.sources.url_list import list_urls
from arot_assets.progress import track
from resources.storage import Storage
from resources.storage.objects import ObjectColumns, is_local


def list_source(
    storage: Storage,
    declaration: DatasetDeclaration,
    root: str = "",
    previous: pa.Table | None = None,
    told: Mapping[str, Told] | None = None,
) -> Listing:
    """List a source: the objects of the dataset's medium, with their sidecars attached.

    Args:
        storage: reaches it.
        declaration: the dataset.
        root: what is listed, if another than the declaration says: the Hub at a commit (``sources.pinned``).
        previous: the inventory so far: what it knows of archives that are as they were is taken over.
        told: what the listing before said of each archive (``Listing.archives``).

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
    growing = []
    if is_local(where):  # elsewhere an object appears whole
        growing = _growing(storage, declaration, found)
    if declaration.opens_archives:
        listing = _opened(storage, declaration, where, found, growing, previous, told or {})
    else:
        listing = listing_of(found, declaration.medium, growing)
    return _with_skipped(listing, skipped)


def _with_skipped(listing: Listing, skipped: Sequence[tuple[str, str]]) -> Listing:
    """The listing with entries that are no files: each counted, and the first ones named."""
    if not skipped:
        return listing
    problems = [f"{what}: {uri}" for uri, what in sorted(skipped)]
    return replace(
        listing,
        ignored=dict(Counter(listing.ignored) + Counter(what for _, what in skipped)),
        problems=tuple([*listing.problems, *problems][:PROBLEMS_SHOWN]),
    )


def _opened(
    storage: Storage,
    declaration: DatasetDeclaration,
    root: str,
    found: pa.Table,
    growing: Sequence[str],
    previous: pa.Table | None,
    told: Mapping[str, Told],
) -> Listing:
    """The listing of a source whose archives are opened."""
    metadata: dict[str, str] = {}
    problems: list[str] = []
    ignored: Counter[str] = Counter()
    if declaration.on_hub:
        repository = open_repository(storage, declaration, found, previous)
        found, metadata, problems = repository.files, repository.metadata, repository.problems
        ignored += repository.ignored
    packed = is_archive(found["uri"])
    settled = found.filter(pc.and_(packed, without(found, growing)))
    inside = look_inside(storage, declaration, root, settled, previous, told)
    listing = listing_of(found.filter(pc.invert(packed)), declaration.medium, growing, metadata)
    problems += [problem for of_it in inside.told.values() for problem in of_it.problems]
    ignored += inside.ignored + Counter(listing.ignored)
    for of_it in inside.told.values():
        ignored += Counter(of_it.ignored)
    return Listing(
        pa.concat_tables([listing.objects, inside.objects]),
        dict(ignored),
        tuple(growing),
        tuple([*problems, *listing.problems][:PROBLEMS_SHOWN]),
        inside.told,
    )


def _growing(storage: Storage, declaration: DatasetDeclaration, found: pa.Table) -> list[str]:
    """Look twice at files that changed a moment ago; gives those that still change."""
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
