"""What a compiled model reads that no ``ref()`` and no ``source()`` names: files, and tables written out by name.

Belongs here: finding them with DuckDB's own parser. Does not belong here: what a change of them means (``digest.py``).

Files belong to the model's digest. A table written out by name is refused when the model is built: the graph would not know
that the model depends on it, and real dbt finds no such table.
"""

import glob
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arot_assets.errors import ProjectError
from arot_assets.subsets.model import Model
from arot_assets.subsets.project import MODELS_SCHEMA, Project
from resources.storage import StorageError
from resources.storage.objects import is_local
from resources.tables import Tables

if TYPE_CHECKING:
    import duckdb

READERS = re.compile(r"read_\w+|parquet_\w+|sniff_csv|glob")
HIDERS = ("query", "query_table")
SYSTEM = ("information_schema", "pg_catalog")


@dataclass(frozen=True)
class Reads:
    """What a query names.

    Attributes:
        tables: (schema, table), the schema empty where none is written; names of CTEs left out.
        files: paths and patterns, as written.
        hidden: functions whose files or tables cannot be told from the text.
    """

    tables: frozenset[tuple[str, str]]
    files: tuple[str, ...]
    hidden: tuple[str, ...]


def find_reads(con: "duckdb.DuckDBPyConnection", sql: str) -> Reads:
    """What a compiled model reads; nothing for text that is no SQL, about which its build complains."""
    row = con.execute("select json_serialize_sql($1)", [sql]).fetchone()
    tree: dict[str, Any] = json.loads(row[0]) if row else {}
    if tree.get("error"):
        return _of_a_pivot(sql) if tree.get("error_type") == "not implemented" else Reads(frozenset(), (), ())
    nodes = list(_nodes(tree))
    inside = {entry["key"].lower() for node in nodes for entry in node.get("cte_map", {}).get("map", [])}
    tables, files, hidden = set(), [], []
    for node in nodes:
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
    return Reads(frozenset(tables), tuple(dict.fromkeys(files)), tuple(dict.fromkeys(hidden)))


def check_reads(con: "duckdb.DuckDBPyConnection", project: Project, model: Model, sql: str) -> None:
    """Refuse a model that reads what its digest cannot see.

    Raises:
        ProjectError: a table without ``ref()`` or ``source()``, or a function that hides what it reads.
    """
    reads = find_reads(con, sql)
    if reads.hidden:
        raise ProjectError(
            f"model '{model.name}' calls {reads.hidden[0]}(…) with something else than constant paths, so that nobody can tell "
            "what it depends on; write the paths as text, or put a reader beside a PIVOT into a model of its own",
            model.path,
        )
    known = {(schema.lower(), table.lower()) for schema, table in _named(project, model)}
    for schema, table in sorted(reads.tables):
        place = (schema.lower() or MODELS_SCHEMA, table.lower())
        if place in known or schema.lower() in SYSTEM or table.lower().startswith(("duckdb_", "pragma_")):
            continue
        written = f"{schema}.{table}" if schema else table
        if place[0] == MODELS_SCHEMA and table in project.models:
            remedy = f"write {{{{ ref('{table}') }}}}"
        else:
            remedy = f"write {{{{ source('{schema or table}', '{table}') }}}}, and declare it in a schema .yml"
        raise ProjectError(
            f"model '{model.name}' reads {written} by name, so that nothing rebuilds it when that changes; {remedy}",
            model.path,
        )


def read_from(con: "duckdb.DuckDBPyConnection", folder: Path) -> None:
    """Let relative paths in SQL be relative to a folder: the project's, as in dbt."""
    con.execute("set file_search_path = '" + str(folder.resolve()).replace("'", "''") + "'")


def file_marks(tables: Tables, folder: Path, files: tuple[str, ...]) -> list[list[Any]]:
    """Path, size and time of each file that a model reads; a pattern stands for all that match.

    Args:
        tables: the lake; its storage looks at files elsewhere.
        folder: what relative paths are relative to: the project folder, as in dbt.
        files: as ``Reads.files``.
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
    except StorageError as error:  # the build says so better
        return [uri, error.kind]


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            yield node
            todo += reversed(node.values())
        elif isinstance(node, list):
            todo += reversed(node)


def _constants(node: dict[str, Any]) -> list[str] | None:
    """The texts of a constant or of a list of constants, None for anything else."""
    if node.get("type") == "VALUE_CONSTANT" and isinstance(node["value"].get("value"), str):
        return [node["value"]["value"]]
    if node.get("function_name") == "list_value":
        each = [_constants(child) for child in node["children"]]
        return None if any(e is None for e in each) else [text for e in each for text in e or ()]
    return None


def _of_a_pivot(sql: str) -> Reads:
    """DuckDB gives no tree of a PIVOT without IN: its tables as sqlglot sees them, its files not at all."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        tree = sqlglot.parse_one(sql, dialect="duckdb")
    except SqlglotError:
        return Reads(frozenset(), (), ("PIVOT",))
    inside = {cte.alias_or_name.lower() for cte in tree.find_all(exp.CTE)}
    tables = {(t.db, t.name) for t in tree.find_all(exp.Table) if t.name and (t.db or t.name.lower() not in inside)}
    hidden = tuple(word for word in re.findall(r"\w+(?=\s*\()", sql.lower()) if READERS.fullmatch(word))
    files = tuple(name for schema, name in tables if not schema and re.search(r"[./]", name))
    return Reads(frozenset(t for t in tables if t[1] not in files), files, hidden)


def _named(project: Project, model: Model) -> Iterator[tuple[str, str]]:
    """(schema, table) of everything that a model's ref() and source() stand for, through ephemeral models."""
    for ref in model.refs:
        if project.models[ref].is_stored:
            yield MODELS_SCHEMA, ref
        else:
            yield from _named(project, project.models[ref])
    for key in model.sources:
        found = project.source(*key)
        yield found.schema, found.identifier
