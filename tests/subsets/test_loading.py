"""A project is loaded as dbt loads it: order, configuration, macros, ephemeral models, variables, names."""

import dagster as dg
import pytest

from arot_assets.errors import ProjectError
from arot_assets.subsets.assets import sql_model_assets
from arot_assets.subsets.checks import sql_model_checks
from arot_assets.subsets.load import load_project
from resources.compute import Local
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


def test_names_that_only_dagster_refuses_are_written_otherwise_there(write_project, demo: Tables, warehouse: Warehouse):
    schema = """models:
- name: a
  columns:
  - {name: größe, data_tests: [not_null]}
  - {name: 猫, data_tests: [not_null]}
  - {name: 犬, data_tests: [not_null]}
"""
    files = {
        "models/a.sql": "{{ config(tags=['team:ml']) }} select 1 as größe, 2 as 猫, 3 as 犬",
        "models/s.yml": schema,
        "tests/a-is-positive.sql": "select * from {{ ref('a') }} where größe < 0",
    }
    project = load_project(write_project(files))
    (asset,) = sql_model_assets(project)
    assert "dbt/team_ml" in asset.tags_by_key[asset.key]
    (checks,) = sql_model_checks(project)
    names = {spec.name for spec in checks.check_specs}
    assert names == {"not_null_grosse", "not_null_u732b", "not_null_u72ac", "a_is_positive"}
    resources = {"compute": Local(), "tables": demo, "warehouse": warehouse}
    dg.Definitions(assets=[asset], asset_checks=[checks], resources=resources).resolve_all_job_defs()


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
