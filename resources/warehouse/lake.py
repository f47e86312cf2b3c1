"""A connection with the views of the lake, whose statements survive that files are replaced while they run.

Belongs here: running statements, again where a file changed in between, and naming a file that is damaged. Does not belong
here: opening DuckDB (``connection.py``), the views (``views.py``).

DuckDB reads the footer of a Parquet file, then opens it once more for its rows. A file that another process replaces in between
has other rows at other places. Such a statement fails with whatever the bytes happen to look like, and succeeds when it is run
again. Results are complete before anyone sees a row of them, so that nothing is repeated that has been used already.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from resources.retry import Retry
from resources.tables.parquet_files import TablesError
from resources.tables.refs import SUFFIX, WIDE, TableRef
from resources.tables.tables import Tables

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

T = TypeVar("T")
ATTEMPTS = 10
"""Tries of a statement while other processes replace files that it reads."""
FAR_ATTEMPTS = 3
"""Tries after a failed request: DuckDB has repeated that itself."""
FIRST, LONGEST = 0.01, 0.5
"""Seconds between the first two tries, and at most."""
_PATH = re.compile(rf"""["']([^"']+{re.escape(SUFFIX)})["']""")


class Views(Protocol):
    """The views of a connection; ``ViewBuilder`` creates them as they are needed."""

    @property
    def faults(self) -> Mapping[str, str]:
        """Tables that have no view, as ``schema.table``, and why."""

    def prepare(self, sql: str) -> None:
        """Create what a statement names."""

    def has(self, schema: str, name: str) -> bool:
        """Create a view, if there is anything to see; whether there is."""

    def make_all(self) -> None:
        """Create every view."""


class Connection:
    """DuckDB over the lake.

    Args:
        raw: the connection.
        tables: the lake.
        views: creates the views that statements name; None for a connection without any.
    """

    def __init__(self, raw: "duckdb.DuckDBPyConnection", tables: Tables, views: Views | None = None) -> None:
        self._raw = raw
        self._tables = tables
        self._views = views

    @property
    def faults(self) -> Mapping[str, str]:
        """Tables named so far that have no view because no file of theirs can be read, as ``schema.table``, and why."""
        return self._views.faults if self._views is not None else {}

    def has(self, schema: str, name: str) -> bool:
        """Whether there is a view; looks at no other. Of a table that cannot be read there is none, but a fault."""
        return self._views is not None and self._views.has(schema, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def beside(self) -> "Connection":
        """Another one to the same database, without views, for another thread; what one learns of files the other knows."""
        return Connection(self._raw.cursor(), self._tables)

    def close(self) -> None:
        """End it."""
        self._raw.close()

    def register(self, name: str, table: "pa.Table") -> None:
        """Let statements name a table in memory."""
        self._raw.register(name, table)

    def unregister(self, name: str) -> None:
        """Forget a table in memory."""
        self._raw.unregister(name)

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> "duckdb.DuckDBPyRelation":
        """Run a statement to its end.

        Args:
            sql: one statement.
            parameters: values of its ``?``.

        Returns:
            Its rows, all found already: ``fetchall()``, ``fetchone()``, ``to_arrow_table()``; none for a statement without any.

        Raises:
            TablesError: a file that it reads is damaged.
            duckdb.Error: it fails for another reason.
        """

        import duckdb

        def run(raw: "duckdb.DuckDBPyConnection") -> "duckdb.DuckDBPyRelation":
            try:
                rows = raw.sql(sql, params=list(parameters)) if parameters else raw.sql(sql)
            except duckdb.ProgrammingError:
                raw.execute(sql, list(parameters))  # its error names the line as well
                raise
            return raw.sql("select 1 where false") if rows is None else rows.execute()

        return self.repeated(run, sql)

    def sql(self, query: str) -> "duckdb.DuckDBPyRelation":
        """The rows of a query, as DuckDB's method of this name gives them: ``df()``, ``to_arrow_table()``, ``fetchall()``."""
        return self.execute(query)

    def repeated(self, work: "Callable[[duckdb.DuckDBPyConnection], T]", sql: str) -> T:
        """What a piece of work gives, done again if it fails over a file that is replaced meanwhile.

        Args:
            work: reads with the connection; whatever it writes, it replaces.
            sql: what it runs, to tell whose files to look at when it fails.

        Raises:
            TablesError: a file that it reads is damaged.
            duckdb.Error: it fails for another reason.
            KeyboardInterrupt: the user stopped it.
        """
        import duckdb

        retry = Retry(ATTEMPTS, FIRST, LONGEST)
        whole = self._views is None
        if self._views is not None:
            self._views.prepare(sql)
        while True:
            try:
                return work(self._raw)
            except (duckdb.CatalogException, duckdb.BinderException) as error:
                if self._views is not None and not whole:
                    self._views.make_all()  # it may use a name that cannot be told from its text
                    whole = True
                elif isinstance(error, duckdb.CatalogException):
                    raise self._left_out(error, sql) or error from error
                else:
                    raise
            except duckdb.Error as error:
                if not _is_of_files(error, self._tables.root):
                    raise
                damage = self._damage(error)
                if damage is not None:
                    raise TablesError(damage) from error
                if not retry.again(FAR_ATTEMPTS if isinstance(error, duckdb.HTTPException) else None):
                    raise self._damaged_table(sql) or error from error
                if self._views is not None:
                    self._views.prepare(sql)  # what was replaced may be what views are made from
            except (
                RuntimeError
            ) as error:  # "Query interrupted", in place of what the handler of a signal raised: Ctrl-C
                raise error.__cause__ or error from None

    def _left_out(self, error: Exception, sql: str) -> TablesError | None:
        """That a table is there and cannot be read, if a statement names one that has no view for that reason."""
        if "does not exist" in str(error):
            for table, fault in self.faults.items():
                if _names(sql, *table.split(".")):
                    return TablesError(fault)
        return None

    def _damaged_table(self, sql: str) -> TablesError | None:
        """The same for a file whose damage DuckDB tells without its name: all files of the tables named are read."""
        tables = self._tables
        for dataset in tables.datasets():
            for table in tables.of(dataset):
                if _names(sql, dataset, table) or _names(sql, dataset, WIDE):
                    for ref in [TableRef(dataset, table, s) for s in tables.shards(dataset, table)]:
                        if damage := tables.damage(ref):
                            return TablesError(damage)
        return None

    def _damage(self, error: Exception) -> str | None:
        """What is wrong with the file that an error names, in a line; None if it is sound by now."""
        for path in _PATH.findall(str(error)):
            damage = self._tables.damage_at(path)
            if damage is not None:
                return damage
        return None


def _names(sql: str, schema: str, table: str) -> bool:
    """Whether a statement names a table; one inside a text or a comment counts too."""
    return re.search(rf'\b{re.escape(schema)}"?\s*\.\s*"?{re.escape(table)}\b', sql, re.IGNORECASE) is not None


def _is_of_files(error: "duckdb.Error", root: str) -> bool:
    """Whether an error may come from the bytes of a file of the store, rather than from the statement or from another file."""
    import duckdb

    if isinstance(error, duckdb.OutOfMemoryException | duckdb.DataError):
        return False
    text = str(error)
    if isinstance(error, duckdb.ProgrammingError):
        return isinstance(error, duckdb.InvalidInputException) and root in text and SUFFIX in text
    return not (_PATH.search(text) or "No files found" in text) or root in text
