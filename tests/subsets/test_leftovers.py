"""The table of a model that was deleted goes; what somebody else put there stays."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from arot_assets.subsets.leftovers import leftover_models, remove_models
from arot_assets.subsets.load import load_project
from arot_assets.subsets.runner import build_all
from resources.tables import Tables
from resources.warehouse import Warehouse
from tests.subsets.conftest import ProjectWriter

MODELS = {
    "models/kept.sql": "select sample_id from {{ source('demo', 'samples') }}",
    "models/old.sql": "select count(*) as n from {{ ref('kept') }}",
    "models/pasted.sql": "select count(*) as n from {{ ref('kept') }}",
}


def test_table_and_view_of_a_deleted_model_go_and_nothing_else(
    write_project: ProjectWriter, demo: Tables, warehouse: Warehouse
) -> None:
    folder = write_project(MODELS)
    build_all(load_project(folder), warehouse, demo)
    models = Path(demo.root, "models")
    pq.write_table(pa.table({"n": [1]}), models / "somebody_else.parquet")
    (models / "no_table.parquet").write_text("not Parquet")
    assert leftover_models(load_project(folder), demo) == []
    (folder / "models" / "old.sql").unlink()
    (folder / "models" / "pasted.sql").write_text("{{ config(materialized='ephemeral') }} select 1 as n")
    gone = leftover_models(load_project(folder), demo)
    assert gone == ["old", "pasted"]
    (models / "no_table.parquet").unlink()
    remove_models(gone, demo, warehouse)
    assert sorted(p.name for p in models.iterdir()) == ["kept.parquet", "somebody_else.parquet"]
    import duckdb

    with duckdb.connect(str(warehouse.catalog_path), read_only=True) as con:
        views = con.execute(
            "select view_name from duckdb_views() where schema_name = 'main' and not internal"
        ).fetchall()
    assert sorted(views) == [("kept",), ("somebody_else",)]
