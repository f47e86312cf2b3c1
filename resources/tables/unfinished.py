"""Finished rows of a table that is not complete yet, kept so that an interruption does not lose them.

Belongs here: keeping, finding and removing those rows. Does not belong here: when they are kept
(``keeping.py``), and the complete table.

They are in small Parquet files below ``unfinished/`` in the store, each written in one step under a unique name: no view shows
them, and processes that work on the same shard do not collide. The complete table replaces them.
"""

import uuid
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from resources.tables.refs import SUFFIX, StoreFile
from resources.tables.tables import Tables

if TYPE_CHECKING:
    import pyarrow as pa

FOLDER = "unfinished"
_VERSION = "version"


def remove_orphans(tables: Tables, dataset: str, names: Collection[str], shards: Collection[str]) -> int:
    """Remove the saved rows of tables and shards that a dataset does not have; returns the number of files.

    Rows saved by another version are removed when their shard is complete, see ``Unfinished.clear``.

    Args:
        tables: the store's tables.
        dataset: the dataset's name.
        names: its tables.
        shards: its shards.

    Raises:
        StorageError: the store cannot be written.
    """
    removed = 0
    for name in tables.list(f"{FOLDER}/{dataset}"):
        for shard in tables.list(f"{FOLDER}/{dataset}/{name}"):
            if name not in names or shard not in shards:
                removed += Unfinished(tables, dataset, name, shard, "").clear()
    return removed


class Unfinished:
    """The finished rows of one shard of a table.

    Args:
        tables: the store's tables.
        dataset: the dataset's name.
        table: ``samples`` or a metric.
        shard: the shard's name.
        version: only rows made by this version count.
        folder: of the store; rows in another one than the default are not removed by ``remove_orphans``.
    """

    def __init__(
        self, tables: Tables, dataset: str, table: str, shard: str, version: str, folder: str = FOLDER
    ) -> None:
        self._tables = tables
        self._folder = f"{folder}/{dataset}/{table}/{shard}"
        self._version = version

    def keep(self, rows: "pa.Table", name: str = "") -> None:
        """Save more finished rows.

        Args:
            rows: them.
            name: under which ``find`` has them, in place of any that were saved under it; default a name of their own.

        Raises:
            StorageError: the store cannot be written.
        """
        if rows.num_rows:
            place = self._place(f"{name or uuid.uuid4().hex}{SUFFIX}")
            self._tables.write(rows, place, footer={_VERSION: self._version})

    def find(self, name: str) -> "pa.Table | None":
        """The rows that this version saved under a name; None if there are none."""
        place = self._place(f"{name}{SUFFIX}")
        footer = self._tables.footer_if_any(place)
        return self._tables.read(place) if footer is not None and footer.get(_VERSION) == self._version else None

    def read(self) -> "Iterator[pa.Table]":
        """The rows saved by this version, in no particular order; a row may occur twice."""
        for place in self._places():
            if self._tables.footer(place).get(_VERSION) == self._version:
                yield self._tables.read(place)

    def clear(self) -> int:
        """Remove everything that was saved, by any version: the table is complete. Returns the number of files."""
        places = self._places()
        for place in places:
            self._tables.storage.delete(self._tables.uri(place))
        return len(places)

    def _places(self) -> list[StoreFile]:
        return [self._place(name) for name in self._tables.list(self._folder) if name.endswith(SUFFIX)]

    def _place(self, name: str) -> StoreFile:
        return StoreFile(f"{self._folder}/{name}")
