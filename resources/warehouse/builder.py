"""Creates the views that statements name, each when it is first named.

Belongs here: which views a connection has, and which are still to be created. Does not belong here: the text of views
(``views.py``), what a statement names (``named.py``), running it (``lake.py``).

A dataset may have thousands of shards in a dozen tables, and the columns of a table are those of all its files: a query over one
table looks at no other. ``wide`` joins the tables whose columns a statement names, and is created anew for one that names others.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from resources.tables.refs import TAGS, WIDE
from resources.tables.tables import Tables
from resources.warehouse.departed import DepartedInTables
from resources.warehouse.named import Named, named
from resources.warehouse.views import (
    Departed,
    SqlView,
    TableShape,
    WantedViews,
    dataset_views,
    model_views,
    quote,
    rating_views,
    tag_views,
)

if TYPE_CHECKING:
    import duckdb

    from resources.warehouse.lake import Connection

MAIN = "main"
"""The schema of SQL models."""
View = tuple[str, str]
"""Schema and name, in lower case."""


@dataclass(frozen=True)
class Wide:
    """The view ``wide`` of a dataset, for a statement.

    Attributes:
        joined: the tables that it joins; None for all.
        filtered, first: see ``WantedViews``.
    """

    joined: frozenset[str] | None = None
    filtered: bool = False
    first: frozenset[str] = frozenset()

    def needs(self, views: frozenset[str]) -> WantedViews:
        """It and other views of the dataset."""
        joins = (lambda _: True) if self.joined is None else self.joined.__contains__
        return WantedViews(views | {WIDE}, joins, self.filtered, self.first)


WHOLE = Wide()
"""As in the catalogue."""


class ViewBuilder:
    """The views of one connection.

    Args:
        raw: where they are created.
        reader: reads files to find the columns of tables; it may be the same connection, and needs no view.
        tables: the store.

    Attributes:
        faults: tables that were named and have no view because no file of theirs can be read, as ``schema.table``, and why.
    """

    def __init__(self, raw: "duckdb.DuckDBPyConnection", reader: "Connection", tables: Tables) -> None:
        self._raw, self._reader, self._tables = raw, reader, tables
        self._departed = DepartedInTables(reader, tables)
        self._made: set[View] = set()
        self._shapes: dict[View, TableShape | str] = {}
        self._wides: dict[str, Wide] = {}
        self.faults: dict[str, str] = {}
        self._complete = False

    def prepare(self, sql: str) -> None:
        """Create what a statement names and is not there yet; everything, if the statement may read any view.

        Views are created again if objects left or came back since, or samples of such objects changed.

        Raises:
            StorageError: the store cannot be read.
        """
        names = named(self._raw, sql)
        self._forget_changed(None if names is None else {schema for schema, _ in names.tables})
        if names is None:
            self.make_all()
            return
        wanted = {(schema or MAIN, table) for schema, table in names.tables}
        missing = {view for view in wanted - self._made if view[1] != WIDE}
        wides = {dataset: self._wide(dataset, names) for dataset, table in wanted if table == WIDE}
        other = {dataset: wide for dataset, wide in wides.items() if self._wides.get(dataset) != wide}
        if not missing and not other:
            return
        needs: dict[str, WantedViews] = {}
        for schema in {*other, *(schema for schema, _ in missing)}:
            views = frozenset(name for of, name in missing if of == schema)
            needs[schema] = WantedViews(views)
            if schema in other:
                needs[schema] = other[schema].needs(views)
        self._create(needs)
        self._wides |= other

    def has(self, schema: str, name: str) -> bool:
        """Create a view if there is a table for it; whether there is one that can be read."""
        self.prepare(f"select 1 from {quote(schema)}.{quote(name)}")
        return (schema.lower(), name.lower()) in self._made

    def make_all(self) -> None:
        """Create every view of the store, ``wide`` with all columns, unless that was done."""
        if not self._complete or any(wide != WHOLE for wide in self._wides.values()):
            self._create(None)
            self._complete = True
            self._wides = dict.fromkeys((dataset.lower() for dataset in self._tables.datasets()), WHOLE)

    def _forget_changed(self, schemas: set[str] | None) -> None:
        changed = self._departed.forget_changed(schemas)
        self._made = {view for view in self._made if view[0] not in changed}
        self._wides = {dataset: wide for dataset, wide in self._wides.items() if dataset not in changed}
        self._complete = self._complete and not changed

    def _create(self, needs: Mapping[str, WantedViews] | None) -> None:
        found = find_views(self._reader, self._tables, self._departed, needs, self._shapes)
        create(self._raw, found, self.faults, described=needs is None)  # whoever asks for comments gets all views
        self._made |= {(view.schema.lower(), view.name.lower()) for view in found if not view.fault}

    def _wide(self, dataset: str, names: Named) -> "Wide":
        known = [name for name in self._tables.datasets() if name.lower() == dataset]
        tables = [table for name in known for table in self._tables.of(name)]
        joined = None if names.words is None else frozenset(filter(names.uses, tables))
        return Wide(joined, bool(names.filters), frozenset(filter(names.filters_by, tables)))


def find_views(
    reader: "Connection",
    tables: Tables,
    departed: Departed,
    needs: Mapping[str, WantedViews] | None,
    shapes: dict[View, TableShape | str],
) -> list[SqlView]:
    """Views of the store, each after those that it needs.

    Args:
        reader: reads files to find the columns of tables; needs no view.
        tables: the store.
        departed: what left the source and is not shown.
        needs: schema in lower case -> the views of it; None for all of all schemas.
        shapes: see ``dataset_views``.
    """
    found: list[SqlView] = []
    for dataset in tables.datasets():
        if needs is None or dataset.lower() in needs:
            found += dataset_views(reader, tables, dataset, departed, needs[dataset.lower()] if needs else None, shapes)
    others: list[Iterable[SqlView]] = [rating_views(tables)]
    if needs is None or TAGS in needs:
        others.append(tag_views(tables))
    if needs is None or MAIN in needs:
        others.append(model_views(tables))
    for view in chain.from_iterable(others):
        if needs is None or (view.schema.lower() in needs and needs[view.schema.lower()].has(view.name)):
            found.append(view)
    return found


def create(
    con: "duckdb.DuckDBPyConnection",
    views: Iterable[SqlView],
    faults: dict[str, str],
    before: Iterable[str] = (),
    described: bool = True,
) -> int:
    """Create views; returns how many.

    Args:
        con: where; it is in no transaction.
        views: found already, as finding them may take several tries, of which each that fails ends a transaction.
        faults: gets the tables that have none, as ``schema.table``, and why.
        before: statements that are run first, in the same transaction.
        described: whether their columns get comments.
    """
    count = 0
    schemas: set[str] = {MAIN}
    con.begin()  # one transaction: a file is synced to disk once, not once per view and comment
    for statement in before:
        con.execute(statement)
    for view in views:
        if view.schema not in schemas:
            con.execute(f"create schema if not exists {quote(view.schema)}")
            schemas.add(view.schema)
        if view.fault:
            faults[f"{view.schema}.{view.name}"] = view.fault
            con.execute(f"drop view if exists {quote(view.schema)}.{quote(view.name)}")  # of a `wide` that joined less
            continue
        for statement in view.statements(described):
            con.execute(statement)
        count += 1
    con.commit()
    return count
