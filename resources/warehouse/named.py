"""What a statement names, found with DuckDB's own parser: which views it needs, and which columns of ``wide`` it may use.

Belongs here: finding names. Does not belong here: creating views (``builder.py``), files that a query reads (``reads.py``).

Whatever cannot be told from the text counts as naming everything.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from resources.tables.refs import WIDE

if TYPE_CHECKING:
    import duckdb

SETS = re.compile(r"\s*(set|load|comment)\b", re.IGNORECASE)
"""Statements that read no table."""
AROUND = re.compile(
    r"\s*(describe|explain(\s+analyze)?|create\s+(or\s+replace\s+)?(temp(orary)?\s+)?(table|view)\s+[\w.\"]+\s+as)(?=[\s(])",
    re.IGNORECASE,
)
"""What may stand before a SELECT, which alone is named from."""
PLAIN = re.compile(r"read_\w+|range|generate_series|unnest|glob|repeat_row", re.IGNORECASE)
"""Table functions that look at no view."""
CATALOGUES = re.compile(r"(duckdb|sqlite|pragma|pg)_|information_schema", re.IGNORECASE)
"""Tables of the database about itself: these list the views."""
UNNAMED = ("STAR", "POSITIONAL_REFERENCE", "PIVOT")
"""Parts of a query that use columns without their names."""


@dataclass(frozen=True)
class Named:
    """What a statement names, in lower case.

    Attributes:
        tables: (schema, table); the schema is empty if none is written.
        words: all names and texts of the statement, a line each; None if it may use columns that it does not name.
        filters: those of its ``where`` clauses.
    """

    tables: frozenset[tuple[str, str]]
    words: str | None
    filters: str = ""

    def uses(self, table: str) -> bool:
        """Whether it may use a column of a table through ``wide``."""
        return self.words is None or f"{table}__".lower() in self.words

    def filters_by(self, table: str) -> bool:
        """Whether a ``where`` names a column of a table through ``wide``."""
        return f"{table}__".lower() in self.filters


def named(con: "duckdb.DuckDBPyConnection", sql: str) -> Named | None:
    """What a statement names; None if it may read any view."""
    if SETS.match(sql):
        return Named(frozenset(), "")
    bare = AROUND.sub("", sql, count=1) if AROUND.match(sql) else sql
    row = con.execute("select json_serialize_sql($1)", [bare]).fetchone()
    tree: dict[str, Any] = json.loads(row[0]) if row else {"error": True}
    if tree.get("error"):
        return None
    parts = list(nodes(tree))
    inside = {entry["key"].lower() for node in parts for entry in node.get("cte_map", {}).get("map", [])}
    tables: set[tuple[str, str]] = set()
    wholes: set[str] = set()  # names that stand for a row of `wide`
    columns: set[str] = set()
    unnamed = False
    for node in parts:
        kind = node.get("type")
        if kind == "SHOW_REF" or (kind == "TABLE_FUNCTION" and not PLAIN.fullmatch(node["function"]["function_name"])):
            return None
        if kind == "BASE_TABLE":
            schema, table = node["schema_name"].lower(), node["table_name"].lower()
            if CATALOGUES.match(schema) or CATALOGUES.match(table):
                return None
            if schema or table not in inside:
                tables.add((schema, table))
            if table == WIDE:
                wholes |= {table, node["alias"].lower()}
                unnamed = unnamed or bool(node["column_name_alias"])
        elif kind == "COLUMN_REF":
            columns.add(node["column_names"][-1].lower())
        unnamed = unnamed or kind in UNNAMED or node.get("ref_type") == "NATURAL"
    unnamed = unnamed or not wholes.isdisjoint(columns)
    clauses = [node["where_clause"] for node in parts if node.get("where_clause")]
    filters = "\n".join(text for clause in clauses for text in _texts(nodes(clause)))
    return Named(frozenset(tables), None if unnamed else "\n".join(_texts(parts)).lower(), filters.lower())


def nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every node of a parsed statement, each before what is below it."""
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            yield node
            todo += reversed(node.values())
        elif isinstance(node, list):
            todo += reversed(node)


def _texts(parts: Iterable[dict[str, Any]]) -> Iterator[str]:
    for node in parts:
        for value in node.values():
            for text in value if isinstance(value, list) else [value]:
                if isinstance(text, str):
                    yield text
