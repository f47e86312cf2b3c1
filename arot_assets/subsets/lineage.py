"""Column lineage: which upstream columns each output column is made of.

Belongs here: reading it out of the SQL with sqlglot, given the columns of the tables that it reads.
Does not belong here: types and rows, which DuckDB knows (``runner.py``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DIALECT = "duckdb"

Relation = tuple[str, str]
"""(schema, table) as in DuckDB."""


@dataclass(frozen=True)
class UpstreamColumn:
    """A column of a table that a model reads."""

    schema: str
    table: str
    column: str


@dataclass(frozen=True)
class Lineage:
    """Where the columns of a model come from.

    Attributes:
        columns: output column -> upstream columns, sorted; an empty list for a constant.
        problem: why there is none, None if all went well. SQL that DuckDB runs and sqlglot cannot follow costs the lineage, not
            the model.
    """

    columns: Mapping[str, tuple[UpstreamColumn, ...]]
    problem: str | None = None


def column_lineage(sql: str, outputs: Sequence[str], upstream: Mapping[Relation, Sequence[str]]) -> Lineage:
    """Follow each output column to the tables that the SQL reads.

    Args:
        sql: a compiled model.
        outputs: the names of its columns.
        upstream: the columns of every table that it reads.
    """
    from sqlglot import exp
    from sqlglot.errors import SqlglotError
    from sqlglot.lineage import lineage

    schema: dict[str, Any] = {}
    for (schema_name, table), columns in upstream.items():
        schema.setdefault(schema_name, {})[table] = dict.fromkeys(columns, "TEXT")
    try:
        roots = lineage(None, sql, schema, dialect=DIALECT)
    except (SqlglotError, ValueError) as error:
        return Lineage({}, f"{type(error).__name__}: {str(error).splitlines()[0]}")
    by_name = {name.lower(): root for name, root in roots.items()}
    found: dict[str, tuple[UpstreamColumn, ...]] = {}
    for output in outputs:
        sources: set[UpstreamColumn] = set()
        for node in by_name[output.lower()].walk() if output.lower() in by_name else ():
            leaf = node.expression
            if isinstance(leaf, exp.Table) and leaf.db and not node.downstream:
                sources.add(UpstreamColumn(leaf.db, leaf.name, exp.to_column(node.name, dialect=DIALECT).name))
        found[output] = tuple(sorted(sources, key=lambda s: (s.schema, s.table, s.column)))
    return Lineage(found)
