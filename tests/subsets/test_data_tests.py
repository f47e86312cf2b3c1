"""Data tests find the rows that fail, and mean what they mean in dbt."""

import duckdb
import pytest

from arot_assets.errors import ProjectError
from arot_assets.subsets.load import load_project
from arot_assets.subsets.project import Project
from arot_assets.subsets.tests import TestResult, compile_test, describe_test, run_test

TABLE = """
create or replace view main.a as select * from (values
    (1, 'x', 0.5), (2, 'y', 1.5), (2, null, -0.5), (null, 'z', null), (9, 'x', 0.0)
) as t(id, kind, share)
"""


@pytest.fixture
def con():
    with duckdb.connect() as connection:
        connection.execute(TABLE)
        connection.execute("create view main.parent as select unnest([1, 2, 3]) as id")
        connection.execute("create schema demo; create view demo.samples as select 1 as sample_id, 'odd' as status")
        yield connection


@pytest.fixture
def run(write_project, con, sql):
    """Runs one test, given as YAML below a column (or below the model when column is None)."""

    def go(test: str, column: str | None = "id", extra: dict[str, str] | None = None) -> TestResult:
        files = {f"tests/generic/{p.name}": p.read_text() for p in (sql.folder / "tests" / "generic").glob("*.sql")}
        head = "models:\n- name: a\n"
        where = f"  columns:\n  - name: {column}\n    data_tests:\n" if column else "  data_tests:\n"
        body = "\n".join(f"    {line}" for line in test.splitlines())
        files |= {
            "models/a.sql": "select 1 as id",
            "models/parent.sql": "select 1 as id",
            "models/s.yml": head + where + body,
        }
        project = load_project(write_project({**files, **(extra or {})}))
        project.require_whole()
        return run_test(con, project, project.tests[0])

    return go


@pytest.mark.parametrize("values", ["1", "abc"])
def test_values_that_are_no_list_are_told_with_their_line(run, values: str) -> None:
    with pytest.raises(
        ProjectError, match=rf"s.yml:\d: test 'accepted_values_id'.*must be a list, not .*write \[{values}\]"
    ):
        run(f"- accepted_values: {{values: {values}}}")


@pytest.mark.parametrize(
    ("test", "column", "failures"),
    [
        ("- not_null", "id", 1),
        ("- not_null", "share", 1),
        ("- not_null: {config: {where: \"kind = 'x'\"}}", "id", 0),
        ("- unique", "id", 1),
        ("- unique", "share", 0),
        ("- unique: {where: id > 2}", "id", 0),
        ("- accepted_values: {arguments: {values: [x, y]}}", "kind", 1),
        ("- accepted_values: {values: [x, y, z]}", "kind", 0),
        ("- accepted_values: {arguments: {values: [1, 2], quote: false}}", "id", 1),
        ('- accepted_values: {arguments: {values: ["it\'s", x, y, z]}}', "kind", 0),
        ("- relationships: {arguments: {to: ref('parent'), field: id}}", "id", 1),
        ("- relationships: {arguments: {to: ref('parent'), field: id}, config: {where: id < 5}}", "id", 0),
        ("- relationships: {arguments: {to: \"{{ source('demo', 'samples') }}\", field: sample_id}}", "id", 3),
        ("- accepted_range: {arguments: {min_value: 0}}", "share", 1),
        ("- accepted_range: {arguments: {min_value: 0, max_value: 1}}", "share", 2),
        ("- accepted_range: {arguments: {min_value: 0, inclusive: false}}", "share", 2),
        ("- accepted_range: {arguments: {max_value: var('least')}}", "id", 0),
        ("- accepted_range: {arguments: {max_value: \"{{ var('least') / 50 }}\"}}", "id", 1),
        ("- accepted_range", "share", 0),
        ("- expression_is_true: {arguments: {expression: '> 0'}}", "id", 1),
        ("- expression_is_true: {arguments: {expression: \"id < {{ var('least') }} or id is null\"}}", None, 0),
        ("- expression_is_true: {arguments: {expression: share >= 0}}", None, 2),
    ],
)
def test_failing_rows_are_counted(run, test: str, column: str | None, failures: int):
    assert run(test, column).failures == failures


def test_result_shows_the_failing_rows(run):
    result = run("- accepted_range: {arguments: {min_value: 0}}", "share")
    assert result.columns == ("id", "kind", "share")
    assert [row[0] for row in result.rows] == [2]
    assert result.to_markdown().splitlines() == ["| id | kind | share |", "|---|---|---|", "| 2 | null | -0.5 |"]
    assert not result.passed


def test_only_the_first_failing_rows_are_kept_but_all_are_counted(run, con):
    con.execute("create or replace view main.a as select null as id from range(1234)")
    result = run("- not_null")
    assert result.failures == 1234
    assert len(result.rows) == 10
    assert "1,224 more" in result.to_markdown()


def test_severity_is_kept(run):
    assert run("- not_null: {config: {severity: warn}}").severity == "warn"
    assert run("- not_null").severity == "error"


def test_singular_test_is_a_query_for_failing_rows(run):
    sql = "{{ config(severity='warn') }}\nselect * from {{ ref('a') }} where share > 1"
    result = run("[]", None, {"tests/no_large_share.sql": sql})
    assert (result.test.name, result.test.target, result.severity, result.failures) == (
        "no_large_share",
        "a",
        "warn",
        1,
    )


def test_disabled_test_is_no_test(run):
    with pytest.raises(IndexError):
        run("- not_null: {config: {enabled: false}}")


def test_test_config_that_would_not_be_honoured_is_an_error(run):
    with pytest.raises(
        ProjectError, match=r"s.yml:6: test config 'error_iff' is not supported here. Did you mean 'error_if'"
    ):
        run("- not_null: {config: {error_iff: '>10'}}")


def test_test_of_a_column_that_is_not_there_says_where_it_is_declared(run):
    with pytest.raises(ProjectError, match=r"s.yml:6: test 'not_null_idd' does not run: .*idd"):
        run("- not_null", "idd")


def test_two_tests_of_one_kind_get_names_of_their_own(write_project):
    schema = (
        "models:\n- name: a\n  columns:\n  - name: id\n    data_tests:\n"
        "    - accepted_values: {arguments: {values: [1]}}\n    - accepted_values: {arguments: {values: [2]}}\n"
        "    - accepted_values: {name: mine, arguments: {values: [3]}}"
    )
    project = load_project(write_project({"models/a.sql": "select 1 as id", "models/s.yml": schema}))
    assert [t.name for t in project.tests] == ["accepted_values_id_1", "accepted_values_id_2", "mine"]


def test_description_says_what_a_test_demands(sql: Project):
    told = {t.name: describe_test(t) for t in sql.tests}
    assert told["accepted_range_brightness"] == "brightness: accepted_range(min_value: 0, max_value: 255)"
    assert told["clean_is_no_banner"] == "the longer side is at most max_aspect times the shorter one"


def test_every_shipped_test_compiles_to_one_query(sql: Project):
    for test in sql.tests:
        assert len(duckdb.extract_statements(compile_test(sql, test))) == 1
