"""What left the source, which no view of samples and metrics shows.

Belongs here: the queries for it, and the table of it that all views of a connection share. Does not belong here: the text of the
views (``views.py``), when they are created (``builder.py``).

An object that left the source (inventory state ``gone`` or ``superseded``) keeps its rows in the files, because its content may
come back. The rows of metrics say nothing of objects, so that those of samples tell which they are; a join of ten metrics would
read them ten times. A connection reads them once, and again when the inventory or the samples changed.
"""

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from resources.storage.objects import StorageError, is_local
from resources.tables.parquet_files import TablesError
from resources.tables.refs import INVENTORY, SAMPLES, SUFFIX, TableRef
from resources.tables.tables import Tables
from resources.warehouse.views import files, quote

if TYPE_CHECKING:
    from resources.storage.objects import ObjectInfo
    from resources.warehouse.lake import Connection

SCHEMA = "left the source"
"""Where the tables of a connection are, one for each dataset; no dataset can have this name."""
FAR_SECONDS = 5.0
"""How long a connection to a remote store takes for granted that nothing changed: finding out takes requests."""


def departed(tables: Tables, dataset: str) -> str:
    """The query for the objects whose rows no view shows: ``uri``, ``shard`` of everything that left the source."""
    return f"select uri, shard from {files(tables, dataset, INVENTORY)} where state <> 'present'"


@dataclass(frozen=True)
class DepartedInFiles:
    """Queries that find them whenever a view is read, for a catalogue without tables of its own.

    Args:
        con: reads files.
        tables: the store.
    """

    con: "Connection"
    tables: Tables

    def some(self, dataset: str) -> bool:
        """See ``views.Departed``."""
        return bool(self.con.execute(f"select 1 from ({departed(self.tables, dataset)}) limit 1").fetchall())

    def objects(self, dataset: str) -> str:
        """See ``views.Departed``."""
        return departed(self.tables, dataset)

    def rows(self, dataset: str, samples: str) -> str:
        """See ``views.Departed``."""
        return f"""select s.sample_id, s.shard from {samples} s semi join ({self.objects(dataset)}) l
            on s.uri = l.uri and s.shard = l.shard where s.status = 'ok'"""


@dataclass
class _Known:
    """What is known of a dataset.

    Attributes:
        looked: when that was last compared with the store, in seconds of a clock that never goes back.
        inventory: what distinguishes its inventory from a later one.
        some: whether anything left.
        files: what distinguishes its samples from later ones, once there is a table of what left.
    """

    looked: float
    inventory: str
    some: bool
    files: frozenset["ObjectInfo"] | None = None


class DepartedInTables:
    """The same as tables of a connection, found once and for all its views.

    Args:
        con: where they are created; reads files too.
        tables: the store.
    """

    def __init__(self, con: "Connection", tables: Tables) -> None:
        self._con, self._tables = con, tables
        self._found = DepartedInFiles(con, tables)
        self._known: dict[str, _Known] = {}

    def some(self, dataset: str) -> bool:
        """See ``views.Departed``."""
        if dataset not in self._known:
            version = self._tables.version(TableRef(dataset, INVENTORY))
            self._known[dataset] = _Known(time.monotonic(), version, self._found.some(dataset))
        return self._known[dataset].some

    def objects(self, dataset: str) -> str:
        """See ``views.Departed``."""
        return self._found.objects(dataset)

    def rows(self, dataset: str, samples: str) -> str:
        """See ``views.Departed``. If a file of the samples is damaged, each view reads them, and says so."""
        table = f"{quote(SCHEMA)}.{quote(dataset)}"
        query = self._found.rows(dataset, samples)
        known = self._known[dataset]
        if known.files is None:
            files_now = self._files(dataset)
            self._con.execute(f"create schema if not exists {quote(SCHEMA)}")
            try:
                self._con.execute(f"create or replace table {table} as {query}")
            except TablesError:
                return query
            known.files = files_now
        return f"select sample_id, shard from {table}"

    def forget_changed(self, schemas: Collection[str] | None) -> set[str]:
        """Forget what is known of datasets whose inventory or samples changed since; their views must be created again.

        Args:
            schemas: names of the datasets to look at, in lower case; None for all.

        Returns:
            The names of those that changed, in lower case.
        """
        found = set()
        for dataset, known in list(self._known.items()):
            if schemas is not None and dataset.lower() not in schemas:
                continue
            if not is_local(self._tables.root) and time.monotonic() - known.looked < FAR_SECONDS:
                continue
            known.looked = time.monotonic()
            if self._tables.version(TableRef(dataset, INVENTORY)) != known.inventory or (
                known.files is not None and self._files(dataset) != known.files
            ):
                del self._known[dataset]
                found.add(dataset.lower())
        return found

    def _files(self, dataset: str) -> frozenset["ObjectInfo"]:
        folder = self._tables.folder(TableRef(dataset, SAMPLES))
        try:
            return frozenset(self._tables.storage.ls(folder, {SUFFIX}))
        except StorageError as error:
            if error.kind != "not_found":
                raise
            return frozenset()
