"""DuckDB's own parsing of a query: its tokens, its parse tree, its errors.

Belongs here: parsing text with DuckDB, without any table. Does not belong here: what the parts mean for a subset
(``predicates.py``), lineage (``lineage.py``), which DuckDB's parse tree does not contain.

No other parser decides what runs: whatever DuckDB accepts is accepted, with DuckDB's meaning.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from arot_assets.errors import ProjectError
from arot_assets.subsets.model import Model

if TYPE_CHECKING:
    import duckdb

Tree = dict[str, Any]
"""A node of DuckDB's parse tree, as ``json_serialize_sql`` writes it."""

QUOTED = re.compile(
    r"""[eE]'(?:[^'\\]|\\.|'')*' | [a-zA-Z]*&?'(?:[^']|'')*'(?:\s*\n\s*'(?:[^']|'')*')* | "(?:[^"]|"")*" | \$(\w*)\$.*?\$\1\$""",
    re.DOTALL | re.VERBOSE,
)
"""A token that may contain spaces and comment signs: strings in all their forms, and quoted names."""
COMMENT = re.compile(r"--|/\*")


@dataclass(frozen=True)
class Token:
    """A word of a query.

    Attributes:
        word: in lower case; a quoted name or a string as written, so that it differs from every keyword.
        start: position of its first character.
        end: position after its last one, before whitespace and comments.
    """

    word: str
    start: int
    end: int


def tokens(sql: str) -> list[Token]:
    """The words of a query, without comments."""
    import duckdb

    encoded = sql.encode()
    starts = [offset for offset, _kind in duckdb.tokenize(sql)]
    positions = starts if len(encoded) == len(sql) else [len(encoded[:offset].decode()) for offset in starts]
    found = []
    for start, following in zip(positions, [*positions[1:], len(sql)], strict=True):
        text = sql[start:following]
        quoted = QUOTED.match(text)
        word = quoted.group() if quoted else COMMENT.split(text, maxsplit=1)[0].rstrip()
        found.append(Token(word if quoted else word.lower(), start, start + len(word)))
    return found


def check_query(sql: str, model: Model) -> None:
    """Check that a compiled model is a single query.

    Raises:
        ProjectError: not SQL, several statements, or a statement without rows.
    """
    import duckdb

    try:
        statements = _parser().extract_statements(sql)
    except duckdb.Error as error:
        raise sql_error(model, error, sql) from error
    if not statements:
        raise ProjectError(f"model '{model.name}' is empty; write a SELECT, or delete the file", model.path)
    # a PIVOT without a list of values is several statements to DuckDB, though one to its author
    one = len(statements) == 1 or all(t.word != ";" for t in tokens(sql))
    if not one or statements[-1].type != duckdb.StatementType.SELECT:
        raise ProjectError("a model must be one SELECT without anything after it; remove the rest", model.path)


def parse_tree(sql: str) -> Tree | None:
    """The tree of one SELECT, without text positions; None if DuckDB rejects it, or has no tree for it."""
    row = _parser().execute("select json_serialize_sql($1::varchar)", [sql]).fetchone()
    parsed: dict[str, Any] = json.loads(row[0]) if row else {"error": True}
    if parsed["error"] or len(parsed["statements"]) != 1:
        return None
    tree: Tree = _without_positions(parsed["statements"][0]["node"])
    return tree


def walk(tree: Any, prune: tuple[str, ...] = ()) -> Iterator[Tree]:
    """Every node of a tree, including its root, except those under a key of ``prune``."""
    if isinstance(tree, dict):
        yield tree
        for key, value in tree.items():
            if key not in prune:
                yield from walk(value, prune)
    elif isinstance(tree, list):
        for value in tree:
            yield from walk(value, prune)


def draws_lots(tree: Any) -> str | None:
    """What in a tree returns different rows each time (``random()``, a sample), None if nothing does."""
    for node in walk(tree):
        if node.get("class") == "FUNCTION" and node["function_name"] in _volatile():
            return f"{node['function_name']}()"
        if node.get("sample"):
            return "TABLESAMPLE"
    return None


@cache
def reserved_words() -> frozenset[str]:
    """The words that DuckDB accepts as column names only in double quotes."""
    rows = (
        _parser()
        .execute("select keyword_name from duckdb_keywords() where keyword_category <> 'unreserved'")
        .fetchall()
    )
    return frozenset(str(row[0]) for row in rows)


def name(parts: list[str]) -> str:
    """A column's name as written in SQL, quoted if necessary."""
    plain = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
    return ".".join(
        p if plain.fullmatch(p) and p.lower() not in reserved_words() else '"' + p.replace('"', '""') + '"'
        for p in parts
    )


def sql_error(model: Model, error: Exception, sql: str | None = None) -> ProjectError:
    """DuckDB's error in one line, without its rendering of the SQL.

    Args:
        model: the model that failed.
        error: what DuckDB raised.
        sql: the compiled model if that is what ran, so that its lines are those of the file; None for SQL derived from
            it.
    """
    text = " ".join(str(error).split("\n\nLINE ")[0].split())
    found = re.search(r"LINE (\d+):", str(error))
    line = model.line_of(sql, int(found.group(1))) if found and sql is not None else None
    return ProjectError(f"model '{model.name}' does not run: {text}", model.path, line)


@cache
def _parser() -> "duckdb.DuckDBPyConnection":
    import duckdb

    return duckdb.connect(":memory:", config={"threads": 1})


@cache
def _volatile() -> frozenset[str]:
    rows = (
        _parser()
        .execute("select distinct function_name from duckdb_functions() where stability = 'VOLATILE'")
        .fetchall()
    )
    return frozenset(str(row[0]) for row in rows)


def _without_positions(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {k: _without_positions(v) for k, v in tree.items() if k != "query_location"}
    return [_without_positions(v) for v in tree] if isinstance(tree, list) else tree
