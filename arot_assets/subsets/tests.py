"""Data tests: each is a query for the rows that fail.

Belongs here: the SQL of a declared test, and running it.
Does not belong here: reading declarations (``schema_file.py``), Dagster's asset checks (``checks.py``).

not_null, unique, accepted_values and relationships mean what they mean in dbt; every other test is a ``{% test %}`` block of
the project, whose text dbt and this runner share.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from arot_assets.errors import ProjectError
from arot_assets.subsets.project import MODELS_SCHEMA, Captured, Project
from arot_assets.subsets.render import Relation
from arot_assets.subsets.schema_file import DataTest, Severity

if TYPE_CHECKING:
    import duckdb

SAMPLE_ROWS = 10
CALL = re.compile(r"^\s*(ref|source|var)\s*\(.+\)\s*$", re.DOTALL)
"""dbt evaluates an argument that looks like one of these calls, with or without braces."""


@dataclass(frozen=True)
class TestResult:
    """What a test found.

    Attributes:
        test: the declaration.
        failures: number of failing rows.
        columns: names of the columns of ``rows``.
        rows: the first few failing rows.
        sql: the query.
        seconds: what it took.
    """

    __test__ = False

    test: DataTest
    failures: int
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    sql: str
    seconds: float

    @property
    def passed(self) -> bool:
        """No row fails."""
        return self.failures == 0

    @property
    def severity(self) -> Severity:
        """What a failure means: ``error`` or ``warn``."""
        return self.test.severity

    def to_markdown(self) -> str:
        """The first failing rows as a table; empty if none fails."""
        if not self.rows:
            return ""
        lines = ["| " + " | ".join(self.columns) + " |", "|" + "---|" * len(self.columns)]
        lines += ["| " + " | ".join(_cell(v) for v in row) + " |" for row in self.rows]
        if self.failures > len(self.rows):
            lines.append(f"\n… and {self.failures - len(self.rows):,} more")
        return "\n".join(lines)


def describe_test(test: DataTest) -> str:
    """What a test demands, in a line."""
    if test.description:
        return test.description
    if not test.test:
        return f"no row comes out of {test.path.name}"
    words = {k: v for k, v in test.arguments.items() if k != "column_name"}
    given = f"({', '.join(f'{k}: {v}' for k, v in words.items())})" if words else ""
    where = f" where {test.where}" if test.where else ""
    return f"{test.column or 'every row'}: {test.test}{given}{where}"


def compile_test(project: Project, test: DataTest) -> str:
    """The SQL that returns the rows which fail a test.

    Raises:
        ProjectError: its arguments do not fit.
    """
    functions = project.functions(Captured())
    if not test.test:
        return project.templates.render(test.path, test.path.read_text(encoding="utf-8"), functions).strip().rstrip(";")
    arguments = {k: _evaluated(project, test, v, functions) for k, v in test.arguments.items()}
    relation: str
    if isinstance(test.target, str):
        relation = Relation(MODELS_SCHEMA, test.target)
    else:
        source = project.source(*test.target)
        relation = Relation(source.schema, source.identifier)
    if test.where:
        where = _evaluated(project, test, test.where, functions)
        relation = f"(select * from {relation} where {where}) dbt_subquery"
    if test.column is not None:
        arguments["column_name"] = test.column
    built_in = {
        "not_null": _not_null,
        "unique": _unique,
        "accepted_values": _accepted_values,
        "relationships": _relationships,
    }
    if test.test in built_in:
        return built_in[test.test](relation, arguments)
    return project.templates.render_test(
        test.test, test.path, test.line, {"model": relation, **arguments}, functions
    ).strip()


def run_test(con: "duckdb.DuckDBPyConnection", project: Project, test: DataTest) -> TestResult:
    """Run a test.

    Args:
        con: a connection with the views of the catalogue.
        project: the project that declares it.
        test: one of ``project.tests``.

    Raises:
        ProjectError: it does not run: a table that is not there, a column that does not exist.
    """
    import duckdb

    sql = compile_test(project, test)
    started = time.perf_counter()
    try:
        result = con.execute(f"select * from (\n{sql}\n) limit {SAMPLE_ROWS}")
        columns = tuple(d[0] for d in result.description or ())
        rows = tuple(result.fetchall())
        failures = len(rows)
        if failures == SAMPLE_ROWS:
            counted = con.execute(f"select count(*) from (\n{sql}\n)").fetchone()
            failures = int(counted[0]) if counted else failures
    except duckdb.Error as error:
        text = str(error).split("\n\nLINE ")[0]
        raise ProjectError(f"test '{test.name}' does not run: {text}", test.path, test.line) from error
    return TestResult(test, failures, columns, rows, sql, time.perf_counter() - started)


def _evaluated(project: Project, test: DataTest, value: Any, functions: Mapping[str, Any]) -> Any:
    """An argument as the test gets it: calls of ref, source and var, and ``{{ … }}``, are evaluated."""
    if not isinstance(value, str):
        return value
    if CALL.match(value):
        return project.templates.evaluate(test.path, test.line, value, functions)
    whole = re.fullmatch(r"\s*\{\{(.+)\}\}\s*", value, re.DOTALL)
    if whole and "}}" not in whole.group(1):
        return project.templates.evaluate(test.path, test.line, whole.group(1), functions)
    return project.templates.fill(test.path, test.line, value, functions) if "{{" in value else value


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
    return f"""select {column} as value, count(*) as times from {relation}
        where {column} not in ({values}) group by {column}"""


def _relationships(relation: str, arguments: Mapping[str, Any]) -> str:
    column, field = arguments["column_name"], arguments["field"]
    return f"""select child.{column} as value from {relation.removesuffix(" dbt_subquery")} as child
        left join {arguments["to"]} as parent on child.{column} = parent.{field}
        where child.{column} is not null and parent.{field} is null"""


def _cell(value: Any) -> str:
    text = "null" if value is None else str(value)
    return (text if len(text) <= 60 else text[:59] + "…").replace("|", "\\|").replace("\n", " ")
