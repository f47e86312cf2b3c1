"""The views of the catalogue, derived from the files in the store and nothing else.

Belongs here: the SQL text of every view. Does not belong here: connections and files (``warehouse.py``), what left the source
(``departed.py``).
"""

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from resources.parallel import ordered_map
from resources.tables.parquet_files import TablesError
from resources.tables.refs import (
    CUT,
    GRAIN,
    INVENTORY,
    RATINGS,
    SAMPLES,
    SUFFIX,
    TAGS,
    WIDE,
    ModelRef,
    RatingsRef,
    TableRef,
    TagsRef,
)
from resources.tables.stored_types import cast_list, noted_types
from resources.tables.tables import Tables

if TYPE_CHECKING:
    from resources.warehouse.lake import Connection

OF_DATASETS = ("duplicates", "duplicate_edges", CUT)
"""Tables of a dataset that are one file, with rows of all its shards; ``wide`` does not join them."""
SHARED = ("sample_id", "metric_version", "computed_at")
"""Columns of a metric table that ``wide`` omits."""


@dataclass(frozen=True)
class SqlView:
    """One view: its schema and name, its query, the text of its columns; or why there is none.

    Attributes:
        schema: its schema.
        name: its name.
        query: one SELECT.
        descriptions: column -> text.
        fault: why its table cannot be read; then there is no view.
    """

    schema: str
    name: str
    query: str = ""
    descriptions: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""

    def statements(self, described: bool = True) -> Iterator[str]:
        """The DDL that creates it, with comments on its columns or without."""
        full = f"{quote(self.schema)}.{quote(self.name)}"
        yield f"create or replace view {full} as {self.query}"
        for column, text in self.descriptions.items() if described else ():
            yield f"comment on column {full}.{quote(column)} is {literal(text)}"


@dataclass(frozen=True)
class WantedViews:
    """Which views of a dataset are to be made.

    Attributes:
        views: their names in lower case; None for all.
        joins: whether ``wide`` has the columns of a table.
        filtered: whether what is asked of ``wide`` is a part of its rows.
        first: the tables of which that depends; ``wide`` joins them first.
    """

    views: frozenset[str] | None = None
    joins: Callable[[str], bool] = lambda _: True
    filtered: bool = False
    first: frozenset[str] = frozenset()

    def has(self, name: str) -> bool:
        """Whether a view is among them."""
        return self.views is None or name.lower() in self.views


class Departed(Protocol):
    """What views need to know of the objects that left."""

    def some(self, dataset: str) -> bool:
        """Whether any object of a dataset left; its inventory can be read."""

    def objects(self, dataset: str) -> str:
        """The query for ``uri``, ``shard`` of those of a dataset."""

    def rows(self, dataset: str, samples: str) -> str:
        """The query for ``sample_id``, ``shard`` of everything that metric tables must not show.

        Args:
            dataset: whose.
            samples: what stands after ``from`` to read its samples.
        """


def dataset_views(
    con: "Connection",
    tables: Tables,
    dataset: str,
    departed: Departed,
    needs: WantedViews | None = None,
    shapes: "MutableMapping[tuple[str, str], TableShape | str] | None" = None,
) -> Iterator[SqlView]:
    """The views of one dataset, each after those that it needs.

    A table of which a file is damaged has a view that fails with the file's name when it is read; the others work.

    Args:
        con: any connection; used to read files, nothing is created on it.
        tables: the store's tables.
        dataset: the dataset's name, which is its schema's too.
        departed: what left the source and is not shown.
        needs: which views; None for all of them.
        shapes: (dataset, table) -> its columns, or its fault, as found before; what is found now is added.
    """
    needs, shapes = needs or WantedViews(), {} if shapes is None else shapes
    names = tables.of(dataset)
    if INVENTORY not in names:
        return
    stored = [n for n in names if n not in (SAMPLES, INVENTORY) and tables.shards(dataset, n)]
    has_samples = SAMPLES in names and bool(tables.shards(dataset, SAMPLES))
    damage = None if tables.is_readable(TableRef(dataset, INVENTORY)) else tables.damage(TableRef(dataset, INVENTORY))
    if damage is not None:  # what left the source is not known, so no row may be shown
        for name in (INVENTORY, *([SAMPLES, *stored, WIDE] if has_samples else ())):
            yield SqlView(dataset, name, fault=damage)
        return
    if needs.has(INVENTORY):
        query = f"select * from {files(tables, dataset, INVENTORY)}"
        yield SqlView(dataset, INVENTORY, query, tables.descriptions(TableRef(dataset, INVENTORY)))
    wide = has_samples and needs.has(WIDE)
    wanted = [n for n in stored if needs.has(n) or (wide and needs.joins(n))] if has_samples else []
    shown = has_samples and (wide or needs.has(SAMPLES))
    some_left = (shown or bool(wanted)) and departed.some(dataset)
    if shown or some_left:
        wanted = [SAMPLES, *wanted]
    samples = files(tables, dataset, SAMPLES)
    joined: list[str] = []
    columns = [f"{quote(SAMPLES)}.*"]
    faults = []
    new = [name for name in wanted if (dataset, name) not in shapes]
    found = ordered_map(lambda name: _shape(con, tables, dataset, name), new)  # footers: mostly waiting for the store
    shapes.update({(dataset, name): shape for name, shape in zip(new, found, strict=True)})
    for name in wanted:
        shape = shapes[dataset, name]
        if isinstance(shape, str):
            yield SqlView(dataset, name, fault=shape)
            faults.append(shape)
            continue
        query = f"select * from {shape.source()}"
        if some_left and name == SAMPLES:
            query = f"""select s.* from {shape.source()} s anti join ({departed.objects(dataset)}) l
                on s.uri = l.uri and s.shard = l.shard"""
        elif some_left:
            hidden = departed.rows(dataset, samples)
            query = f"""select m.* exclude (filename) from {shape.source(named=True)} m anti join ({hidden}) h
                on m.sample_id = h.sample_id and parse_filename(m.filename, true) = h.shard"""
        yield SqlView(dataset, name, query, shape.descriptions)
        if name == SAMPLES:
            samples = shape.source()
            continue
        if not wide or not needs.joins(name) or _has_many(tables, dataset, name):
            continue
        joined.append(name)
        columns += [
            f"{quote(name)}.{quote(c)} as {quote(f'{name}__{c}')}" for c in shape.descriptions if c not in SHARED
        ]
    for name in OF_DATASETS:
        ref = TableRef(dataset, name)
        if has_samples and needs.has(name) and name not in stored and tables.exists(ref):
            damage = None if tables.is_readable(ref) else tables.damage(ref)
            descriptions = {} if damage is not None else tables.descriptions(ref)
            yield SqlView(
                dataset, name, f"select * from read_parquet({literal(tables.uri(ref))})", descriptions, damage or ""
            )
    if wide:
        joined.sort(key=lambda name: name not in needs.first)
        yield SqlView(dataset, WIDE, _wide(dataset, joined, columns, needs.filtered), fault=faults[0] if faults else "")


def _wide(dataset: str, joined: Sequence[str], columns: Sequence[str], filtered: bool) -> str:
    """The query of ``wide``.

    DuckDB takes a left join to have as many rows as its larger side, however few a filter leaves, and then holds all of the right
    side in memory. A condition that is always true makes it expect fewer: it holds the rows that are left, and reads of the other
    side what they need. Where all rows are wanted, that would be the dearer way.
    """
    joins = "".join(f" left join {quote(dataset)}.{quote(name)} using (sample_id)" for name in joined)
    always = [f"coalesce({quote(name)}.sample_id = {quote(SAMPLES)}.sample_id, true)" for name in joined if filtered]
    where = f" where {' and '.join(always)}" if always else ""
    return f"select {', '.join(columns)} from {quote(dataset)}.{quote(SAMPLES)}{joins}{where}"


def model_views(tables: Tables) -> Iterator[SqlView]:
    """One view in schema ``main`` for each SQL model that has been built; a file that is not Parquet has none."""
    for name in tables.models():
        if not tables.is_readable(ModelRef(name)):
            continue
        source = f"read_parquet({literal(tables.uri(ModelRef(name)))})"
        columns = cast_list(noted_types(tables.footer(ModelRef(name))))
        yield SqlView("main", name, f"select {columns} from {source}", tables.descriptions(ModelRef(name)))


def tag_views(tables: Tables) -> Iterator[SqlView]:
    """One view in schema ``tags`` for each tagger: the name, category and threshold of each id in its tables."""
    for file in tables.list(TAGS):
        ref = TagsRef(file.removesuffix(SUFFIX))
        if not tables.is_readable(ref):
            yield SqlView(TAGS, ref.tagger, fault=tables.damage(ref) or "")
            continue
        yield SqlView(
            TAGS, ref.tagger, f"select * from read_parquet({literal(tables.uri(ref))})", tables.descriptions(ref)
        )


def rating_views(tables: Tables) -> Iterator[SqlView]:
    """The views of ratings: ``ratings.<name>``, and what is made from them in the schema ``<name>``."""
    for name in tables.list(RATINGS):
        for file in tables.list(f"{RATINGS}/{name}"):
            if not file.endswith(SUFFIX):
                continue
            ref = RatingsRef(name, file.removesuffix(SUFFIX))
            schema, view = (RATINGS, name) if ref.table == RATINGS else (name, ref.table)
            if not tables.is_readable(ref):
                yield SqlView(schema, view, fault=tables.damage(ref) or "")
                continue
            query = f"select * from read_parquet({literal(tables.uri(ref))})"
            yield SqlView(schema, view, query, tables.descriptions(ref))


def _has_many(tables: Tables, dataset: str, table: str) -> bool:
    """Whether a table has any number of rows for a sample, so that joining it would repeat those of others."""
    for shard in reversed(tables.shards(dataset, table)):
        if tables.is_readable(TableRef(dataset, table, shard)):
            return GRAIN in tables.footer(TableRef(dataset, table, shard))
    return False


@dataclass(frozen=True)
class TableShape:
    """The columns of all files of a table.

    A view that states them lets DuckDB open one file at a time, its footer and then its rows, and it lives on when files with
    other columns are written: with ``union_by_name`` all footers are read first, and files that change meanwhile break the query.

    Attributes:
        pattern: the files.
        types: column -> DuckDB's type, of all files.
        descriptions: column -> text, of the newest file.
    """

    pattern: str
    types: Mapping[str, str]
    descriptions: Mapping[str, str]

    def source(self, named: bool = False) -> str:
        """The table function that reads it; ``named`` adds the column ``filename``."""
        columns = ", ".join(
            f"{literal(name)}: {{name: {literal(name)}, type: {literal(kind)}, default_value: NULL}}"
            for name, kind in self.types.items()
        )
        return (
            f"read_parquet({literal(self.pattern)}, schema = map {{{columns}}}{', filename = true' if named else ''})"
        )


def _shape(con: "Connection", tables: Tables, dataset: str, table: str) -> TableShape | str:
    """The columns of a table; or what is wrong with its files, if none can be read."""
    shards = tables.shards(dataset, table)
    con = con.beside()
    try:
        described = con.execute(f"describe select * from {files(tables, dataset, table)}").fetchall()
    except TablesError as error:  # those that can be read tell the columns
        shards = [s for s in shards if tables.is_readable(TableRef(dataset, table, s))]
        if not shards:
            return str(error)
        uris = ", ".join(literal(tables.uri(TableRef(dataset, table, s))) for s in shards)
        described = con.execute(f"describe select * from read_parquet([{uris}], union_by_name = true)").fetchall()
    newest = tables.descriptions(TableRef(dataset, table, shards[-1]))
    return TableShape(_pattern(tables, dataset, table), {str(row[0]): str(row[1]) for row in described}, newest)


def files(tables: Tables, dataset: str, table: str, named: bool = False, alike: bool = False) -> str:
    """The table function that reads a whole table of a dataset; new shards are seen at once.

    Args:
        tables: the store's tables.
        dataset: whose table.
        table: its name; the inventory is one file.
        named: add the column ``filename``.
        alike: only columns are read that every file has; then no footer is read before its file's turn.
    """
    if table == INVENTORY:
        return f"read_parquet({literal(tables.uri(TableRef(dataset, table)))})"
    options = "" if alike else ", union_by_name = true"
    return f"read_parquet({literal(_pattern(tables, dataset, table))}{options}{', filename = true' if named else ''})"


def _pattern(tables: Tables, dataset: str, table: str) -> str:
    return tables.folder(TableRef(dataset, table)).replace("[", "[[]") + f"/*{SUFFIX}"


def quote(identifier: str) -> str:
    """An SQL identifier in double quotes."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """An SQL string literal."""
    return "'" + text.replace("'", "''") + "'"
