"""What a broken project says: file, line, cause and remedy."""

import re
from collections.abc import Mapping

import pytest

from arot_assets.errors import ProjectError
from arot_assets.subsets.describe import describe_model
from arot_assets.subsets.load import load_project
from arot_assets.subsets.project import Project
from arot_assets.subsets.tests import compile_test
from resources.tables import Tables
from resources.warehouse import Warehouse

GOOD = "select sample_id\nfrom {{ source('demo', 'samples') }}\nwhere width > {{ var('least') }}\n"


@pytest.mark.parametrize(
    ("files", "place", "says"),
    [
        pytest.param(
            {"models/a.sql": "select *\nfrom {{ ref('cleen') }}", "models/clean.sql": GOOD},
            "a.sql:2:",
            "no model 'cleen'.*Did you mean 'clean'",
            id="unknown ref",
        ),
        pytest.param(
            {"models/a.sql": "select *\n\nfrom {{ source('demo', 'sample') }}"},
            "a.sql:3:",
            "no table 'sample' declared. Did you mean 'samples'",
            id="unknown table",
        ),
        pytest.param(
            {"models/a.sql": "select * from {{ source('dome', 'samples') }}"},
            "a.sql:1:",
            "unknown source 'dome'",
            id="unknown source",
        ),
        pytest.param(
            {"models/a.sql": "{{ config(\n  tags=['x'],\n  description='y'\n) }}\nselect {{ var('lest') }}"},
            "a.sql:5:",
            "unknown var 'lest'.*dbt_project.yml.*Did you mean 'least'",
            id="unknown var, below a tag of several lines",
        ),
        pytest.param(
            {"models/a.sql": "select * from {{ ref('b') }}", "models/b.sql": "select * from {{ ref('a') }}"},
            ".sql:",
            "circle: [ab] -> [ab] -> [ab]",
            id="cycle",
        ),
        pytest.param(
            {"models/a.py": "def model(dbt, session): ..."}, "a.py:", "in Python are not supported", id="Python"
        ),
        pytest.param({"snapshots/s.sql": "{% snapshot s %}"}, "s.sql:", "snapshots are not supported", id="snapshot"),
        pytest.param({"models/a.sql": "select {{ run_started_at }}"}, "a.sql:1:", "of dbt is not supported", id="time"),
        pytest.param({"models/a.sql": GOOD, "models/x/a.sql": GOOD}, "a.sql:", "exists twice", id="duplicate model"),
        pytest.param({"models/a.sql": "select 1\n{% if %}"}, "a.sql:2:", "Jinja syntax error", id="Jinja syntax"),
        pytest.param(
            {"models/a.sql": "select {{ env_var('HOME') }}"}, "a.sql:1:", "'env_var'.*not supported.*var", id="env_var"
        ),
        pytest.param(
            {"models/a.sql": "select 1,\n {{ cents('x') }}"},
            "a.sql:2:",
            "'cents' is neither a macro",
            id="unknown macro",
        ),
        pytest.param(
            {"models/a.sql": "select {{ f() }}", "macros/f.sql": "{% macro f() %}\n{{ var('no') }}\n{% endmacro %}"},
            "f.sql:2:",
            "unknown var 'no'",
            id="error inside a macro",
        ),
        pytest.param(
            {"models/a.sql": "\n{{ config(materialized='incremental') }}\nselect 1"},
            "a.sql:2:",
            "'incremental' is not supported; use table, view, ephemeral",
            id="unsupported materialization",
        ),
        pytest.param(
            {"models/a.sql": "{{ config(tagz=['x']) }} select 1"}, "a.sql:1:", "Did you mean 'tags'", id="config typo"
        ),
        pytest.param(
            {
                "models/a.sql": GOOD,
                "models/b.sql": "{{ config(enabled=false) }} select 1",
                "models/c.sql": "select * from {{ ref('b') }}",
            },
            "c.sql:1:",
            "model 'b' is disabled",
            id="ref to a disabled model",
        ),
        pytest.param(
            {"models/a.sql": GOOD, "models/s.yml": "models:\n  - name: a\n    colums: []"},
            "s.yml:3:",
            "unknown key 'colums'. Did you mean 'columns'",
            id="YAML key typo",
        ),
        pytest.param(
            {"models/a.sql": GOOD, "models/s.yml": "models:\n  - name: a\n\n  - name: b"},
            "s.yml:4:",
            "there is no model 'b'",
            id="docs of a model that is not there",
        ),
        pytest.param({"models/s.yml": "models:\n  - name: [a"}, "s.yml:", "not valid YAML", id="YAML syntax"),
        pytest.param({"models/s.yml": "version: 2\nversion: 2"}, "s.yml:2:", "duplicate key", id="YAML key twice"),
        pytest.param(
            {"models/s.yml": "version: 2\nunit_tests: []"}, "s.yml:2:", "dbt's 'unit_tests' are not", id="unit tests"
        ),
        pytest.param(
            {"models/a.sql": GOOD, "models/s.yml": "models:\n  - name: a\n    data_tests:\n      - positive"},
            "s.yml:4:",
            "unknown data test 'positive'",
            id="unknown test",
        ),
        pytest.param(
            {
                "models/a.sql": GOOD,
                "models/s.yml": "models:\n- name: a\n  columns:\n  - name: b\n    data_tests:\n    - accepted_values: {}",
            },
            "s.yml:6:",
            "needs 'values'",
            id="test without its argument",
        ),
        pytest.param(
            {
                "models/a.sql": GOOD,
                "models/s.yml": "models:\n- name: a\n  columns:\n  - name: b\n    data_tests: [not_null, not_null]",
            },
            "s.yml:5:",
            "declared twice",
            id="one test twice",
        ),
        pytest.param(
            {"dbt_project.yml": "name: small\nmodel-path: [x]"}, "dbt_project.yml:2:", "model-path", id="project key"
        ),
        pytest.param(
            {"dbt_project.yml": "name: small\nmodels:\n  small:\n    +materialised: table", "models/a.sql": GOOD},
            "dbt_project.yml:4:",
            "Did you mean 'materialized'",
            id="project config typo",
        ),
        pytest.param(
            {"macros/a.sql": "{% macro f() %}{% endmacro %}", "macros/b.sql": "\n{% macro f() %}{% endmacro %}"},
            "b.sql:2:",
            "'f' is also defined in .*a.sql",
            id="macro twice",
        ),
    ],
)
def test_fault_names_file_line_and_remedy_and_leaves_the_others_alone(
    write_project, files: Mapping[str, str], place: str, says: str
):
    project = load_project(write_project({**files, "models/other/fine.sql": GOOD}))
    told = [line for line in project.problems() if place in line and re.search(says, line)]
    assert len(told) == 1 and "\n" not in told[0], project.problems()
    if "dbt_project.yml" not in files:
        assert "fine" in project.models
    with pytest.raises(ProjectError, match=re.escape(told[0])):
        project.require_whole()


def test_project_that_is_not_there_says_so(tmp_path):
    assert load_project(tmp_path).problems() == [
        f"{tmp_path}/dbt_project.yml: cannot be read: No such file or directory; check the path"
    ]


def test_what_reads_a_faulty_model_is_left_out_too_and_says_through_which(write_project):
    project = load_project(
        write_project(
            {
                "models/a.sql": "select {{ 1 + 'x' }}",
                "models/b.sql": "select 1 from\n{{ ref('e') }}",
                "models/e.sql": "{{ config(materialized='ephemeral') }}\nselect * from {{ ref('a') }}",
                "models/c.sql": GOOD,
                "models/s.yml": "models: [{name: c, data_tests: [no_such_test]}]",
                "models/d.sql": "select * from {{ ref('c') }}",
                "models/fine.sql": GOOD,
                "tests/t.sql": "select * from {{ ref('b') }}",
                "tests/fine.sql": "select * from {{ ref('fine') }} where false",
            }
        )
    )
    assert list(project.models) == ["fine"] and [t.name for t in project.tests] == ["fine"]
    told = {name: str(error).removeprefix(f"{project.folder}/") for name, error in project.broken.items()}
    assert told["e"] == "models/e.sql:2: reads model 'a', which is left out (a.sql:1)"
    assert told["b"] == "models/b.sql:2: reads model 'e', which is left out (e.sql:2)"
    assert told["d"].startswith("models/d.sql:1: reads model 'c', which is left out (s.yml:1")
    assert told["test t"].startswith("tests/t.sql:1: reads model 'b', which is left out (b.sql:2)")
    with pytest.raises(ProjectError, match=r"a\.sql:1: Jinja: TypeError"):
        project.model("a")


def test_circle_leaves_out_its_models_and_what_reads_them(write_project):
    refs = {"a": "b", "b": "a", "c": "a"}
    files = {f"models/{n}.sql": f"select * from {{{{ ref('{r}') }}}}" for n, r in refs.items()}
    project = load_project(write_project({**files, "models/fine.sql": GOOD}))
    assert list(project.models) == ["fine"] and set(project.broken) == {"a", "b", "c"}
    assert len(project.problems()) == 2  # the circle, and c


def test_models_of_a_file_that_cannot_be_read_are_left_out(write_project):
    """It may hold their tests, or switch them off."""
    files = {
        "models/a.sql": GOOD,
        "models/b.sql": "select * from {{ source('more', 'x') }}",
        "models/fine.sql": GOOD,
        "models/s.yml": "models:\n  - name: a\n sources:\n  - {name: more, tables: [{name: x}]}\n",
    }
    project = load_project(write_project(files))
    assert list(project.models) == ["fine"]
    assert "s.yml:3: not valid YAML" in str(project.broken["a"])
    assert "b.sql:1: reads source 'more.x', which is left out (s.yml:3)" in str(project.broken["b"])


def test_faulty_entry_of_a_source_leaves_out_what_reads_it_and_a_faulty_test_only_itself(write_project):
    sources = "sources:\n- name: demo\n  tables:\n  - name: samples\n    data_tests: [nonsense]\n  - {name: cv2, colums: []}\n"
    files = {
        "models/sources.yml": sources,
        "models/a.sql": "select * from {{ source('demo', 'cv2') }}",
        "models/fine.sql": GOOD,
    }
    project = load_project(write_project(files))
    assert list(project.models) == ["fine"]
    assert [line.split(":", 1)[1][:24] for line in project.problems()] == [
        "6: unknown key 'colums'.",
        "1: reads source 'demo.cv2"[:24],
        "5: unknown data test 'no",
    ]


@pytest.mark.parametrize("name", ["größe", "with space", "a$b"])
def test_model_name_that_no_asset_may_have_is_refused_with_a_proposal(write_project, name: str):
    project = load_project(write_project({f"models/{name}.sql": GOOD, "models/my-model.sql": GOOD}))
    assert list(project.models) == ["my-model"]
    proposed = {"größe": "grosse", "with space": "with_space", "a$b": "a_b"}[name]
    assert f"rename the file to {proposed}.sql" in str(project.broken[name])


def test_models_that_sql_or_dagster_would_take_for_one_are_refused(write_project):
    files = {f"models/{n}.sql": GOOD for n in ("a_b", "a-b", "fine")} | {"models/x/Fine.sql": GOOD}
    project = load_project(write_project(files))
    assert not project.models and "'a_b' is too close to 'a-b'" in str(project.broken["a-b"])


@pytest.mark.parametrize(
    "sql",
    [
        "{{ ref('fine', v=1) }}",
        "{{ source('demo') }}",
        "{{ var('least') + 'a' }}",
        "{{ config('table') }} select 1",
        "{{ '%s %s' | format(1) }}",
        "{% macro m(a) %}{{ m(a) }}{% endmacro %}{{ m(1) }}",
        "{{ 1 / 0 }}",
        "{{ [1][5].x }}",
        "{{ broken() }}",
        "{% for x in 5 %}{% endfor %}",
    ],
)
def test_python_error_in_a_template_is_one_line_with_its_place(write_project, sql: str):
    files = {
        "models/a.sql": f"select 1\n{sql}",
        "models/fine.sql": GOOD,
        "macros/m.sql": "{% macro broken() %}{{ 3 | nothing }}{% endmacro %}",
    }
    project = load_project(write_project(files))
    assert list(project.models) == ["fine"]
    assert re.match(r".*/(a\.sql:2|m\.sql:1): [^\n]+$", str(project.broken["a"])), project.broken["a"]


@pytest.mark.parametrize(
    ("sql", "place", "says"),
    [
        pytest.param(
            "select sample_id\nfrom\nwhere width > 1",
            "a.sql:3:",
            "model 'a' does not run: Parser Error: syntax error",
            id="not SQL",
        ),
        pytest.param(
            "select sample_id\nfrom {{ source('demo', 'samples') }}\nwhere widht > 1",
            "a.sql:3:",
            "does not run: .*widht",
            id="unknown column",
        ),
        pytest.param(
            "select 1 as a; select 2 as b", "a.sql:", "one SELECT without anything after it", id="two statements"
        ),
        pytest.param("select 1 as a, 2 as a", "a.sql:", "two columns 'a'", id="one name twice"),
        pytest.param(
            "{{ config(tags='subset') }} select width from {{ source('demo', 'samples') }}",
            "a.sql:",
            "no column sample_id",
            id="subset without samples",
        ),
        pytest.param(
            "{{ config(tags='subset') }} select sample_id from {{ source('demo', 'samples') }} limit 5",
            "a.sql:",
            "cannot have LIMIT.*qualify row_number",
            id="subset with a limit",
        ),
        pytest.param(
            "{{ config(tags='subset') }} select 'a' as sample_id union all select 'b'",
            "a.sql:",
            "not a UNION",
            id="subset of a union",
        ),
        pytest.param(
            "select * from {{ source('demo', 'wide') }} join {{ source('demo', 'nope') }} using (sample_id)",
            "a.sql:",
            "reads demo.nope, which does not exist yet; materialize demo/nope, or: arot run demo",
            id="table not there yet",
        ),
    ],
)
def test_sql_that_does_not_work_out_is_told_when_it_is_built(
    write_project, demo: Tables, warehouse: Warehouse, sql: str, place: str, says: str
):
    sources = "sources:\n  - name: demo\n    tables: [{name: samples}, {name: wide}, {name: nope}]\n"
    project = load_project(write_project({"models/a.sql": sql, "models/sources.yml": sources}))
    with warehouse.connect() as con, pytest.raises(ProjectError, match=f"(?s){says}") as raised:
        describe_model(project, "a", con)
    assert place in str(raised.value)


def test_described_column_that_the_model_lacks_is_an_error(write_project, demo: Tables, warehouse: Warehouse):
    schema = "models:\n  - name: a\n    columns:\n      - name: widht\n"
    project = load_project(write_project({"models/a.sql": GOOD, "models/s.yml": schema}))
    with warehouse.connect() as con, pytest.raises(ProjectError, match=r"s.yml:4: column 'widht' is described"):
        describe_model(project, "a", con)


def test_test_with_arguments_that_its_macro_does_not_take_is_an_error(write_project):
    project: Project = load_project(
        write_project(
            {
                "models/a.sql": GOOD,
                "macros/t.sql": "{% test positive(model, column_name) %}select 1{% endtest %}",
                "models/s.yml": (
                    "models:\n- name: a\n  columns:\n  - name: sample_id\n    data_tests:\n"
                    "    - positive: {arguments: {strictly: true}}"
                ),
            }
        )
    )
    with pytest.raises(ProjectError, match=r"s.yml:6: test 'positive': .*strictly"):
        compile_test(project, project.tests[0])
