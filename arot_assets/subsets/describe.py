"""What is known about a model before any rows are stored: columns, types, descriptions, lineage, waterfall.

Belongs here: querying DuckDB and sqlglot about a compiled model, and wording DuckDB's errors about it. Does not belong
here: writing it (``runner.py``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from arot_assets.errors import ProjectError
from arot_assets.subsets.lineage import Lineage, TableName, UpstreamColumn, column_lineage
from arot_assets.subsets.model import Model
from arot_assets.subsets.predicates import split
from arot_assets.subsets.project import MODELS_SCHEMA, WIDE, Project
from arot_assets.subsets.syntax import check_query, sql_error
from arot_assets.subsets.waterfall import Waterfall, compute_waterfall
from resources.tables import TablesError
from resources.warehouse import Connection

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class ModelColumn:
    """A column of a built model.

    Attributes:
        name: as in SQL.
        type: DuckDB's name for the type.
        description: from schema.yml, or that of the upstream column that it passes on under the same name; otherwise
            empty.
        upstream: the columns that it is computed from; None if unknown.
    """

    name: str
    type: str
    description: str
    upstream: tuple[UpstreamColumn, ...] | None


@dataclass(frozen=True)
class ModelResult:
    """What is known about a stored model.

    Attributes:
        name: the model.
        built: False if it was already current, so that nothing was done.
        rows: number of rows.
        columns: in order.
        waterfall: of a subset; None for other models.
        lineage_problem: why ``upstream`` of some columns is unknown, None if it is known.
        sql: the compiled SQL.
        digest: of SQL and inputs.
        seconds: duration of the build.
        waterfall_problem: why a subset has no waterfall; None if it has one, or for other models.
    """

    name: str
    built: bool
    rows: int
    columns: tuple[ModelColumn, ...]
    waterfall: Waterfall | None
    lineage_problem: str | None
    sql: str
    digest: str
    seconds: float
    waterfall_problem: str | None = None


def check_inputs(project: Project, model: Model, con: Connection) -> dict[TableName, dict[str, str]]:
    """The columns of each table that a model's SQL names, with their descriptions.

    Raises:
        ProjectError: one of the tables does not exist yet; the message says what to run.
    """
    found: dict[TableName, dict[str, str]] = {}
    for schema, table, column, comment in con.execute(
        """select schema_name, table_name, column_name, coalesce(comment, '') from duckdb_columns()
        where database_name = current_database() order by column_index"""
    ).fetchall():
        found.setdefault((schema, table), {})[column] = comment
    needed: dict[TableName, dict[str, str]] = {}
    for relation, remedy in _relations(project, model):
        if relation not in found:
            if fault := con.faults.get(".".join(relation)):
                raise TablesError(fault)
            raise ProjectError(
                f"model '{model.name}' reads {'.'.join(relation)}, which does not exist yet; {remedy}", model.path
            )
        needed[relation] = found[relation]
    return needed


def run_derived(con: Connection, model: Model, sql: str) -> "duckdb.DuckDBPyRelation":
    """Execute SQL that was derived from a model's SQL.

    Raises:
        ProjectError: DuckDB rejects it.
    """
    import duckdb

    try:
        return con.execute(sql)
    except duckdb.Error as error:
        raise sql_error(model, error) from error


def describe_model(project: Project, name: str, con: Connection) -> ModelResult:
    """Everything about a model that requires no file of its own: columns, lineage and, for a subset, the waterfall.

    Raises:
        ProjectError: an input does not exist, or the SQL does not parse or run.
    """
    import duckdb

    model = project.model(name)
    sql = project.compile(name)
    check_query(sql, model)
    inputs = check_inputs(project, model, con)
    try:
        described = con.execute(f"describe {sql}").fetchall()
    except duckdb.Error as error:
        raise sql_error(model, error, sql) from error
    outputs = [str(row[0]) for row in described]
    _check_columns(model, outputs)
    if model.is_seed:
        lineage = Lineage(dict.fromkeys(outputs, ()))
    else:
        lineage = column_lineage(sql, outputs, {r: list(c) for r, c in inputs.items()})
    columns = tuple(
        ModelColumn(
            column,
            str(row[1]),
            _description(model, column, lineage.columns.get(column, ()), inputs),
            tuple(dict.fromkeys(map(_behind_wide, lineage.columns[column]))) if column in lineage.columns else None,
        )
        for column, row in zip(outputs, described, strict=True)
    )
    waterfall, waterfall_problem = _waterfall(con, model, sql) if model.is_subset else (None, None)
    rows = waterfall.kept if waterfall else 0
    return ModelResult(name, False, rows, columns, waterfall, lineage.problem, sql, "", 0.0, waterfall_problem)


def _waterfall(con: Connection, model: Model, sql: str) -> tuple[Waterfall | None, str | None]:
    """The waterfall of a subset, or why it has none.

    Raises:
        ProjectError: the SQL does not have the form of a subset, or does not run.
    """
    import duckdb

    selection = split(sql, model)
    if selection.lottery is not None:
        return None, lottery_problem(selection.lottery)
    try:
        return compute_waterfall(con, selection), None
    except duckdb.Error as error:
        raise sql_error(model, error) from error


def lottery_problem(lottery: str) -> str:
    """Why a random subset has no waterfall, and what to write instead."""
    return (
        f"{lottery} selects different samples each time it is evaluated, so nothing can be counted that matches the stored rows; "
        "for a constant fraction, write: where hash(sample_id) % 100 < 50"
    )


def _check_columns(model: Model, outputs: Sequence[str]) -> None:
    first: dict[str, str] = {}
    for column in outputs:
        if column.lower() in first:
            other = first[column.lower()]
            which = f"'{column}'" if column == other else f"'{other}' and '{column}', which differ only in case"
            raise ProjectError(f"model '{model.name}' has two columns {which}; rename one of them with AS", model.path)
        first[column.lower()] = column
    if model.is_subset and "sample_id" not in first:
        raise ProjectError(
            f"subset '{model.name}' selects samples but has no column sample_id; add it to the SELECT", model.path
        )
    unknown = [doc for name, doc in model.docs.columns.items() if name not in first]
    if unknown:
        raise ProjectError(
            f"column '{unknown[0].name}' is described, but model '{model.name}' has no such column; its columns: "
            f"{', '.join(outputs)}",
            model.docs.path,
            unknown[0].line,
        )


def _relations(project: Project, model: Model) -> list[tuple[TableName, str]]:
    """The tables that a model's SQL names, including through ephemeral models, each with the remedy if it is
    missing."""
    found: list[tuple[TableName, str]] = []
    for ref in model.refs:
        if project.models[ref].is_stored:
            found.append(((MODELS_SCHEMA, ref), f"build model '{ref}' first"))
        else:
            found += _relations(project, project.models[ref])
    for key in model.sources:
        source = project.source(*key)
        if source.location is not None:
            continue
        remedy = f"materialize {source.schema}/{source.identifier}, or: arot run {source.schema}"
        found.append(((source.schema, source.identifier), remedy))
    return found


def _description(
    model: Model, column: str, upstream: Sequence[UpstreamColumn], inputs: dict[TableName, dict[str, str]]
) -> str:
    doc = model.docs.columns.get(column.lower())
    if doc is not None and doc.description:
        return doc.description
    same = [inputs.get((u.schema, u.table), {}).get(u.column, "") for u in upstream if u.column == column]
    return next((text for text in same if text), "") if len(same) == len(upstream) else ""


def _behind_wide(column: UpstreamColumn) -> UpstreamColumn:
    """``wide.metric__column`` is ``metric.column``; columns without a prefix come from ``samples``."""
    if column.table != WIDE:
        return column
    table, separator, name = column.column.partition("__")
    if not separator:
        return UpstreamColumn(column.schema, "samples", column.column)
    return UpstreamColumn(column.schema, table, name)
