"""Column lineage: which upstream columns each output column is computed from.

Belongs here: deriving it from the SQL with sqlglot, given the columns of the tables that it reads. Does not belong
here: types and rows, which DuckDB knows (``runner.py``).

SQL that DuckDB runs but sqlglot follows incorrectly is either rewritten first (named windows, ``UNION BY NAME``, a
``SELECT`` in brackets), or has no lineage, with a reason: ``COLUMNS(…)``, a whole row as a value, positions (``#1``),
``PIVOT``.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.lineage import Node

DIALECT = "duckdb"

TableName = tuple[str, str]
"""(schema, table) as in DuckDB."""


@dataclass(frozen=True)
class UpstreamColumn:
    """A column of a table that a model reads."""

    schema: str
    table: str
    column: str


@dataclass(frozen=True)
class Lineage:
    """The origin of a model's columns.

    Attributes:
        columns: output column -> upstream columns, sorted; an empty tuple for columns that need no table. Columns that
            cannot be followed are missing.
        problem: why some are missing, None if none are. SQL that DuckDB runs and sqlglot cannot follow costs the
            lineage, not the model.
    """

    columns: Mapping[str, tuple[UpstreamColumn, ...]]
    problem: str | None = None


def column_lineage(sql: str, outputs: Sequence[str], upstream: Mapping[TableName, Sequence[str]]) -> Lineage:
    """Follow each output column to the tables that the SQL reads.

    Args:
        sql: a compiled model.
        outputs: the names of its columns.
        upstream: the columns of every table that it reads.
    """
    from sqlglot.errors import SqlglotError
    from sqlglot.lineage import lineage

    schema: dict[str, Any] = {}
    written: dict[tuple[str, ...], UpstreamColumn] = {}
    for (schema_name, table), columns in upstream.items():
        schema.setdefault(schema_name, {})[table] = dict.fromkeys(columns, "TEXT")
        for column in columns:
            written[schema_name.lower(), table.lower(), column.lower()] = UpstreamColumn(schema_name, table, column)
    try:
        tree = _plain(sql, schema)
        if tree is None:
            return Lineage(dict.fromkeys(outputs, ()))
        with _warnings_count():
            roots = lineage(None, tree, schema, dialect=DIALECT, trim_selects=False, copy=False)
    except _UnfollowedSql as error:
        return Lineage({}, str(error))
    except (SqlglotError, ValueError) as error:
        return Lineage({}, f"{type(error).__name__}: {str(error).splitlines()[0]}")
    by_name = {name.lower(): root for name, root in roots.items()}
    found: dict[str, tuple[UpstreamColumn, ...]] = {}
    problems: dict[str, list[str]] = {}
    for output in outputs:
        try:
            if output.lower() not in by_name:
                raise _UnfollowedSql("the SQL does not name it")
            sources = _sources(by_name[output.lower()].walk(), written)
        except _UnfollowedSql as error:
            problems.setdefault(str(error), []).append(output)
            continue
        found[output] = tuple(sorted(sources, key=lambda s: (s.schema, s.table, s.column)))
    told = [f"{', '.join(columns)}: {why}" for why, columns in problems.items()]
    return Lineage(found, f"not followed: {'; '.join(told)}" if told else None)


class _UnfollowedSql(Exception):
    """SQL whose columns are not followed; the message gives the reason."""


@contextmanager
def _warnings_count() -> Iterator[None]:
    """Treat sqlglot's warnings as what they are: part of the query was ignored.

    Raises:
        _UnfollowedSql: there was a warning.
    """
    told: list[str] = []

    class Note(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(" ".join(record.getMessage().split()))

    logger, note = logging.getLogger("sqlglot"), Note(logging.WARNING)
    passed_on, logger.propagate = logger.propagate, False
    logger.addHandler(note)
    try:
        yield
    finally:
        logger.removeHandler(note)
        logger.propagate = passed_on
    if told:
        raise _UnfollowedSql(f"not followed: {told[0]}")


def _sources(nodes: Iterable["Node"], written: Mapping[tuple[str, ...], UpstreamColumn]) -> set[UpstreamColumn]:
    """The columns of tables among the nodes below an output column.

    Raises:
        _UnfollowedSql: one of them contains more than sqlglot saw.
    """
    from sqlglot import exp

    found: set[UpstreamColumn] = set()
    for node in nodes:
        leaf = node.expression
        if isinstance(leaf, exp.Table):
            function = not isinstance(leaf.this, exp.Identifier)
            if function and leaf.find(exp.Column) is not None:
                raise _UnfollowedSql("a table function of columns")
            if node.downstream or function or re.search(r"[./]", leaf.name):  # a file's name
                continue
            column = exp.to_column(node.name, dialect=DIALECT).name
            place = (leaf.db.lower(), leaf.name.lower(), column.lower())
            if place not in written:
                raise _UnfollowedSql(f"no column {column} of {leaf.name} is known")
            found.add(written[place])
        else:
            _require_followed(leaf)
    return found


def _require_followed(expression: "exp.Expr") -> None:
    from sqlglot import exp

    words = {
        exp.Columns: "COLUMNS(…)",
        exp.PositionalColumn: "a position (#1)",
        exp.TableColumn: "a whole row as a value",
        exp.Placeholder: "a column of an unknown table",
    }
    for node in expression.walk():
        for kind, word in words.items():
            if isinstance(node, kind):
                raise _UnfollowedSql(word)
        if isinstance(node, exp.Star) and not isinstance(node.parent, exp.Count):
            raise _UnfollowedSql("*")


def _plain(sql: str, schema: dict[str, Any]) -> "exp.Expr | None":
    """The tree of a query, rewritten so that sqlglot follows it correctly; None if it reads nothing.

    Raises:
        _UnfollowedSql: that is not possible.
        SqlglotError: it cannot be parsed.
    """
    from sqlglot import exp, parse_one
    from sqlglot.optimizer.qualify import qualify

    tree = parse_one(sql, dialect=DIALECT)
    if isinstance(tree, exp.Values) and tree.find(exp.Query, exp.Column) is None:
        return None
    if isinstance(tree, exp.Subquery):
        with_ = tree.args.pop("with_", None)
        tree = exp.select("*").from_(tree)
        tree.set("with_", with_)
    if any(not pivot.args.get("unpivot") for pivot in tree.find_all(exp.Pivot)):
        raise _UnfollowedSql("PIVOT turns values into columns, whose lineage is not followed")
    _inline_windows(tree)
    by_name = [s for s in tree.find_all(exp.SetOperation) if s.args.get("by_name")]
    if by_name:
        tree = qualify(tree, schema=schema, dialect=DIALECT, validate_qualify_columns=False, identify=False)
        for union in reversed([s for s in tree.find_all(exp.SetOperation) if s.args.get("by_name")]):
            _match_by_position(union)
    return tree


def _inline_windows(tree: "exp.Expr") -> None:
    """Inline ``over w``: sqlglot does not search the WINDOW clause for columns."""
    from sqlglot import exp

    for select in tree.find_all(exp.Select):
        named = {w.this.name.lower(): w for w in select.args.get("windows") or ()}
        for window in select.find_all(exp.Window) if named else ():
            base = named.get(window.alias.lower()) if isinstance(window.args.get("alias"), exp.Identifier) else None
            if base is None:
                continue
            for key in ("partition_by", "order", "spec"):
                if not window.args.get(key) and base.args.get(key):
                    value = base.args[key]
                    window.set(key, [v.copy() for v in value] if isinstance(value, list) else value.copy())


def _match_by_position(union: "exp.Expr") -> None:
    """Turn ``UNION BY NAME`` into one by position: each side returns all columns, with NULL for those that it lacks.

    Raises:
        _UnfollowedSql: the names of one side are unknown.
    """
    from sqlglot import exp

    sides: list[Any] = [union.this, union.expression]
    names: dict[str, str] = {}
    have: list[set[str]] = []
    for side in sides:
        selected = side.named_selects
        if not selected or "*" in selected:
            raise _UnfollowedSql("UNION BY NAME of columns with unknown names")
        have.append({n.lower() for n in selected})
        for name in selected:
            names.setdefault(name.lower(), name)
    for key, side, own in zip(("this", "expression"), sides, have, strict=True):
        columns = [
            exp.column(n, "arot_side", quoted=True) if n.lower() in own else exp.alias_(exp.null(), n, quoted=True)
            for n in names.values()
        ]
        inner = side.copy() if isinstance(side, exp.Subquery) else exp.Subquery(this=side.copy())
        inner.set("alias", exp.TableAlias(this=exp.to_identifier("arot_side")))
        union.set(key, exp.select(*columns).from_(inner))
    union.set("by_name", False)
