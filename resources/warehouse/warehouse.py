"""SQL over the store's tables: ``catalog.duckdb``, and connections with the same views.

Belongs here: connections with views, refreshing the catalogue file. Does not belong here: the views' text (``views.py``),
opening DuckDB (``connection.py``).
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resources.beside import TEMPORARY_PREFIX, remove_left, temporary_name
from resources.root import project_root
from resources.storage.objects import StorageError, explain, is_local
from resources.tables.tables import Tables
from resources.warehouse.builder import ViewBuilder, create, find_views
from resources.warehouse.connection import default_memory_limit, open_duckdb, reach_s3
from resources.warehouse.departed import DepartedInFiles
from resources.warehouse.lake import Connection
from resources.warehouse.macros import create_statements

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

CATALOG = "catalog.duckdb"


@dataclass(frozen=True)
class Warehouse:
    """DuckDB over the tables of the store.

    Attributes:
        tables: the store's tables.
        memory_limit: memory that one connection may use, in DuckDB's notation; beyond it DuckDB spills to disk. Empty for
            ``connection.default_memory_limit``.
    """

    tables: Tables
    memory_limit: str = ""

    @property
    def catalog_path(self) -> Path:
        """Where ``catalog.duckdb`` is: in the store, or in ``.arot`` if the store is remote."""
        root = self.tables.root
        return Path(root) / CATALOG if is_local(root) else project_root() / ".arot" / CATALOG

    def connect(self, query: str = "") -> Connection:
        """A new in-memory connection with every view of the catalogue, each created when a statement first names it.

        Schemas: one for each dataset (``demo.samples``, ``demo.cv2``, ``demo.wide``), ``main`` for SQL models,
        ``ratings`` and one for each of the ratings.

        Args:
            query: the query to be run; if it names files on S3, they are accessible even if the store is local.

        Raises:
            StorageError: no credentials for S3.
        """
        raw = self._open(":memory:")
        try:
            if "s3://" in query and is_local(self.tables.root):
                reach_s3(raw, self.tables.storage)
            create(raw, (), {}, before=create_statements())
        except BaseException:
            raw.close()
            raise
        return Connection(raw, self.tables, ViewBuilder(raw, Connection(raw, self.tables), self.tables))

    def ask(self, query: str, parameters: Sequence[object] = (), **given: "pa.Table") -> "pa.Table":
        """The rows of one query over files of the store (``views.files``), without any view.

        Args:
            query: one SELECT.
            parameters: values of its ``?``.
            given: tables that the query may use by name.

        Raises:
            TablesError: a file that it reads is damaged.
            duckdb.Error: it fails for another reason, or is no query.
        """
        with Connection(self._open(":memory:"), self.tables) as con:
            for name, table in given.items():
                con.register(name, table)
            return con.execute(query, parameters).to_arrow_table()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows that ``ask`` returns, as Python values."""
        found = self.ask(query)
        return list(zip(*(column.to_pylist() for column in found.columns), strict=True))

    def refresh(self) -> None:
        """Write a new ``catalog.duckdb`` and put it in place in one step; readers of the old one are not disturbed.

        The new file is opened again and its views are counted first: on a nearly full disk, DuckDB closes a file
        without an error even though its views are only in its log.

        Raises:
            StorageError: the place cannot be written; the old catalogue stays.
        """
        import duckdb

        path = self.catalog_path
        temporary = temporary_name(path.parent)
        log = temporary.with_name(f"{temporary.name}.wal")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            remove_left(path.parent.glob(f"{TEMPORARY_PREFIX}*"))
            with self._open(str(temporary)) as con:
                reader = Connection(con, self.tables)
                views = find_views(reader, self.tables, DepartedInFiles(reader, self.tables), None, {})
                created = create(con, views, {}, before=create_statements())
            log.unlink(missing_ok=True)  # it is not moved with the file, so its content does not count
            stored = _stored_views(temporary)
            if stored != created:
                raise _not_written(path, f"{stored} of {created} views were stored")
            temporary.replace(path)
        except OSError as error:
            raise explain(str(path), "write", error) from error
        except (duckdb.IOException, duckdb.FatalException, duckdb.TransactionException) as error:
            raise _not_written(path, str(error).partition("\n")[0]) from error
        finally:
            with suppress(OSError):  # on a disk that is read-only; the first error says so
                temporary.unlink(missing_ok=True)
                log.unlink(missing_ok=True)

    def _open(self, database: str) -> "duckdb.DuckDBPyConnection":
        return open_duckdb(self.tables, database, self.memory_limit or default_memory_limit())


def _stored_views(catalog: Path) -> int:
    """The number of views in a catalogue file."""
    import duckdb

    with duckdb.connect(str(catalog), read_only=True) as con:
        ((count,),) = con.execute("select count(*) from duckdb_views() where not internal").fetchall()
    return int(count)


def _not_written(catalog: Path, cause: str) -> StorageError:
    return StorageError(
        f"'{catalog}' could not be written: {cause}; the old catalogue was kept. Free some space, and run again"
    )
