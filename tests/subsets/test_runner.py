"""Models are written whole, only when something changed, and never half."""

import json
from datetime import UTC, datetime

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from arot_assets.datasets.changes import SCHEMA as INVENTORY_SCHEMA
from arot_assets.errors import ProjectError
from arot_assets.subsets.load import load_project
from arot_assets.subsets.project import Project
from arot_assets.subsets.runner import build_all, build_model, load_result, stale_models, waiting_models
from resources.storage import StorageError
from resources.tables import ModelRef, StoreFile, TableRef, Tables, TablesError
from resources.warehouse import Warehouse

EVERYTHING = [
    "clean",
    "caption_lengths",
    "tag_counts",
    "aspect_buckets",
    "clean_photos",
    "distinct_pictures",
    "safe_photos",
    "good_versions",
    "film_boundaries",
    "film_clips",
    "film_motion",
    "film_style",
    "moving_clips",
]
SMALL = {
    "models/one.sql": "select sample_id, width from {{ source('demo', 'samples') }} where width > {{ var('least') }}",
    "models/two.sql": "select count(*) as n from {{ ref('one') }}",
    "models/other.sql": "select count(*) as n from {{ source('demo', 'cv2') }}",
}


def built(results) -> list[str]:
    return [r.name for r in results if r.built]


def test_second_run_builds_nothing_and_tells_the_same(sql: Project, demo: Tables, warehouse: Warehouse):
    first = build_all(sql, warehouse, demo)
    assert sorted(built(first)) == sorted(EVERYTHING)
    times = {n: demo.storage.stat(demo.uri(ModelRef(n))).mtime for n in EVERYTHING}
    second = build_all(sql, warehouse, demo)
    assert built(second) == []
    assert [(r.rows, r.columns, r.waterfall, r.sql) for r in second] == [
        (r.rows, r.columns, r.waterfall, r.sql) for r in first
    ]
    assert {n: demo.storage.stat(demo.uri(ModelRef(n))).mtime for n in EVERYTHING} == times
    assert stale_models(sql, demo, warehouse) == []


def test_file_holds_rows_descriptions_and_what_was_found_out(sql: Project, demo: Tables, warehouse: Warehouse):
    result = build_model(sql, "clean", warehouse, demo)
    path = demo.uri(ModelRef("clean"))
    assert result.waterfall is not None
    assert pq.read_metadata(path).num_rows == result.rows == result.waterfall.kept > 0
    assert demo.descriptions(ModelRef("clean"))["caption"].startswith("text of the sidecar file")
    assert load_result(sql, "clean", demo).waterfall == result.waterfall
    assert json.loads(demo.footer(ModelRef("clean"))["result"])["sql"] == result.sql
    with duckdb.connect(str(warehouse.catalog_path), read_only=True) as con:
        assert con.execute("select count(*) from main.clean").fetchone() == (result.rows,)


def test_changed_table_rebuilds_what_reads_it_and_what_is_below(write_project, demo: Tables, warehouse: Warehouse):
    project = load_project(write_project(SMALL))
    build_all(project, warehouse, demo)
    samples = demo.read(TableRef("demo", "samples", "00000"))
    demo.write(samples.slice(1), TableRef("demo", "samples", "00000"))
    assert stale_models(project, demo, warehouse) == ["one", "two"]
    assert built(build_all(project, warehouse, demo)) == ["one", "two"]


def test_changed_variable_rebuilds_what_uses_it(write_project, demo: Tables, warehouse: Warehouse):
    folder = write_project(SMALL)
    build_all(load_project(folder), warehouse, demo)
    assert built(build_all(load_project(folder, {"least": 500}), warehouse, demo)) == ["one", "two"]


def test_object_that_left_the_source_rebuilds_although_no_table_of_samples_changed(
    write_project, demo: Tables, warehouse: Warehouse
):
    project = load_project(write_project(SMALL))
    before = {r.name: r.rows for r in build_all(project, warehouse, demo)}
    inventory = demo.read(TableRef("demo", "inventory")).to_pylist()
    for row in inventory[:60]:
        row["state"] = "gone"
    demo.write(pa.Table.from_pylist(inventory, INVENTORY_SCHEMA), TableRef("demo", "inventory"))
    after = build_all(project, warehouse, demo)
    assert set(built(after)) == {"one", "two", "other"}
    assert {r.name: r.rows for r in after}["one"] < before["one"]


def test_listing_that_found_nothing_new_rebuilds_nothing(write_project, demo: Tables, warehouse: Warehouse):
    project = load_project(write_project(SMALL))
    build_all(project, warehouse, demo)
    demo.write(demo.read(TableRef("demo", "inventory")), TableRef("demo", "inventory"))
    assert built(build_all(project, warehouse, demo)) == []


def test_inventory_as_a_source_is_stale_only_when_objects_changed(write_project, demo: Tables, warehouse: Warehouse):
    files = {
        "models/sources.yml": "sources:\n  - name: demo\n    tables: [{name: inventory}]\n",
        "models/listed.sql": "select uri, size from {{ source('demo', 'inventory') }}",
    }
    project = load_project(write_project(files))
    parts = TableRef("demo", "inventory")
    inventory = demo.read(parts)
    demo.write(inventory, parts, footer={"changed_at": "2026-01-01"})
    build_all(project, warehouse, demo)
    seen = pa.array([datetime(2026, 2, 1, tzinfo=UTC)] * inventory.num_rows, INVENTORY_SCHEMA.field("last_seen").type)
    again = inventory.set_column(INVENTORY_SCHEMA.get_field_index("last_seen"), "last_seen", seen)
    demo.write(again, parts, footer={"changed_at": "2026-01-01"})
    assert stale_models(project, demo, warehouse) == []
    demo.write(again, parts, footer={"changed_at": "2026-02-01"})
    assert stale_models(project, demo, warehouse) == ["listed"]


def test_named_model_is_built_with_what_it_refs(write_project, demo: Tables, warehouse: Warehouse):
    project = load_project(write_project(SMALL))
    assert built(build_all(project, warehouse, demo, ["two"])) == ["one", "two"]
    assert built(build_all(project, warehouse, demo, ["two"], force=True)) == ["one", "two"]


def test_model_whose_input_is_missing_waits_and_says_for_what(sql: Project, demo: Tables, warehouse: Warehouse):
    for shard in demo.shards("demo", "style"):
        demo.storage.delete(demo.uri(TableRef("demo", "style", shard)))
    assert waiting_models(sql, warehouse) == {"clean_photos": ["demo.style"]}
    assert "clean_photos" not in stale_models(sql, demo, warehouse)
    build_model(sql, "clean", warehouse, demo)
    with pytest.raises(ProjectError, match=r"clean_photos.sql: model 'clean_photos' reads demo.style, .*arot run demo"):
        build_model(sql, "clean_photos", warehouse, demo)


def test_model_before_its_ref_is_an_error_with_a_remedy(sql: Project, demo: Tables, warehouse: Warehouse):
    with pytest.raises(ProjectError, match=r"reads main.clean, which does not exist yet; build model 'clean' first"):
        build_model(sql, "clean_photos", warehouse, demo)


def test_failing_query_leaves_the_old_file_and_nothing_half(write_project, demo: Tables, warehouse: Warehouse):
    folder = write_project({"models/a.sql": "select 1 as one"})
    build_all(load_project(folder), warehouse, demo)
    old = demo.read_bytes(ModelRef("a"))
    bad = "select\n  cast(caption as integer) as one\nfrom {{ source('demo', 'samples') }}"
    project = load_project(write_project({"models/a.sql": bad}))
    with pytest.raises(ProjectError, match=r"a.sql:?\d*: model 'a' does not run: Conversion Error"):
        build_all(project, warehouse, demo)
    assert demo.read_bytes(ModelRef("a")) == old
    assert [p.name for p in (warehouse.catalog_path.parent / "models").iterdir()] == ["a.parquet"]


def test_models_before_a_failing_one_are_kept_and_shown(write_project, demo: Tables, warehouse: Warehouse):
    project = load_project(
        write_project({"models/a.sql": "select 1 as one", "models/b.sql": "select nope from {{ ref('a') }}"})
    )
    with pytest.raises(ProjectError, match=r"b.sql:1: model 'b' does not run: .*nope"):
        build_all(project, warehouse, demo)
    with duckdb.connect(str(warehouse.catalog_path), read_only=True) as con:
        assert con.execute("from main.a").fetchall() == [(1,)]


def test_store_that_cannot_be_written_is_a_clear_error(write_project, demo: Tables, warehouse: Warehouse):
    demo.write_bytes(b"in the way", StoreFile("models"))
    project = load_project(write_project({"models/a.sql": "select 1 as one"}))
    with pytest.raises((StorageError, TablesError), match=r"store/models"):
        build_all(project, warehouse, demo)


def test_ephemeral_model_has_no_file(write_project, demo: Tables, warehouse: Warehouse):
    project = load_project(
        write_project(
            {
                "models/e.sql": "{{ config(materialized='ephemeral') }} select 1 as one",
                "models/a.sql": "select * from {{ ref('e') }}",
            }
        )
    )
    assert built(build_all(project, warehouse, demo)) == ["a"]
    with pytest.raises(ProjectError, match="'e' is ephemeral"):
        build_model(project, "e", warehouse, demo)


def test_views_inside_views_work_wherever_the_catalogue_is_attached(demo: Tables, warehouse: Warehouse):
    warehouse.refresh()
    for name in ("catalog", "elsewhere"):
        with duckdb.connect() as con:
            con.execute("create schema demo")
            con.execute(f"attach '{warehouse.catalog_path}' as {name} (read_only)")
            found = con.execute(f"select count(*), count(cv2__brightness) from {name}.demo.wide").fetchone()
        assert found is not None
        assert found[0] == 240
        assert found[1] > 200


def test_error_of_a_value_names_the_line_of_the_file(write_project, demo: Tables, warehouse: Warehouse):
    text = "select\n    1 as one,\n    cast('many' as integer) as n\n"
    project = load_project(write_project({"models/broken.sql": text}))
    with pytest.raises(ProjectError, match=r"broken\.sql:3: model 'broken' does not run: .*'many'"):
        build_all(project, warehouse, demo)
