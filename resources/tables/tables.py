"""The tables of the store: Parquet files, each written in one step.

Belongs here: reading and replacing them, and where the store is. Does not belong here: how rows are encoded
(``parquet_files.py``), which tables exist (``arot_assets``), SQL over them (``resources.warehouse``).

``refs.py`` knows where each table is: ``tables.read(TableRef("demo", "samples", "00000"))``.
The footer of each Parquet file contains a few strings of ours (versions, digests), so that a reader can tell whether the file is
current without reading any rows.
"""

import builtins
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from resources.beside import TEMPORARY_PREFIX
from resources.retry import Retry
from resources.root import project_root
from resources.storage.storage import ObjectInfo, Storage, StorageError, is_local, join, local_path
from resources.tables.leases import Leases
from resources.tables.parquet_files import (
    DESCRIPTIONS,
    QueryFile,
    TablesError,
    WrittenAs,
    footer_strings,
    rows_where,
    with_footer,
    write_batches,
    write_rows,
)
from resources.tables.refs import DATASETS, MODELS, RATINGS, SUFFIX, StoreFile, StorePath, TableRef

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

T = TypeVar("T")
STORE_VARIABLE = "AROT_STORE"
FAR_THREADS = 16
"""Concurrent requests to a remote store."""
BATCH_ROWS = 65_536
"""Rows that ``batches`` gives at a time."""
REBUILD = "`arot rm {}` removes it, then `arot run` makes it again"
"""What to do about a damaged file."""
RESTORE = "restore it from a backup"
READ_ATTEMPTS, READ_AGAIN_SECONDS = 5, 0.01
"""Attempts to read a table that another process replaces meanwhile."""


def default_store() -> str:
    """``$AROT_STORE``, or ``.arot/store`` in the project (see ``resources.root``)."""
    return os.environ.get(STORE_VARIABLE) or str(project_root() / ".arot" / "store")


class Footer(NamedTuple):
    """The contents of a file's footer: our strings, and the number of rows."""

    strings: dict[str, str]
    num_rows: int


@dataclass(frozen=True)
class Tables:
    """Parquet tables below one root.

    Attributes:
        storage: reads and writes the files.
        store: the root, any URI that storage reads; empty for ``default_store()``.
    """

    storage: Storage
    store: str = ""
    _footers: dict[str, tuple[tuple[object, ...], Footer]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __reduce__(self) -> tuple[type["Tables"], tuple[Storage, str]]:
        """Another process reserves for itself, and knows no footers yet."""
        return type(self), (self.storage, self.root)

    @property
    def root(self) -> str:
        """The store's URI, without a slash at its end."""
        root = self.store or default_store()
        return local_path(root) if is_local(root) else root.rstrip("/")

    @cached_property
    def leases(self) -> Leases:
        """Which tables this process has reserved."""
        return Leases(self.storage, self.root)

    def uri(self, place: StorePath) -> str:
        """The URI of a file of the store."""
        return join(self.root, place.path)

    def folder(self, ref: TableRef) -> str:
        """The URI of the folder of a table's shards."""
        return join(self.root, ref.folder)

    def dataset_folder(self, dataset: str) -> str:
        """The URI of the folder of all tables of a dataset."""
        return join(self.root, f"{DATASETS}/{dataset}")

    def exists(self, place: StorePath) -> bool:
        """Whether a file exists."""
        return self.storage.exists(self.uri(place))

    def list(self, folder: str) -> list[str]:
        """Names in a folder of the store, sorted; empty if it does not exist. Partially written files are not shown."""
        uri = join(self.root, folder)
        if is_local(uri):
            try:
                names = os.listdir(uri)
            except (FileNotFoundError, NotADirectoryError):
                return []
        else:
            names = self.storage.names(uri)
        return sorted(n for n in names if not n.startswith(TEMPORARY_PREFIX))

    def datasets(self) -> "builtins.list[str]":
        """The datasets that have any tables, declared or not, sorted."""
        return self.list(DATASETS)

    def of(self, dataset: str) -> "builtins.list[str]":
        """The tables of a dataset, sorted: those with a folder of shards, and the inventory."""
        return [n.removesuffix(SUFFIX) for n in self.list(f"{DATASETS}/{dataset}")]

    def models(self) -> "builtins.list[str]":
        """The SQL models that have a table, sorted."""
        return [n.removesuffix(SUFFIX) for n in self.list(MODELS) if n.endswith(SUFFIX)]

    def shards(self, dataset: str, table: str) -> "builtins.list[str]":
        """The shards of a table that have a file, sorted."""
        return [n.removesuffix(SUFFIX) for n in self.list(TableRef(dataset, table).folder) if n.endswith(SUFFIX)]

    def version(self, place: StorePath) -> str:
        """What distinguishes a file from any other put in its place; empty if there is none."""
        return self.storage.version(self.uri(place))

    def write(
        self, table: "pa.Table", place: StorePath, footer: Mapping[str, str] | None = None, replacing: str | None = None
    ) -> None:
        """Write a table in one step, zstd-compressed but for vectors.

        Args:
            table: the rows; field metadata (descriptions) is kept.
            place: where.
            footer: strings to keep in the file's footer.
            replacing: the ``version`` that alone may be replaced; None replaces any.

        Raises:
            StorageError: no space, no permission, a read-only store; ``changed`` if another version is there. No
                partial file remains.
            LeaseLostError: this process had reserved the table, and another one has taken it over.
        """
        import pyarrow as pa

        self.leases.confirm(place)
        table, uri = with_footer(table, footer or {}, WrittenAs(place.path, table.num_rows)), self.uri(place)
        if replacing is None and is_local(uri):
            self.storage.fill(uri, self._still_ours(place, lambda path: write_rows(table, path)))
        else:
            buffer = pa.BufferOutputStream()
            write_rows(table, buffer)
            data = buffer.getvalue().to_pybytes()
            self.leases.confirm(place)
            if replacing is None:
                self.storage.write(uri, data)
            else:
                self.storage.replace(uri, data, replacing)
        pa.default_memory_pool().release_unused()  # memory that encoding used, several times that of the rows

    def write_query(
        self,
        con: "duckdb.DuckDBPyConnection",
        sql: str,
        place: StorePath,
        footer: Mapping[str, str] | None = None,
        descriptions: Mapping[str, str] | None = None,
    ) -> int:
        """Write the rows of a query in one step, streamed (memory does not grow with the rows).

        Args:
            con: a connection on which ``sql`` runs.
            sql: one SELECT.
            place: where.
            footer: strings to keep in the file's footer.
            descriptions: column name -> text, kept in the footer.

        Returns:
            Number of rows.

        Raises:
            StorageError: no space, no permission, a read-only store. No partial file remains.
            TablesError: a column is of a type that Parquet cannot hold.
            duckdb.Error: the query fails; the table stays as it was.
            LeaseLostError: this process had reserved the table, and another one has taken it over.
        """
        uri = self.uri(place)
        file = QueryFile(con, sql, footer or {}, descriptions or {}, WrittenAs(place.path))
        return self.storage.fill(uri, self._still_ours(place, lambda path: file.write(path, uri)))

    def read(self, place: StorePath, columns: Sequence[str] | None = None) -> "pa.Table":
        """The whole table, or some of its columns.

        Raises:
            TablesError: there is no such table, or the file is not Parquet.
            StorageError: the store cannot be reached.
        """

        def read() -> "pa.Table":
            import pyarrow as pa
            import pyarrow.parquet as pq

            if columns is None and not is_local(self.uri(place)):  # all of it: one request
                with self._explained(place):
                    return pq.read_table(pa.BufferReader(self.read_bytes(place)))
            with self._parquet(place) as file, self._explained(place):
                return file.read(columns=list(columns) if columns is not None else None)

        return _until_it_stays(read)

    def read_where(self, place: StorePath, columns: Sequence[str], column: str, value: str) -> "pa.Table":
        """Columns of those rows that have this text in one of them. Of a table in which such rows are together, as those of a
        shard are in the inventory, only that part is read.

        Raises:
            TablesError: there is no such table, or the file is not Parquet.
            StorageError: the store cannot be reached.
        """

        def read() -> "pa.Table":
            with self._parquet(place) as file, self._explained(place):
                return rows_where(file, columns, column, value)

        return _until_it_stays(read)

    def batches(self, place: StorePath, columns: Sequence[str]) -> "Iterator[pa.RecordBatch]":
        """Columns of a table, some rows at a time, so that memory does not grow with it.

        Raises:
            TablesError: there is no such table, or the file is not Parquet.
            StorageError: the store cannot be reached; ``changed`` if the file is replaced while it is read.
        """
        with self._parquet(place) as file, self._explained(place):
            yield from file.iter_batches(batch_size=BATCH_ROWS, columns=list(columns))

    def write_batches(
        self, batches: "Iterable[pa.RecordBatch]", schema: "pa.Schema", place: StorePath, footer: Mapping[str, str]
    ) -> None:
        """Write a table in one step from some rows at a time, as ``write`` writes a whole one.

        Args:
            batches: the rows.
            schema: of all of them; field metadata (descriptions) is kept.
            place: where.
            footer: strings to keep in the file's footer.

        Raises:
            StorageError: no space, no permission, a read-only store. No partial file remains.
            LeaseLostError: this process had reserved the table, and another one has taken it over.
        """
        written = WrittenAs(place.path)
        encode = self._still_ours(place, lambda path: write_batches(batches, schema, footer, path, written))
        self.storage.fill(self.uri(place), encode)

    def _still_ours(self, place: StorePath, encode: Callable[[Path], T]) -> Callable[[Path], T]:
        """Fills a file, and then makes sure that this process still has the table that it reserved: encoding takes a while, and
        so does a disk."""

        def fill(path: Path) -> T:
            result = encode(path)
            if is_local(self.uri(place)):
                with path.open("rb+") as file:
                    os.fsync(file.fileno())
            self.leases.confirm(place)
            return result

        return fill

    def footer(self, place: StorePath) -> dict[str, str]:
        """The strings kept in a file's footer; reads no rows.

        Raises:
            TablesError: there is no such table, or the file is not Parquet.
        """
        return dict(self._read_footer(place).strings)

    def footer_if_any(self, place: StorePath) -> dict[str, str] | None:
        """The footer's strings; None if there is no such file."""
        try:
            return self.footer(place)
        except TablesError as error:
            if isinstance(error.__cause__, FileNotFoundError | StorageError):
                return None
            raise

    def is_readable(self, place: StorePath) -> bool:
        """Whether a table exists and is a Parquet file; one that is not may be foreign or truncated.

        Raises:
            StorageError: the store cannot be reached.
        """
        try:
            self._read_footer(place)
        except TablesError:
            return False
        return True

    def damage(self, place: StorePath) -> str | None:
        """What is wrong with a file, in a line with the remedy; None for a sound one, and for one that is not there.

        All of it is read, and compared with the checksums of its pages and with what it says of itself.

        Raises:
            StorageError: the store cannot be reached.
        """
        import pyarrow.parquet as pq

        uri = self.uri(place)
        if not self.exists(place):
            return None
        try:
            with (
                self._explained(place),
                pq.ParquetFile(
                    uri if is_local(uri) else self.storage.open(uri), page_checksum_verification=True
                ) as file,
            ):
                written, rows = WrittenAs.of(file.metadata.metadata), 0
                for batch in file.iter_batches(batch_size=BATCH_ROWS):
                    rows += batch.num_rows
        except TablesError as error:
            return str(error) if self.exists(place) else None
        if written is not None and written.path != place.path:
            return f"'{uri}' was written as '{written.path}': files were exchanged; {_remedy(place, uri)}"
        if written is not None and written.rows not in (-1, rows):
            return f"'{uri}' has {rows:,} rows and was written with {written.rows:,}; {_remedy(place, uri)}"
        return None

    def damaged(self) -> "builtins.list[TableRef]":
        """The files of datasets that are no Parquet; reads footers, no rows.

        Raises:
            StorageError: the store cannot be reached.
        """
        places = []
        for dataset in self.datasets():
            for table in self.of(dataset):
                shards = self.shards(dataset, table)
                places += [TableRef(dataset, table, s) for s in shards] if shards else [TableRef(dataset, table)]
        return [place for place in places if self.exists(place) and not self.is_readable(place)]

    def damage_at(self, uri: str) -> str | None:
        """The same for the URI of a file, None if it is not one of the store."""
        inside = uri.removeprefix(f"{self.root}/")
        return None if inside == uri else self.damage(StoreFile(inside))

    def descriptions(self, place: StorePath) -> dict[str, str]:
        """Every column of a table, in order, with the description that the file carries (empty without one)."""
        with self._parquet(place) as file:
            texts: dict[str, str] = json.loads(footer_strings(file.metadata.metadata).get(DESCRIPTIONS, "{}"))
            return {
                f.name: (f.metadata or {}).get(b"description", b"").decode() or texts.get(f.name, "")
                for f in file.schema_arrow
            }

    def schema(self, place: StorePath) -> "pa.Schema":
        """Columns and types of a table, from its footer.

        Raises:
            TablesError: there is no such table, or the file is not Parquet.
            StorageError: the store cannot be reached.
        """
        with self._parquet(place) as file, self._explained(place):
            schema: pa.Schema = file.schema_arrow
            return schema

    def num_rows(self, place: StorePath) -> int:
        """The number of rows of a table, from its footer."""
        return self._read_footer(place).num_rows

    def write_bytes(self, data: bytes, place: StorePath) -> None:
        """Write any file of the store in one step (reports, checkpoints)."""
        self.storage.write(self.uri(place), data)

    def read_bytes(self, place: StorePath) -> bytes:
        """The bytes of any file of the store."""
        return self.storage.read_bytes(self.uri(place))

    def footers(self, dataset: str, table: str) -> dict[str, Footer]:
        """Shard -> the contents of its footer, for a whole table; in a remote store with concurrent requests.

        Raises:
            TablesError: a file is not Parquet.
            StorageError: the store cannot be reached.
        """
        folder = self.folder(TableRef(dataset, table))
        if is_local(folder):
            return {s: self._read_footer(TableRef(dataset, table, s)) for s in self.shards(dataset, table)}
        try:
            found = list(self.storage.ls(folder, {SUFFIX}))
        except StorageError as error:
            if error.kind != "not_found":
                raise
            return {}

        def footer(info: ObjectInfo) -> tuple[str, Footer]:
            name = info.uri.rsplit("/", 1)[-1]
            shard = name.removesuffix(SUFFIX)
            return shard, self._read_footer(TableRef(dataset, table, shard), identity=info[1:])

        with ThreadPoolExecutor(FAR_THREADS, thread_name_prefix="arot-footers") as pool:
            return dict(sorted(pool.map(footer, found)))

    def _read_footer(self, place: StorePath, identity: tuple[object, ...] | None = None) -> Footer:
        """The contents of a file's footer. The file is opened again only if it changed.

        Args:
            place: where.
            identity: what distinguishes versions of a remote object; local files are checked directly.
        """
        uri = self.uri(place)
        if is_local(uri):
            with suppress(OSError):  # opening the file will report the problem
                found = os.stat(uri)
                identity = (found.st_ino, found.st_mtime_ns, found.st_size)
        known = self._footers.get(uri)
        if known is not None and identity is not None and known[0] == identity:
            return known[1]
        with self._parquet(place) as file:
            footer = Footer(footer_strings(file.metadata.metadata), int(file.metadata.num_rows))
        if identity is not None:
            self._footers[uri] = (identity, footer)
        return footer

    def _parquet(self, place: StorePath) -> Any:
        import pyarrow.parquet as pq

        uri = self.uri(place)
        with self._explained(place):
            return pq.ParquetFile(uri if is_local(uri) else self.storage.open(uri))

    @contextmanager
    def _explained(self, place: StorePath) -> Iterator[None]:
        """Translate read errors into errors about tables; an unreachable store is not a missing table."""
        import pyarrow as pa

        uri = self.uri(place)
        try:
            yield
        except StorageError as error:
            if error.kind != "not_found":
                raise
            raise TablesError(f"no table '{uri}': {error}; materialize the asset that writes it") from error
        except FileNotFoundError as error:
            raise TablesError(f"no table '{uri}': {error}; materialize the asset that writes it") from error
        except PermissionError as error:
            raise TablesError(
                f"'{uri}' cannot be read: {error.strerror}; check the permissions of the store"
            ) from error
        except (
            OSError,
            pa.ArrowException,
        ) as error:  # Arrow has no error of its own for bytes that it cannot decompress
            said = str(error).rstrip(".").partition("\n")[0]
            raise TablesError(f"'{uri}' is not a Parquet file, or damaged: {said}; {_remedy(place, uri)}") from error


def _remedy(place: StorePath, uri: str) -> str:
    """What to do about a file that is damaged: nobody can make again what people said, and what was published."""
    parts = place.path.split("/")
    if parts[0] == RATINGS and "events" in parts:
        return f"{RESTORE}; what people said cannot be made again"
    return RESTORE if parts[0] == "exports" else REBUILD.format(uri)


def _until_it_stays(read: "Callable[[], pa.Table]") -> "pa.Table":
    """The result of reading a file that another process may replace meanwhile."""
    retry = Retry(READ_ATTEMPTS, READ_AGAIN_SECONDS, READ_AGAIN_SECONDS)
    while True:
        try:
            return read()
        except StorageError as error:
            if error.kind != "changed" or not retry.again():
                raise
