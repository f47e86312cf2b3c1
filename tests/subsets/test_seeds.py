"""Seeds: CSV files of the project become tables; what cannot be one is refused with file and line."""

import os
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, materialize

from arot_assets.errors import ProjectError
from arot_assets.subsets.assets import sql_model_assets
from arot_assets.subsets.load import load_project
from arot_assets.subsets.runner import build_all, load_result, stale_models
from arot_assets.subsets.tests import run_test
from resources.compute import Local
from resources.tables import Tables
from resources.warehouse import Warehouse

LABELS = 'sample_id,label,weight,on,at,ok,none\n7,"a, b",0.5,2026-01-31,2026-01-31 12:00:00,true,\n8,c,2,2026-02-01,,FALSE,\n'


def built(folder: Path, tables: Tables, warehouse: Warehouse, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query over the built project."""
    project = load_project(folder)
    project.require_whole()
    build_all(project, warehouse, tables)
    with warehouse.connect(query) as con:
        return con.execute(query).fetchall()


def test_types_follow_from_all_values(write_project, tables: Tables, warehouse: Warehouse) -> None:
    folder = write_project({"seeds/deep/labels.csv": LABELS, "models/m.sql": "select * from {{ ref('labels') }}"})
    rows = built(folder, tables, warehouse, "select column_name, column_type from (describe main.m)")
    assert dict(rows) == {
        "sample_id": "INTEGER",
        "label": "VARCHAR",
        "weight": "DOUBLE",
        "on": "DATE",
        "at": "TIMESTAMP",
        "ok": "BOOLEAN",
        "none": "INTEGER",
    }


def test_types_can_be_declared_in_either_file(write_project, tables: Tables, warehouse: Warehouse) -> None:
    folder = write_project(
        {
            "dbt_project.yml": "name: small\nprofile: small\nseeds:\n  small:\n    deep:\n      +delimiter: ';'\n"
            "      labels: {+column_types: {code: varchar}}\n",
            "seeds/deep/labels.csv": "code;size\n007;1\n",
            "seeds/seeds.yml": "seeds:\n  - name: labels\n    description: by hand\n    config: {column_types: {size: bigint}}\n"
            "    columns:\n      - {name: code, data_tests: [not_null]}\n",
        }
    )
    assert built(folder, tables, warehouse, "select code, typeof(size) from main.labels") == [("007", "BIGINT")]
    project = load_project(folder)
    assert project.model("labels").description == "by hand"
    with warehouse.connect() as con:
        assert [run_test(con, project, test).status for test in project.tests] == ["pass"]


def test_changed_seed_is_built_again_with_what_reads_it(write_project, tables: Tables, warehouse: Warehouse) -> None:
    folder = write_project({"seeds/labels.csv": "a\n1\n", "models/m.sql": "select a + 1 as b from {{ ref('labels') }}"})
    assert built(folder, tables, warehouse, "select b from main.m") == [(2,)]
    project = load_project(folder)
    seed = load_result(project, "labels", tables)
    assert seed is not None and seed.lineage_problem is None and seed.columns[0].upstream == ()
    assert stale_models(project, tables, warehouse) == []
    path = folder / "seeds" / "labels.csv"
    path.write_text("a\n5\n")
    os.utime(path, (1, 1))
    assert stale_models(load_project(folder), tables, warehouse) == ["labels", "m"]
    assert built(folder, tables, warehouse, "select b from main.m") == [(6,)]


def test_seed_is_an_asset_beside_the_models(write_project, tables: Tables, warehouse: Warehouse) -> None:
    folder = write_project({"seeds/labels.csv": "a\n1\n", "models/m.sql": "select a from {{ ref('labels') }}"})
    assets = {asset.key.to_user_string(): asset for asset in sql_model_assets(load_project(folder))}
    assert assets["models/m"].asset_deps[AssetKey(["models", "m"])] == {AssetKey(["models", "labels"])}
    spec = next(iter(assets["models/labels"].specs))
    assert (spec.kinds, spec.description) == ({"duckdb", "csv"}, "Seed: `project/seeds/labels.csv`")
    done = materialize(list(assets.values()), resources={"compute": Local(), "tables": tables, "warehouse": warehouse})
    assert done.success
    with warehouse.connect() as con:
        assert con.execute("select a from main.m").fetchall() == [(1,)]


def test_disabled_seed_does_not_exist(write_project) -> None:
    files = {
        "seeds/labels.csv": "a\n1\n",
        "seeds/s.yml": "seeds:\n  - name: labels\n    config: {enabled: false}\n",
    }
    project = load_project(write_project(files))
    assert not project.models and not project.broken and "labels" in project.disabled


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"seeds/labels.csv": ""}, r"labels.csv:1: has no header"),
        ({"seeds/labels.csv": "a,,b\n1,2,3\n"}, r"labels.csv:1: column 2 has no name"),
        ({"seeds/labels.csv": "a,A\n1,2\n"}, r"labels.csv:1: column 2 has the name of another one, 'A'"),
        ({"seeds/labels.csv": b"a\n\xff\xfe\n"}, r"labels.csv: is not UTF-8"),
        (
            {
                "seeds/labels.csv": "a\n1\n",
                "seeds/s.yml": "seeds:\n  - name: labels\n    config: {column_types: {A: text}}\n",
            },
            r"s.yml:2: column_types: seed 'labels' has no column 'A'",
        ),
        (
            {"seeds/labels.csv": "a\n1\n", "seeds/s.yml": "seeds:\n  - name: labels\n    config: {quotes: 1}\n"},
            r"s.yml:3: .*unknown key 'quotes'",
        ),
        (
            {"seeds/labels.csv": "a\n1\n", "seeds/s.yml": "models:\n  - name: labels\n"},
            r"s.yml:2: there is no model 'labels'.*labels.csv",
        ),
        (
            {"seeds/labels.csv": "a\n1\n", "models/labels.sql": "select 1 as a"},
            r"labels.csv: model 'labels' exists twice",
        ),
        ({"models/a.sql": "select 1 as a", "seeds/s.yml": "seeds:\n  - name: lables\n"}, r"there is no seed 'lables'"),
    ],
)
def test_what_is_no_seed_is_told_with_its_place(write_project, files: dict[str, Any], says: str) -> None:
    folder = write_project({name: text for name, text in files.items() if isinstance(text, str)})
    for name, data in files.items():
        if isinstance(data, bytes):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
    with pytest.raises(ProjectError, match=says):
        load_project(folder).require_whole()


def test_value_that_the_type_cannot_hold_names_the_seed(write_project, tables: Tables, warehouse: Warehouse) -> None:
    folder = write_project({"seeds/labels.csv": "a\n3000000000\n"})
    with pytest.raises(ProjectError, match=r"labels.csv.*'labels' does not run.*3000000000"):
        built(folder, tables, warehouse, "select 1")
