"""What lies in the store and nothing refers to any more.

Belongs here: finding it, with its size and the reason; removing what a person agreed to. Does not belong here: which tables their
declarations no longer name (``leftovers.py``, ``subsets/leftovers.py``), damage (``verify.py``).

Never among it: ratings, which people made; the models that were promoted once, to which a rollback returns; the records of
exports, without which a takedown would not find what was published.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.promotion import ROOT as CLASSIFIERS
from arot_assets.classifiers.promotion import current, decisions, digests, latest
from arot_assets.declarations import Declarations
from arot_assets.leftovers import leftover_datasets, leftover_metrics, leftover_rows
from arot_assets.neighbours.declaration import NeighboursDeclaration
from arot_assets.neighbours.table import CENTRES
from arot_assets.subsets.leftovers import leftover_models
from arot_assets.subsets.project import Project
from arot_assets.subsets.versions import versioned
from resources.defaults import Resources
from resources.storage.storage import Storage, StorageError, join
from resources.tables import INVENTORY, ModelRef, TableRef, Tables
from resources.tables.leases import Holder
from resources.tables.refs import CLIPS, LEASES, SUFFIX
from resources.warehouse.views import files

SILENT_SECONDS = 86_400
"""After how long without a sign of life a reservation counts as left behind: a living process gives one every 20 s, and two
machines may be hours apart."""
THREADS = 16
"""Objects that are deleted at a time."""


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

    Raises:
        StorageError: the store cannot be read.
    """
    storage, tables = resources.storage, resources.tables
    found = dict(_candidates(declared, project, resources))
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


def _candidates(declared: Declarations, project: Project, resources: Resources) -> Iterator[tuple[str, str]]:
    tables = resources.tables
    for name in leftover_datasets(declared, tables):
        yield tables.dataset_folder(name), "no dataset of this name is declared"
    for name, folder in leftover_rows(declared, tables):
        yield folder, f"finished rows of '{name}', which is not declared"
    for name in sorted({file.removesuffix(SUFFIX) for file in tables.list(CLIPS)}):
        if name not in declared.datasets and declared.fault(name) is None:
            for uri in (join(tables.root, f"{CLIPS}/{name}"), join(tables.root, f"{CLIPS}/{name}{SUFFIX}")):
                yield uri, f"clips of '{name}', which is not declared"
    for ref in leftover_metrics(declared, tables):
        yield tables.folder(ref), f"'{ref.dataset}' no longer declares the table '{ref.table}'"
    for name in leftover_models(project, tables):
        yield tables.uri(ModelRef(name)), "no SQL model of this name is stored"
    for name, folder in versioned(tables):
        if name not in project.models and name not in project.broken:
            yield folder, "earlier versions of a SQL model that is no longer there"
    yield from _given_up(resources.storage, tables)
    for dataset in declared.datasets:
        yield from _forgotten_shards(resources, dataset)
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
    if not tables.exists(TableRef(dataset, INVENTORY)):
        return
    rows = resources.warehouse.rows(f"select distinct shard from {files(tables, dataset, INVENTORY)}")
    planned = {shard for (shard,) in rows}
    for table in tables.of(dataset):
        for shard in tables.shards(dataset, table):
            if shard not in planned:
                yield tables.uri(TableRef(dataset, table, shard)), "its inventory has no such shard"


def _models(declared: Declarations, tables: Tables, name: str) -> Iterator[tuple[str, str]]:
    """Models of a classifier that was removed, and those that never scored and are not the last."""
    folder = join(tables.root, f"{CLASSIFIERS}/{name}")
    if name not in declared.of(ClassifierDeclaration):
        if declared.fault(name) is None:
            yield folder, "no classifier of this name is declared"
        return
    pointers = [pointer for pointer in (current(tables, name), latest(tables, name)) if pointer is not None]
    scored = {d.digest for d in decisions(tables, name) if d.choice != "kept"}
    scored |= {d.against for d in decisions(tables, name)} | {pointer.digest for pointer in pointers}
    for digest in digests(tables, name):
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
