"""What a query reads other than through ``ref`` and ``source``: files, and tables by name; found with DuckDB's own
parser.

Belongs here: finding them, and detecting when a file changed. Does not belong here: the consequences of a change (the
rooms).
"""

import glob
import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resources.storage.objects import StorageError, is_local
from resources.tables import Tables
from resources.warehouse.lake import Connection
from resources.warehouse.named import nodes

if TYPE_CHECKING:
    import duckdb

READERS = re.compile(r"read_\w+|parquet_\w+|sniff_csv|glob")
HIDERS = ("query", "query_table")
MAY_READ = re.compile(READERS.pattern + r"""|from\s*'|\.(csv|tsv|parquet|json)""", re.IGNORECASE)
"""Text that every query which reads a file contains; most queries need no closer inspection."""
FILES = "files"
"""The footer's string: ``files_mark`` of the query that wrote a table."""


@dataclass(frozen=True)
class QueryInputs:
    """What a query reads.

    Attributes:
        tables: (schema, table), with an empty schema if none is written; names of CTEs are left out.
        files: paths and patterns, as written.
        hidden: functions whose files or tables cannot be determined from the text.
    """

    tables: frozenset[tuple[str, str]]
    files: tuple[str, ...]
    hidden: tuple[str, ...]


def find_reads(con: "duckdb.DuckDBPyConnection | Connection", sql: str) -> QueryInputs:
    """What a compiled model reads; nothing for invalid SQL, which its build reports."""
    row = con.execute("select json_serialize_sql($1)", [sql]).fetchone()
    tree: dict[str, Any] = json.loads(row[0]) if row else {}
    if tree.get("error"):
        return _of_a_pivot(sql) if tree.get("error_type") == "not implemented" else QueryInputs(frozenset(), (), ())
    parts = list(nodes(tree))
    inside = {entry["key"].lower() for node in parts for entry in node.get("cte_map", {}).get("map", [])}
    tables, files, hidden = set(), [], []
    for node in parts:
        if node.get("type") == "BASE_TABLE":
            schema, name = node["schema_name"], node["table_name"]
            if not schema and re.search(r"[./]", name):
                files.append(name)
            elif schema or name.lower() not in inside:
                tables.add((schema, name))
        elif node.get("type") == "TABLE_FUNCTION":
            call = node["function"]
            function = call["function_name"].lower()
            paths = _constants(call["children"][0]) if call["children"] else None
            if function in HIDERS or (READERS.fullmatch(function) and paths is None):
                hidden.append(function)
            elif READERS.fullmatch(function):
                files += paths or []
    return QueryInputs(frozenset(tables), tuple(dict.fromkeys(files)), tuple(dict.fromkeys(hidden)))


def read_from(con: Connection, folder: Path) -> None:
    """Make relative paths in SQL relative to a folder."""
    con.execute("set file_search_path = '" + str(folder.resolve()).replace("'", "''") + "'")


def files_mark(tables: Tables, folder: Path, sql: str) -> str | None:
    """12 hex digits that change when a file that a query reads changes; None if it reads none.

    Args:
        tables: the store's tables.
        folder: what relative paths are relative to.
        sql: the query.
    """
    import duckdb

    if not MAY_READ.search(sql):
        return None
    with duckdb.connect(":memory:", config={"threads": 1}) as con:
        files = find_reads(con, sql).files
    if not files:
        return None
    return hashlib.sha256(json.dumps(file_marks(tables, folder, files)).encode()).hexdigest()[:12]


def file_marks(tables: Tables, folder: Path, files: tuple[str, ...]) -> list[list[Any]]:
    """Path, size and time of each file that a model reads; a pattern stands for all matching files.

    Args:
        tables: the store's tables; their storage accesses remote files.
        folder: what relative paths are relative to.
        files: as ``QueryInputs.files``.
    """
    marks: list[list[Any]] = []
    for written in files:
        if not is_local(written):
            marks.append(_far(tables, written))
            continue
        pattern = str(folder / written.removeprefix("file://"))
        found = sorted(glob.glob(pattern, recursive=True))
        marks.append([written, [[path, os.stat(path).st_size, os.stat(path).st_mtime_ns] for path in found]])
    return marks


def _far(tables: Tables, uri: str) -> list[Any]:
    try:
        if "*" in uri:
            root = uri[: uri.index("*")].rsplit("/", 1)[0]
            return [uri, sorted([o.uri, o.size, str(o.mtime)] for o in tables.storage.ls(root))]
        found = tables.storage.stat(uri)
        return [uri, found.size, str(found.mtime)]
    except StorageError as error:  # the build gives a better error
        return [uri, error.kind]


def _constants(node: dict[str, Any]) -> list[str] | None:
    """The strings of a constant or of a list of constants, None for anything else."""
    if node.get("type") == "VALUE_CONSTANT" and isinstance(node["value"].get("value"), str):
        return [node["value"]["value"]]
    if node.get("function_name") == "list_value":
        each = [_constants(child) for child in node["children"]]
        return None if any(e is None for e in each) else [text for e in each for text in e or ()]
    return None


def _of_a_pivot(sql: str) -> QueryInputs:
    """DuckDB provides no tree of a PIVOT without IN: its tables are found by sqlglot, its files not at all."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        tree = sqlglot.parse_one(sql, dialect="duckdb")
    except SqlglotError:
        return QueryInputs(frozenset(), (), ("PIVOT",))
    inside = {cte.alias_or_name.lower() for cte in tree.find_all(exp.CTE)}
    tables = {(t.db, t.name) for t in tree.find_all(exp.Table) if t.name and (t.db or t.name.lower() not in inside)}
    hidden = tuple(word for word in re.findall(r"\w+(?=\s*\()", sql.lower()) if READERS.fullmatch(word))
    files = tuple(name for schema, name in tables if not schema and re.search(r"[./]", name))
    return QueryInputs(frozenset(t for t in tables if t[1] not in files), files, hidden)
