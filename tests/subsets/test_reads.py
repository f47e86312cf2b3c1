"""What a model reads besides refs and sources: files are watched, tables written by name are refused."""

import os

import dagster as dg
import pytest

from arot_assets.cli.check_results import checks_of, stale_checks
from arot_assets.cli.launch import check_key, last_results, run_checks
from arot_assets.errors import ProjectError
from arot_assets.steps import Graph, Look
from arot_assets.subsets.assets import model_key, sql_model_assets
from arot_assets.subsets.checks import sql_model_checks
from arot_assets.subsets.digest import model_version
from arot_assets.subsets.load import load_project
from arot_assets.subsets.runner import build_all, build_model, stale_models, waiting_models
from arot_assets.subsets.steps import model_steps
from resources.compute import Local
from resources.defaults import Resources
from resources.models import Models
from resources.tables import Tables
from resources.warehouse import Warehouse

READERS = {
    "call": "select * from read_csv('data/x.csv')",
    "pattern": "select * from read_csv('data/*.csv')",
    "list": "select * from read_csv(['data/x.csv'])",
    "name": "from 'data/x.csv'",
    "in a subquery": "select (select max(a) from read_csv_auto('data/x.csv')) as m",
    "source": "select * from {{ source('lists', 'x') }}",
    "ephemeral": "select * from {{ ref('e') }} as e",
}


@pytest.mark.parametrize("sql", READERS.values(), ids=READERS)
def test_changed_file_makes_the_model_that_reads_it_stale(write_project, demo: Tables, warehouse: Warehouse, sql: str):
    folder = write_project(
        {
            "data/x.csv": "a,b\n1,x\n",
            "models/m.sql": sql,
            "models/e.sql": "{{ config(materialized='ephemeral') }} select * from read_csv('data/x.csv')",
            "models/x.yml": (
                "sources:\n  - name: lists\n    meta: {external_location: \"read_csv('data/{name}.csv')\"}\n"
                "    tables: [{name: x}]\n"
            ),
        }
    )
    project = load_project(folder)
    assert waiting_models(project, warehouse) == {}
    build_all(project, warehouse, demo)
    assert stale_models(project, demo, warehouse) == []
    path = folder / "data" / "x.csv"
    path.write_text("a,b\n1,x\n2,y\n")
    os.utime(path, (1, 1))
    assert stale_models(project, demo, warehouse) == ["m"]


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("select * from one", "reads one by its literal name.*ref\\('one'\\)"),
        ("select * from main.one", "reads main.one by its literal name.*ref\\('one'\\)"),
        ("select * from demo.samples", "reads demo.samples by its literal name.*source\\('demo', 'samples'\\)"),
        ("pivot demo.samples on status using count(*)", "reads demo.samples by its literal name"),
        ("select * from read_csv('a' || '.csv')", "calls read_csv.*constant paths"),
        ("select union_value(n := 1) as u", "column 'u' is of type UNION.*cannot hold"),
        ("select ['a'::enum('a')] as u", "column 'u' is of type ENUM.*cannot hold"),
        ("select [(1, 2)] as u", "column 'u' has fields without names.*name them"),
        ("select * from query('select 1')", "calls query"),
    ],
)
def test_what_no_digest_can_see_is_refused_with_the_remedy(
    write_project, demo: Tables, warehouse: Warehouse, sql: str, says: str
):
    files = {"models/one.sql": "select 1 as a", "models/two.sql": sql}
    with pytest.raises(ProjectError, match=says):
        project = load_project(write_project(files))
        build_model(project, "one", warehouse, demo)
        build_model(project, "two", warehouse, demo)


@pytest.mark.parametrize(
    "sql",
    [
        "with one as (select 2 as a) select * from one",
        "values (1, 'x'), (2, 'y')",
        "pivot {{ source('demo', 'samples') }} on status using count(*)",
        "with p as (pivot {{ source('demo', 'samples') }} on status using count(*)) from p",
        "unpivot (select 1 as a, 2 as b) on a, b",
        "from range(3)",
        "\ufeffselect 1 as a",
    ],
)
def test_every_query_that_makes_a_table_is_a_model(write_project, demo: Tables, warehouse: Warehouse, sql: str):
    project = load_project(write_project({"models/m.sql": sql}))
    assert build_model(project, "m", warehouse, demo).rows > 0


SCHEMA = "models:\n- name: a\n  columns:\n  - name: id\n    data_tests:\n    - {test}\n"


def test_new_or_changed_test_is_stale_until_it_ran_and_a_mended_one_turns_green(
    write_project, demo: Tables, warehouse: Warehouse
):
    instance = dg.DagsterInstance.ephemeral()
    resources = {"compute": Local(), "tables": demo, "warehouse": warehouse}

    def project_with(test: str):
        files = {"models/a.sql": "select 1 as id", "models/s.yml": SCHEMA.replace("{test}", test)}
        return load_project(write_project(files))

    def run_stale(project) -> list[bool]:
        definitions = dg.Definitions(
            sql_model_assets(project), asset_checks=sql_model_checks(project), resources=resources
        )
        with Look(Resources(demo.storage, demo, warehouse, Models())) as look:
            graph = Graph(model_steps(project))
            keys = stale_checks(graph, look, last_results(instance, checks_of(graph)))
        if keys:
            run_checks(definitions, instance, keys)
        records = [instance.get_latest_asset_check_evaluation_record(check_key(k)) for k in keys]
        return [r.event.dagster_event.asset_check_evaluation_data.passed for r in records]

    project = project_with("not_null")
    assert run_stale(project) == []
    build_all(project, warehouse, demo)
    assert run_stale(project) == [True]
    assert run_stale(project) == []
    wrong = "accepted_values: {name: known, arguments: {values: [2]}}"
    assert run_stale(project_with(wrong)) == [False]
    assert run_stale(project_with(wrong)) == []
    mended = project_with(wrong.replace("[2]", "[1, 2]"))
    assert run_stale(mended) == [True]
    assert instance.get_latest_materialization_event(model_key("a")) is None, "the model was not built again"


def test_code_version_follows_text_tests_and_what_is_pasted_in(write_project):
    def version(model: str, pasted: str = "select 1 as id", test: str = "not_null") -> str:
        files = {
            "models/a.sql": model,
            "models/e.sql": "{{ config(materialized='ephemeral') }} " + pasted,
            "models/s.yml": SCHEMA.replace("{test}", test),
        }
        project = load_project(write_project(files))
        found = next(a for a in sql_model_assets(project) if a.key == model_key("a"))
        assert found.code_versions_by_key[found.key] == model_version(project, "a")
        return model_version(project, "a")

    text = "select id from {{ ref('e') }} as e"
    first = version(text)
    assert version(text) == first
    others = {version(text + " where id > 0"), version(text, pasted="select 2 as id"), version(text, test="unique")}
    assert len({first, *others}) == 4
