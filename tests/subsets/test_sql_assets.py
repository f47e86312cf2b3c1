"""SQL models in Dagster: the graph comes from the SQL, a run shows what it did, tests are checks."""

import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from arot_assets.subsets.assets import model_key, sql_model_assets
from arot_assets.subsets.checks import sql_model_checks
from arot_assets.subsets.load import load_project
from arot_assets.subsets.project import Project
from resources.compute import Local
from resources.storage import Storage
from resources.tables import Tables
from resources.warehouse import Warehouse
from tests.subsets.conftest import SQL_FOLDER

KEYS = {
    "clean",
    "clean_photos",
    "distinct_pictures",
    "safe_photos",
    "good_versions",
    "film_boundaries",
    "film_clips",
    "film_motion",
    "film_style",
    "moving_clips",
    "aspect_buckets",
    "tag_counts",
    "caption_lengths",
}


def key(path: str) -> dg.AssetKey:
    return dg.AssetKey(path.split("/"))


def materialized(project: Project, tables: Tables) -> dg.ExecuteInProcessResult:
    """A run of all models of a project, and of their checks."""
    return dg.materialize(
        [*sql_model_assets(project), *sql_model_checks(project)],
        selection=dg.AssetSelection.groups("models"),
        resources={"compute": Local(), "tables": tables, "warehouse": Warehouse(tables=tables)},
        raise_on_error=False,
    )


@pytest.fixture
def run(demo: Tables):
    return lambda project: materialized(project, demo)


@pytest.fixture(scope="module")
def twice(
    demo_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dg.ExecuteInProcessResult, dg.ExecuteInProcessResult]:
    """Two runs of the project that ships, one after the other, over one store."""
    store = tmp_path_factory.mktemp("twice") / "store"
    shutil.copytree(demo_store, store)
    tables, project = Tables(store=str(store), storage=Storage()), load_project(SQL_FOLDER)
    return materialized(project, tables), materialized(project, tables)


def test_graph_comes_from_source_and_ref(sql: Project):
    assets = {a.key: a for a in sql_model_assets(sql)}
    assert set(assets) == {model_key(k) for k in KEYS}
    clean, photos = assets[model_key("clean")], assets[model_key("clean_photos")]
    assert {d.asset_key for d in clean.get_asset_spec().deps} == {key("demo/samples"), key("demo/cv2")}
    assert {d.asset_key for d in photos.get_asset_spec().deps} == {key("models/clean"), key("demo/style")}
    spec = clean.get_asset_spec()
    assert spec.group_name == "models"
    assert spec.kinds == {"duckdb", "sql"}
    assert "arot/subset" in spec.tags
    assert "arot/subset" not in assets[model_key("tag_counts")].get_asset_spec().tags
    assert "Samples that any training run could use" in (spec.description or "")


def test_run_shows_rows_schema_lineage_waterfall_and_sql(twice):
    result, _ = twice
    assert result.success
    seen = {e.asset_key: e.materialization.metadata for e in result.get_asset_materialization_events()}
    clean = seen[model_key("clean")]
    rows = clean["dagster/row_count"].value
    columns = {c.name: c for c in clean["dagster/column_schema"].value.columns}
    assert columns["width"].type == "BIGINT"
    assert columns["width"].description == "pixels, after EXIF orientation"
    lineage = clean["dagster/column_lineage"].value.deps_by_column
    assert lineage["sharpness"] == [dg.TableColumnDep(asset_key=key("demo/cv2"), column_name="sharpness")]
    assert f"| {rows:,} |" in clean["waterfall"].value.splitlines()[-1]
    assert "| not blurry |" in clean["waterfall"].value
    assert "var(" not in clean["sql"].value
    assert clean["built"].value is True
    photos = seen[model_key("clean_photos")]
    assert photos["dagster/column_lineage"].value.deps_by_column["width"][0].asset_key == model_key("clean")
    assert "waterfall" not in seen[model_key("tag_counts")]


def test_second_run_builds_nothing_but_still_shows_everything(twice):
    first, second = twice
    for event in second.get_asset_materialization_events():
        before = next(e for e in first.get_asset_materialization_events() if e.asset_key == event.asset_key)
        metadata, old = event.materialization.metadata, before.materialization.metadata
        assert metadata["built"].value is False
        assert set(metadata) == set(old)
        assert metadata["dagster/row_count"] == old["dagster/row_count"]
        assert metadata.get("waterfall") == old.get("waterfall")


def test_every_test_of_schema_yml_is_a_check(sql: Project, twice):
    checks = {k for c in sql_model_checks(sql) for k in c.check_keys}
    assert len(checks) == len(sql.tests)
    results = twice[0].get_asset_check_evaluations()
    models = [t for t in sql.tests if isinstance(t.target, str)]
    assert len(results) == len(models)
    assert all(r.passed for r in results)


def test_failing_checks_carry_severity_and_rows(write_project, run):
    schema = (
        "models:\n- name: a\n  columns:\n  - name: caption\n    data_tests:\n    - not_null: {config: {severity: warn}}\n"
        "  - name: width\n    data_tests:\n    - not_null\n  - name: nope\n    data_tests: [not_null]\n"
    )
    text = "select sample_id, caption, width, 1 as nope from {{ source('demo', 'samples') }}"
    project = load_project(write_project({"models/a.sql": text, "models/s.yml": schema}))
    found = {r.check_name: r for r in run(project).get_asset_check_evaluations()}
    assert found["not_null_nope"].passed
    assert not found["not_null_caption"].passed
    assert found["not_null_caption"].severity == dg.AssetCheckSeverity.WARN
    assert found["not_null_width"].severity == dg.AssetCheckSeverity.ERROR
    assert found["not_null_width"].metadata["failing_rows"].value == 8
    assert found["not_null_width"].metadata["examples"].value.startswith("| sample_id | caption | width |")


def test_model_that_cannot_be_built_fails_with_the_remedy_and_nothing_else(write_project, run):
    project = load_project(
        write_project(
            {"models/a.sql": "select nope from {{ source('demo', 'samples') }}", "models/b.sql": "select 1 as x"}
        )
    )
    result = run(project)
    assert not result.success
    failure = result.failure_data_for_node("models__a")
    assert failure is not None
    assert "a.sql:1: model 'a' does not run" in failure.error.message
    assert [e.asset_key for e in result.get_asset_materialization_events()] == [model_key("b")]


def test_model_over_shards_waits_for_every_table_but_not_for_every_shard(
    sql: Project, tables: Tables, warehouse: Warehouse
):
    shards = dg.StaticPartitionsDefinition(["00000", "00001"])

    def table(name: str) -> dg.AssetsDefinition:
        @dg.asset(key=key(f"demo/{name}"), partitions_def=shards)
        def made() -> None: ...

        return made

    sharded = [table(n) for n in ("samples", "cv2", "phash", "style")]
    resources = {"compute": Local(), "tables": tables, "warehouse": warehouse}
    definitions = dg.Definitions([*sql_model_assets(sql), *sharded], resources=resources)
    instance = dg.DagsterInstance.ephemeral()
    cursor = None

    def asked() -> set[str]:
        nonlocal cursor
        result = dg.evaluate_automation_conditions(definitions, instance, cursor=cursor)
        cursor = result.cursor
        return {k for k in KEYS if result.get_num_requested(model_key(k))}

    def arrives(path: str, shard: str | None = None) -> None:
        instance.report_runless_asset_event(dg.AssetMaterialization(key(path), partition=shard))

    assert asked() == set()
    arrives("demo/samples", "00000")
    assert asked() == {"tag_counts", "caption_lengths"}
    for name in ("tag_counts", "caption_lengths"):
        arrives(f"models/{name}")
    arrives("demo/cv2", "00000")
    assert "clean" in asked()
    arrives("models/clean")
    assert "clean_photos" not in asked()
    arrives("demo/style", "00001")
    assert "clean_photos" in asked()


def test_graph_loads_without_heavy_modules():
    code = (
        "import sys; from pathlib import Path; from arot_assets.subsets.load import load_project;"
        "from arot_assets.subsets.assets import sql_model_assets; from arot_assets.subsets.checks import sql_model_checks;"
        "p = load_project(Path('dbt_like_sql')); sql_model_assets(p); sql_model_checks(p);"
        "print([m for m in ('pandas', 'duckdb', 'sqlglot', 'cv2', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
