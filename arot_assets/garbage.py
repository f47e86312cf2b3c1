"""What lies in the store and nothing refers to any more.

Belongs here: finding it, with its size and the reason; removing what a person agreed to. Does not belong here: which tables their
declarations no longer name (``leftovers.py``, ``subsets/leftovers.py``), damage (``verify.py``).

Never among it: ratings, which people made; the models that were promoted once, to which a rollback returns; the records of
exports, without which a takedown would not find what was published.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.promotion import ROOT as CLASSIFIERS
from arot_assets.classifiers.promotion import current, decisions, digests, latest
from arot_assets.classifiers.steps import label_sources
from arot_assets.declarations import Declarations
from arot_assets.exports.versions import ROOT as EXPORTS
from arot_assets.leftovers import leftover_datasets, leftover_metrics, leftover_rows
from arot_assets.neighbours.declaration import NeighboursDeclaration
from arot_assets.neighbours.table import CENTRES
from arot_assets.subsets.leftovers import leftover_models
from arot_assets.subsets.project import Project
from arot_assets.subsets.versions import versioned
from arot_assets.whole import WHOLE
from resources.defaults import Resources
from resources.errors import ArotError
from resources.storage.storage import Storage, StorageError, join
from resources.tables import INVENTORY, ModelRef, TableRef, Tables
from resources.tables.leases import Holder
from resources.tables.refs import CLIPS, DATASETS, LEASES, SUFFIX
from resources.warehouse.views import files

SILENT_SECONDS = 86_400
"""After how long without a sign of life a reservation counts as left behind: a living process gives one every 20 s, and two
machines may be hours apart."""
THREADS = 16
"""Objects that are deleted at a time."""


class GarbageError(ArotError):
    """It cannot be told what nothing refers to."""


@dataclass(frozen=True)
class Garbage:
    """A folder or an object that nothing refers to.

    Attributes:
        uri: where it is.
        why: why nothing refers to it.
        objects: the URIs of its objects.
        bytes: of all of them.
    """

    uri: str
    why: str
    objects: tuple[str, ...]
    bytes: int


def find_garbage(declared: Declarations, project: Project, resources: Resources) -> list[Garbage]:
    """Everything in the store that no declaration, SQL model or pointer refers to; changes nothing.

    What a run has reserved is in use, whoever declares it.

    Raises:
        StorageError: the store cannot be read.
        GarbageError: no dataset is declared here, so that nothing would be left.
    """
    storage, tables = resources.storage, resources.tables
    if not declared.datasets and not declared.faults and tables.datasets():
        raise GarbageError(
            f"no dataset is declared here, and '{tables.root}' has tables of {len(tables.datasets()):,}: run it in their "
            "project; `arot rm -r` removes what really nobody needs"
        )
    found = dict(_candidates(declared, project, resources))
    in_use = [
        _used_by(tables, name) for name in tables.list(LEASES) if join(tables.root, f"{LEASES}/{name}") not in found
    ]
    for uri in [uri for uri in found if any(_overlap(uri.removesuffix(SUFFIX), used) for used in in_use)]:
        del found[uri]
    whole = [uri for uri in found if not any(uri.startswith(f"{other}/") for other in found)]
    sized = [_sized(storage, uri, found[uri]) for uri in sorted(whole)]
    return [one for one in sized if one is not None and one.uri != tables.root]


def remove_garbage(storage: Storage, garbage: Iterable[Garbage]) -> list[tuple[str, StorageError]]:
    """Delete it; gives what could not be deleted, with the reason."""
    uris = [uri for one in garbage for uri in one.objects]
    if not uris:
        return []
    results = storage.backend(uris[0]).remove(uris, THREADS)
    return [(uri, error) for uri, error in results if error is not None]


def still_garbage(agreed: Iterable[Garbage], now: Iterable[Garbage]) -> list[Garbage]:
    """What a person agreed to remove and is still found: declarations and runs may have changed while they read the list."""
    objects = {one.uri: {*one.objects} for one in now}
    kept = (replace(one, objects=tuple(o for o in one.objects if o in objects.get(one.uri, ()))) for one in agreed)
    return [one for one in kept if one.objects]


def undecided(declared: Declarations, project: Project) -> list[str]:
    """Files that do not tell what they declare: while there are any, nothing counts as not declared. One line each."""
    said = [f"{path} cannot be read: tables that it may declare are kept" for path in declared.unread]
    if any(str(name).endswith(".yml") for name in project.broken) and not project.models:
        said.append(f"the SQL project in {project.folder} cannot be read: tables of its models are kept")
    return said


def _read(declared: Declarations, project: Project) -> set[tuple[str, str]]:
    """Schema and table of what SQL models and the labels of classifiers read."""
    found: set[tuple[str, str]] = set()
    for name in project.models:
        found |= {(one.schema, one.identifier) for one in (project.source(*s) for s in project.inputs(name)[1])}
    for classifier in declared.of(ClassifierDeclaration).values():
        found |= {(path[0], path[-1]) for path in label_sources(classifier)}
    return found


def _used_by(tables: Tables, lease: str) -> str:
    """What somebody who has a reservation may be writing."""
    parts = lease.split(".")
    if parts[0] == WHOLE:  # of an asset: a folder of classifiers or exports, else a table of a dataset
        parts = parts[1:3] if parts[1] in (CLASSIFIERS, EXPORTS) else [DATASETS, *parts[1:]]
    return join(tables.root, "/".join(parts))


def _overlap(uri: str, used: str) -> bool:
    return uri == used or used.startswith(f"{uri}/") or uri.startswith(f"{used}/")


def _candidates(declared: Declarations, project: Project, resources: Resources) -> Iterator[tuple[str, str]]:
    tables = resources.tables
    yield from _given_up(resources.storage, tables)
    for dataset in declared.datasets:
        yield from _forgotten_shards(resources, dataset)
    if undecided(declared, project):
        return
    read = _read(declared, project)
    for name in leftover_datasets(declared, tables):
        if any(schema == name for schema, _ in read):
            continue  # a dataset of another project, which this one reads
        yield tables.dataset_folder(name), "no dataset of this name is declared"
    for name, folder in leftover_rows(declared, tables):
        yield folder, f"finished rows of '{name}', which is not declared"
    for name in sorted({file.removesuffix(SUFFIX) for file in tables.list(CLIPS)}):
        if name not in declared.datasets and declared.fault(name) is None:
            for uri in (join(tables.root, f"{CLIPS}/{name}"), join(tables.root, f"{CLIPS}/{name}{SUFFIX}")):
                yield uri, f"clips of '{name}', which is not declared"
    for ref in leftover_metrics(declared, tables):
        if (ref.dataset, ref.table) in read:
            continue
        yield tables.folder(ref), f"'{ref.dataset}' no longer declares the table '{ref.table}'"
    for name in leftover_models(project, tables):
        yield tables.uri(ModelRef(name)), "no SQL model of this name is stored"
    for name, folder in versioned(tables):
        if name not in project.models and name not in project.broken:
            yield folder, "earlier versions of a SQL model that is no longer there"
    for dataset in declared.datasets:
        for name in (table.removesuffix(CENTRES) for table in tables.of(dataset) if table.endswith(CENTRES)):
            if name not in declared.of(NeighboursDeclaration) and declared.fault(name) is None:
                yield tables.uri(TableRef(dataset, f"{name}{CENTRES}")), f"centres of '{name}', which is not declared"
    for name in tables.list(CLASSIFIERS):
        yield from _models(declared, tables, name)


def _given_up(storage: Storage, tables: Tables) -> Iterator[tuple[str, str]]:
    """Reservations of tables that nobody will give back: of a process that has ended, or without a sign of life for long."""
    for name in tables.list(LEASES):
        uri = join(tables.root, f"{LEASES}/{name}")
        try:
            written, holder = storage.stat(uri).mtime, Holder.decoded(storage.read_bytes(uri))
        except StorageError as error:
            if error.kind != "not_found":
                raise
            continue  # it was given back at this moment
        silent = bool(written) and time.time() - written > max(SILENT_SECONDS, 10 * holder.seconds)
        if holder.is_gone or silent:
            yield uri, f"a reservation that {holder} did not give back"


def _forgotten_shards(resources: Resources, dataset: str) -> Iterator[tuple[str, str]]:
    """Files of shards that the inventory does not name."""
    tables = resources.tables
    # before the inventory: a shard is planned before it has files
    there = [TableRef(dataset, table, shard) for table in tables.of(dataset) for shard in tables.shards(dataset, table)]
    if not there or not tables.exists(TableRef(dataset, INVENTORY)):
        return
    rows = resources.warehouse.rows(f"select distinct shard from {files(tables, dataset, INVENTORY)}")
    planned = {shard for (shard,) in rows}
    for ref in there:
        if ref.shard not in planned:
            yield tables.uri(ref), "its inventory has no such shard"


def _models(declared: Declarations, tables: Tables, name: str) -> Iterator[tuple[str, str]]:
    """Models of a classifier that was removed, and those that never scored and are not the last."""
    folder = join(tables.root, f"{CLASSIFIERS}/{name}")
    if name not in declared.of(ClassifierDeclaration):
        if declared.fault(name) is None:
            yield folder, "no classifier of this name is declared"
        return
    there = digests(tables, name)  # before the pointers: a model is written before anything points to it
    pointers = [pointer for pointer in (current(tables, name), latest(tables, name)) if pointer is not None]
    scored = {d.digest for d in decisions(tables, name) if d.choice != "kept"}
    scored |= {d.against for d in decisions(tables, name)} | {pointer.digest for pointer in pointers}
    for digest in there:
        if digest not in scored:
            yield f"{folder}/{digest}", "a model that never scored, and a later one was trained"


def _sized(storage: Storage, uri: str, why: str) -> Garbage | None:
    """The objects of a candidate; None if there are none, such as of an empty folder."""
    try:
        found = list(storage.ls(uri))
    except StorageError as error:
        if error.kind != "not_found":
            raise
        return None
    if not found:
        return None
    return Garbage(uri, why, tuple(info.uri for info in found), sum(info.size for info in found))
