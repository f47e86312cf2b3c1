"""Real dbt-duckdb builds the shipped folder unchanged, and finds the same rows and the same test results."""

import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from arot_assets.subsets.project import Project
from arot_assets.subsets.runner import build_all
from arot_assets.subsets.tests import run_test
from resources.tables import TableRef, Tables
from resources.warehouse import Warehouse
from tests.waiting import run

DBT = Path(sys.executable).with_name("dbt")

pytestmark = pytest.mark.skipif(not DBT.exists(), reason="dbt is not installed (pip install .[dev])")


def dbt_build(project: Project, catalog: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "AROT_CATALOG": str(catalog),
        "AROT_DBT_DATABASE": str(folder / "dbt.duckdb"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    places = [
        "--project-dir",
        project.folder,
        "--profiles-dir",
        project.folder,
        "--target-path",
        folder,
        "--log-path",
        folder,
    ]
    command = [str(DBT), "--no-use-colors", "build", *map(str, places)]
    return run(command, env=environment)


def test_dbt_and_our_runner_agree_on_every_row_and_every_test(
    sql: Project, demo: Tables, warehouse: Warehouse, tmp_path: Path
):
    warehouse.refresh()
    before = sorted(p for p in sql.folder.rglob("*") if p.is_file())
    target = tmp_path / "dbt"
    target.mkdir()
    done = dbt_build(sql, warehouse.catalog_path, target)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(p for p in sql.folder.rglob("*") if p.is_file()) == before

    ours = {r.name: r for r in build_all(sql, warehouse, demo)}
    with duckdb.connect(str(target / "dbt.duckdb")) as con, warehouse.connect() as own:
        con.execute(f"attach '{warehouse.catalog_path}' as catalog (read_only)")
        theirs = {row[0] for row in con.execute("select table_name from duckdb_tables()").fetchall()}
        assert theirs == set(ours)
        for name, result in ours.items():
            described = con.execute(f"describe main.{name}").fetchall()
            assert [(c.name, c.type) for c in result.columns] == [(row[0], row[1]) for row in described]
            rows = f"select * from main.{name} order by all"
            expected = con.execute(rows).fetchall()
            assert len(expected) > 3, f"{name} has too few rows to tell anything"
            assert own.execute(rows).fetchall() == expected
        failures = {t.name: run_test(own, sql, t).failures for t in sql.tests}

    results = json.loads((target / "run_results.json").read_text())["results"]
    tests = [r for r in results if r["unique_id"].startswith("test.")]
    assert len(tests) == len(sql.tests)
    assert {r["status"] for r in tests} == {"pass"}
    assert set(failures.values()) == {0}


def test_dbt_and_our_runner_find_the_same_failures(sql: Project, demo: Tables, warehouse: Warehouse, tmp_path: Path):
    for shard in demo.shards("demo", "samples"):
        table = demo.read(TableRef("demo", "samples", shard))
        uris = ["/same.jpg", None, *table["uri"].to_pylist()[2:]]
        broken = table.set_column(table.schema.get_field_index("uri"), table.schema.field("uri"), [uris])
        demo.write(broken, TableRef("demo", "samples", shard))
    warehouse.refresh()
    target = tmp_path / "dbt"
    target.mkdir()
    done = dbt_build(sql, warehouse.catalog_path, target)
    assert done.returncode == 1, done.stdout + done.stderr
    results = json.loads((target / "run_results.json").read_text())["results"]
    theirs = {
        r["unique_id"].split(".")[2].removeprefix("source_"): r["failures"]
        for r in results
        if r["unique_id"].startswith("test.arot.source_")
    }
    with warehouse.connect() as con:
        ours = {
            f"{t.test}_demo_{t.target[1]}_{t.column}": run_test(con, sql, t).failures
            for t in sql.tests
            if not isinstance(t.target, str)
        }
    assert ours["not_null_demo_samples_uri"] == theirs["not_null_demo_samples_uri"] == 2
    assert ours["unique_demo_samples_uri"] == theirs["unique_demo_samples_uri"] == 1
    assert ours["not_null_demo_samples_status"] == theirs["not_null_demo_samples_status"] == 0
