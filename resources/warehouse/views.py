"""The views of the catalogue, derived from the files in the store and nothing else.

Belongs here: the SQL text of every view. Does not belong here: connections and files (``warehouse.py``).

An object that left the source (inventory state ``gone`` or ``superseded``) keeps its rows in the files, because its content may
come back, but no view of samples or metrics shows them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from resources.tables.refs import INVENTORY, SAMPLES, SUFFIX, TAGS, WIDE, ModelRef, TableRef, TagsRef
from resources.tables.stored_types import cast_list, noted_types
from resources.tables.tables import Tables

if TYPE_CHECKING:
    import duckdb

SHARED = ("sample_id", "metric_version", "computed_at")
"""Columns of a metric table that ``wide`` omits."""


@dataclass(frozen=True)
class View:
    """One view: its schema and name, its query, and the text of its columns."""

    schema: str
    name: str
    query: str
    descriptions: dict[str, str]

    def statements(self) -> Iterator[str]:
        """The DDL that creates it, including comments on its columns."""
        full = f"{quote(self.schema)}.{quote(self.name)}"
        yield f"create or replace view {full} as {self.query}"
        for column, text in self.descriptions.items():
            yield f"comment on column {full}.{quote(column)} is {literal(text)}"


def dataset_views(con: "duckdb.DuckDBPyConnection", tables: Tables, dataset: str) -> Iterator[View]:
    """The views of one dataset, each after those that it needs.

    Args:
        con: any connection; used to read files, nothing is created on it.
        tables: the store's tables.
        dataset: the dataset's name, which is its schema's too.
    """
    names = tables.of(dataset)
    if INVENTORY not in names:
        return
    inventory = files(tables, dataset, INVENTORY)
    left = departed(tables, dataset)
    yield View(
        dataset,
        INVENTORY,
        f"select * from {inventory}",
        tables.descriptions(TableRef(dataset, INVENTORY)),
    )
    if SAMPLES not in names or not tables.shards(dataset, SAMPLES):
        return
    some_left = con.execute(f"select count(*) from ({left} limit 1)").fetchone() != (0,)
    samples = files(tables, dataset, SAMPLES)
    query = f"select * from {samples}"
    if some_left:
        query = f"select s.* from {samples} s anti join ({left}) l on s.uri = l.uri and s.shard = l.shard"
    yield View(dataset, SAMPLES, query, _newest(tables, dataset, SAMPLES))

    hidden = f"""select s.sample_id, s.shard from {samples} s semi join ({left}) l
        on s.uri = l.uri and s.shard = l.shard where s.status = 'ok'"""
    joined, columns = [], [f"{quote(SAMPLES)}.*"]
    for metric in names:
        if metric in (SAMPLES, INVENTORY) or not tables.shards(dataset, metric):
            continue
        found = files(tables, dataset, metric)
        query = f"select * from {found}"
        if some_left:
            found_named = files(tables, dataset, metric, named=True)
            query = f"""select m.* exclude (filename) from {found_named} m anti join ({hidden}) h
                on m.sample_id = h.sample_id and parse_filename(m.filename, true) = h.shard"""
        descriptions = _newest(tables, dataset, metric)
        yield View(dataset, metric, query, descriptions)
        joined.append(f"left join {quote(dataset)}.{quote(metric)} using (sample_id)")
        columns += [f"{quote(metric)}.{quote(c)} as {quote(f'{metric}__{c}')}" for c in descriptions if c not in SHARED]
    yield View(
        dataset,
        WIDE,
        f"select {', '.join(columns)} from {quote(dataset)}.{quote(SAMPLES)} {' '.join(joined)}",
        {},
    )


def model_views(tables: Tables) -> Iterator[View]:
    """One view in schema ``main`` for each SQL model that has been built; a file that is not Parquet has none."""
    for name in tables.models():
        if not tables.is_readable(ModelRef(name)):
            continue
        source = f"read_parquet({literal(tables.uri(ModelRef(name)))})"
        columns = cast_list(noted_types(tables.footer(ModelRef(name))))
        yield View("main", name, f"select {columns} from {source}", tables.descriptions(ModelRef(name)))


def tag_views(tables: Tables) -> Iterator[View]:
    """One view in schema ``tags`` for each tagger: the name, category and threshold of each id in its tables."""
    for file in tables.list(TAGS):
        ref = TagsRef(file.removesuffix(SUFFIX))
        yield View(
            TAGS, ref.tagger, f"select * from read_parquet({literal(tables.uri(ref))})", tables.descriptions(ref)
        )


def files(tables: Tables, dataset: str, table: str, named: bool = False, alike: bool = False) -> str:
    """The table function that reads a whole table of a dataset; new shards are seen at once.

    Args:
        tables: the store's tables.
        dataset: whose table.
        table: its name; the inventory is one file.
        named: add the column ``filename``.
        alike: read only the columns that every file has; then files may be replaced while DuckDB reads.
    """
    ref = TableRef(dataset, table)
    if table == INVENTORY:
        return f"read_parquet({literal(tables.uri(ref))})"
    pattern = tables.folder(ref).replace("[", "[[]") + f"/*{SUFFIX}"
    options = "" if alike else ", union_by_name = true"
    return f"read_parquet({literal(pattern)}{options}{', filename = true' if named else ''})"


def departed(tables: Tables, dataset: str) -> str:
    """The query for the objects whose rows no view shows: ``uri``, ``shard`` of everything that left the source."""
    return f"select uri, shard from {files(tables, dataset, INVENTORY)} where state <> 'present'"


def quote(identifier: str) -> str:
    """An SQL identifier in double quotes."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """An SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def _newest(tables: Tables, dataset: str, table: str) -> dict[str, str]:
    return tables.descriptions(TableRef(dataset, table, f"{tables.shards(dataset, table)[-1]}"))
