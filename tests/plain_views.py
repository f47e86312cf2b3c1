"""Tables and views that a test has created itself, in place of those of a lake."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb

from resources.storage import Storage
from resources.tables import Tables
from resources.warehouse.lake import Connection


class PlainViews:
    """See ``Views``: nothing has to be created."""

    faults: Mapping[str, str] = {}

    def __init__(self, raw: duckdb.DuckDBPyConnection) -> None:
        self._raw = raw

    def prepare(self, sql: str) -> None:
        """Nothing is missing."""

    def has(self, schema: str, name: str) -> bool:
        """Whether the test has created it."""
        asked = "select 1 from information_schema.tables where table_schema = ? and table_name = ?"
        return self._raw.execute(asked, [schema, name]).fetchone() is not None

    def make_all(self) -> None:
        """Nothing is missing."""


@contextmanager
def plain_connection(store: Path) -> Iterator[Connection]:
    """A connection without any lake; what statements create is there."""
    with duckdb.connect() as raw:
        yield Connection(raw, Tables(Storage(), str(store)), PlainViews(raw))
