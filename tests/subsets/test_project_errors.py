"""What a broken project says: file, line, cause and remedy."""

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


def test_good_project_loads_with_models_upstream_first(write_project):
    folder = write_project({"models/z.sql": GOOD, "models/a.sql": "select * from {{ ref('z') }}"})
    project = load_project(folder)
    assert list(project.models) == ["z", "a"]
    assert project.models["a"].refs == ("z",)
    assert project.models["z"].sources == (("demo", "samples"),)
    assert project.compile("z") == 'select sample_id\nfrom "demo"."samples"\nwhere width > 100'


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
            {"models/s.yml": "version: 2\nunit_tests: []"}, "s.yml:2:", "'unit_tests' of dbt are not", id="unit tests"
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
            "'f' is defined in .*a.sql too",
            id="macro twice",
        ),
    ],
)
def test_broken_project_names_file_line_and_remedy(write_project, files: Mapping[str, str], place: str, says: str):
    with pytest.raises(ProjectError, match=f"(?s){says}") as raised:
        load_project(write_project(files))
    assert place in str(raised.value)


def test_project_that_is_not_there_says_so(tmp_path):
    with pytest.raises(ProjectError, match=r"dbt_project.yml: cannot be read: No such file"):
        load_project(tmp_path)


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
            "no LIMIT.*qualify row_number",
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
            "reads demo.nope, which is not there yet; materialize demo/nope, or: arot run demo",
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
    with warehouse.connect() as con, pytest.raises(ProjectError, match=r"s.yml:2: column 'widht' is described"):
        describe_model(project, "a", con)


def test_disabled_model_does_not_exist(write_project):
    project = load_project(
        write_project({"models/a.sql": "{{ config(enabled=false) }} select 1", "models/b.sql": GOOD})
    )
    assert list(project.models) == ["b"]
    with pytest.raises(ProjectError, match="model 'a' is disabled"):
        project.model("a")


def test_configuration_is_laid_over_from_general_to_special(write_project):
    project = load_project(
        write_project(
            {
                "dbt_project.yml": "name: small\nmodels:\n  small:\n    +tags: [all]\n    deep:\n      +materialized: view\n",
                "models/deep/a.sql": "{{ config(tags=['own'], meta={'owner': 'team:x'}) }} select 1 as one",
                "models/s.yml": "models:\n  - name: a\n    config: {tags: [written]}\n    description: in  schema.yml\n",
            }
        )
    )
    model = project.models["a"]
    assert model.config.tags == ("all", "written", "own")
    assert model.config.materialized == "view"
    assert model.config.meta == {"owner": "team:x"}
    assert model.description == "in schema.yml"


def test_macros_call_one_another_and_see_ref_and_var(write_project):
    project = load_project(
        write_project(
            {
                "models/b.sql": GOOD,
                "models/a.sql": "select * from {{ big('b') }}",
                "macros/one.sql": "{% macro big(name) %}{{ ref(name) }} where {{ at_least('width') }}{% endmacro %}",
                "macros/two.sql": "{% macro at_least(x) %}{{ x }} >= {{ var('least') }}{% endmacro %}",
            }
        )
    )
    assert project.compile("a") == 'select * from "main"."b" where width >= 100'
    assert project.models["a"].refs == ("b",)


def test_ephemeral_model_is_pasted_in_and_lends_its_inputs(write_project):
    project = load_project(
        write_project(
            {
                "models/e.sql": "{{ config(materialized='ephemeral') }}\n" + GOOD,
                "models/a.sql": "select * from {{ ref('e') }} as e",
            }
        )
    )
    assert project.compile("a").split() == (
        'select * from ( select sample_id from "demo"."samples" where width > 100 ) as e'.split()
    )
    assert project.inputs("a") == ((), (("demo", "samples"),))


def test_wide_stands_for_every_other_table_of_its_dataset(write_project):
    project = load_project(write_project({"models/a.sql": "select * from {{ source('demo', 'wide') }}"}))
    assert project.inputs("a") == ((), (("demo", "samples"), ("demo", "cv2")))


def test_variables_can_be_overridden_but_not_invented(write_project):
    folder = write_project({"models/a.sql": GOOD})
    assert "width > 7" in load_project(folder, {"least": 7}).compile("a")
    with pytest.raises(ProjectError, match="no var 'leest' to override"):
        load_project(folder, {"leest": 7})


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
