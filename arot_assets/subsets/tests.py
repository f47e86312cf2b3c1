"""Data tests: each is a query for the rows that fail.

Belongs here: the SQL of a declared test, and running it.
Does not belong here: reading declarations (``schema_file.py``), Dagster's asset checks (``checks.py``).

not_null, unique, accepted_values and relationships mean the same as in dbt; every other test is a ``{% test %}`` block
of the project, whose text is shared by dbt and this runner.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from arot_assets.errors import ProjectError
from arot_assets.markdown import write_table
from arot_assets.subsets.compiled import Relation
from arot_assets.subsets.data_test import DataTest, Severity
from arot_assets.subsets.dialect import TEST_PREFIX
from arot_assets.subsets.project import MODELS_SCHEMA, Project, RenderContext
from arot_assets.subsets.render import read_template
from arot_assets.yaml_lines import rendered
from resources.warehouse import Connection
from resources.warehouse.reads import read_from

SAMPLE_ROWS = 10
CALL = re.compile(r"^\s*(ref|source|var)\s*\(.+\)\s*$", re.DOTALL)
"""dbt evaluates an argument that looks like one of these calls, with or without braces."""


@dataclass(frozen=True)
class TestResult:
    """The result of a test.

    Attributes:
        test: the declaration.
        failures: the result of its ``fail_calc`` over the failing rows: by default their number.
        status: ``pass``, or what the failures mean according to its ``severity``, ``warn_if`` and ``error_if``.
        columns: names of the columns of ``rows``.
        rows: the first few failing rows.
        sql: the query.
        seconds: its duration.
    """

    __test__ = False

    test: DataTest
    failures: int
    status: Literal["pass", "warn", "error"]
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    sql: str
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether it is neither a warning nor a failure."""
        return self.status == "pass"

    @property
    def severity(self) -> Severity:
        """The severity of the result if the test did not pass; otherwise the maximum severity of a failure."""
        return self.test.config.severity if self.status == "pass" else self.status

    def to_markdown(self) -> str:
        """The first failing rows as a table; empty if none fails."""
        if not self.rows:
            return ""
        lines = [write_table(self.columns, ([_shown(value) for value in row] for row in self.rows))]
        if self.failures > len(self.rows):
            lines.append(f"\n… and {self.failures - len(self.rows):,} more")
        return "\n".join(lines)


def describe_test(test: DataTest) -> str:
    """What a test requires, in one line."""
    if test.description:
        return test.description
    if not test.test:
        return f"{test.path.name} returns no rows"
    words = {k: v for k, v in test.arguments.items() if k != "column_name"}
    given = f"({', '.join(f'{k}: {v}' for k, v in words.items())})" if words else ""
    where = f" where {test.config.where}" if test.config.where else ""
    return f"{test.column or 'every row'}: {test.test}{given}{where}"


def own_config(project: Project, test: DataTest) -> dict[str, Any]:
    """The configuration that a test's SQL sets with ``config()``; an empty mapping if there is none.

    Raises:
        ProjectError: its arguments do not fit.
    """
    macro = project.templates.macros.get(TEST_PREFIX + test.test)
    says = read_template(macro or test.path) if macro is not None or not test.test else ""
    captured = RenderContext()
    if "config" in says:  # most tests have none and are not rendered while the project loads
        _compile(project, test, captured)
    return captured.config


def compile_test(project: Project, test: DataTest) -> str:
    """The SQL that returns the rows which fail a test.

    Raises:
        ProjectError: its arguments do not fit.
    """
    return _compile(project, test, RenderContext())


def _compile(project: Project, test: DataTest, captured: RenderContext) -> str:
    functions = project.functions(captured)
    if not test.test:
        return project.templates.render(test.path, read_template(test.path), functions).without_end()

    def value(text: str, _where: object) -> Any:
        """An argument as the test receives it: calls of ref, source and var, and ``{{ … }}``, are evaluated."""
        called = f"{{{{ {text} }}}}" if CALL.match(text) else text
        return project.templates.value(test.path, test.line, called, functions)

    arguments: dict[str, Any] = rendered(dict(test.arguments), (), value)
    if "column_name" in test.arguments:  # never a value of another type
        arguments["column_name"] = str(arguments["column_name"])
    relation: str
    if isinstance(test.target, str):
        relation = Relation(MODELS_SCHEMA, test.target)
    else:
        source = project.source(*test.target)
        relation = source.location or Relation(source.schema, source.identifier)
    if test.config.where:
        relation = f"(select * from {relation} where {test.config.where}) dbt_subquery"
    if test.column_sql is not None:
        arguments["column_name"] = test.column_sql
    if TEST_PREFIX + test.test in project.templates.macros:  # also one of dbt's own, redefined
        arguments = {"model": relation, **arguments}
        return project.templates.render_test(test.test, test.path, test.line, arguments, functions).strip()
    values = arguments.get("values")
    if test.test == "accepted_values" and not isinstance(values, list | tuple | set):
        text = f"test '{test.name}': 'values' must be a list, not {values!r}; write [{values}]"
        raise ProjectError(text, test.path, test.line)
    built_in = {
        "not_null": _not_null,
        "unique": _unique,
        "accepted_values": _accepted_values,
        "relationships": _relationships,
    }
    return built_in[test.test](relation, arguments)


def run_test(con: Connection, project: Project, test: DataTest) -> TestResult:
    """Run a test.

    Args:
        con: a connection with the views of the catalogue.
        project: the project that declares it.
        test: one of ``project.tests``.

    Raises:
        ProjectError: it does not run: a missing table, a missing column, or a ``fail_calc`` without a number.
    """
    import duckdb

    read_from(con, project.folder)
    sql = compile_test(project, test)
    config = test.config
    limited = sql if config.limit is None else f"{sql}\nlimit {config.limit}"
    started = time.perf_counter()
    try:
        counted = con.execute(
            f"select {config.fail_calc}, {config.fail_calc} {config.warn_if}, {config.fail_calc} {config.error_if}\n"
            f"from (\n{limited}\n) dbt_internal_test"
        ).fetchone()
        failures, warns, fails = counted or (None, None, None)
        if failures is None:
            raise ProjectError(
                f"test '{test.name}': {config.fail_calc} is null, so there is no number of failures; use coalesce(…, 0)",
                test.path,
                test.line,
            )
        columns, rows = _examples(con, limited) if warns or fails else ((), ())
    except duckdb.Error as error:
        text = str(error).split("\n\nLINE ")[0]
        raise ProjectError(f"test '{test.name}' does not run: {text}", test.path, test.line) from error
    status: Literal["pass", "warn", "error"] = (
        "error" if fails and config.severity == "error" else "warn" if warns else "pass"
    )
    return TestResult(test, int(failures), status, columns, rows, sql, time.perf_counter() - started)


def _examples(con: Connection, sql: str) -> tuple[tuple[str, ...], tuple[tuple[Any, ...], ...]]:
    """The columns and the first rows of a test's query."""
    result = con.execute(f"select * from (\n{sql}\n) limit {SAMPLE_ROWS}")
    return tuple(d[0] for d in result.description or ()), tuple(result.fetchall())


def _not_null(relation: str, arguments: Mapping[str, Any]) -> str:
    column = arguments["column_name"]
    return f"select * from {relation} where {column} is null"


def _unique(relation: str, arguments: Mapping[str, Any]) -> str:
    column = arguments["column_name"]
    return f"""select {column} as value, count(*) as times from {relation}
        where {column} is not null group by {column} having count(*) > 1"""


def _accepted_values(relation: str, arguments: Mapping[str, Any]) -> str:
    column, quote = arguments["column_name"], arguments.get("quote", True)
    values = ", ".join("'" + str(v).replace("'", "''") + "'" if quote else str(v) for v in arguments["values"])
    return f"""select * from (select {column} as value, count(*) as times from {relation} group by {column})
        where value not in ({values})"""


def _relationships(relation: str, arguments: Mapping[str, Any]) -> str:
    column, field = arguments["column_name"], arguments["field"]
    return f"""select child.value from (select {column} as value from {relation} where {column} is not null) as child
        left join (select {field} as value from {arguments["to"]}) as parent on child.value = parent.value
        where parent.value is null"""


def _shown(value: Any) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= 60 else text[:59] + "…"
