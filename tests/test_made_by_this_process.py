"""Work that no engine is given says so in one line of the run's log: what, why, and what makes it faster."""

import socket
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from arot_assets.datasets.assets import dataset_assets
from arot_assets.duplicates.assets import duplicates_assets
from arot_assets.duplicates.declaration import DuplicatesDeclaration
from arot_assets.exports.assets import training_assets
from arot_assets.metrics.assets.pixels import pixel_asset
from arot_assets.metrics.assets.rows import row_asset
from arot_assets.metrics.metric import Column, row_metric, rows
from arot_assets.metrics.registry import get_metric
from arot_assets.ratings.assets import rating_assets
from arot_assets.ratings.declaration import RatingsDeclaration
from arot_assets.subsets.assets import sql_model_assets
from arot_assets.subsets.load import load_project
from resources.compute import Compute, Local
from resources.dagster import dagster_resources
from tests.conftest import Dataset
from tests.engines import Watched, told
from tests.exports.training import Training

HERE = "is made by this process, not by Ray"
HERE_TOO = HERE.replace("is", "are", 1)


@row_metric(takes=rows("cv2.brightness"), version="1", columns=[Column("dark", bool, "brightness below 100")])
def darkness(table: pa.Table) -> dict[str, object]:
    """Whether it is dark."""
    return {"dark": pc.less(table["cv2.brightness"], 100)}


def lines_of(
    dataset: Dataset,
    assets: dg.AssetsDefinition | list[dg.AssetsDefinition],
    engine: Any,
    text: str = HERE,
    **options: Any,
) -> list[str]:
    """What a run of some assets says of where it works."""
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("d_shards", dataset.shards())
        resources = {**dagster_resources(dataset.resources), "compute": engine}
        done = dg.materialize(
            assets if isinstance(assets, list) else [assets], instance=instance, resources=resources, **options
        )
        assert done.success
        return told(instance, done.run_id, text)


def test_duplicates_and_stored_columns_say_that_no_other_machine_makes_them(dataset: Dataset) -> None:
    dataset.run("cv2", "phash")
    span = {"dagster/asset_partition_range_start": "00000", "dagster/asset_partition_range_end": "00002"}
    of_columns = row_asset("d", [], [darkness], dataset.resources.models)
    (same,) = duplicates_assets(DuplicatesDeclaration.model_validate({"name": "same", "dataset": "d"}))
    ray = Watched()
    assert lines_of(dataset, of_columns, ray, tags=span) == [
        f"d/darkness {HERE}: stored columns are read and nothing is decoded, seconds for 100,000 rows"
    ]
    assert lines_of(dataset, same, ray) == [
        f"d/duplicates {HERE}: a group reaches over any shards; start the run where there are more cores"
    ]
    assert ray.units == [], "it was given nothing"
    assert lines_of(dataset, of_columns, Local(), tags=span) == lines_of(dataset, same, Local()) == []


@pytest.mark.parametrize("engine", [Watched(), Local()], ids=["cluster", "here"])
def test_a_shard_says_which_machine_of_a_cluster_made_it(dataset: Dataset, engine: Compute) -> None:
    dataset.run()
    span = {"dagster/asset_partition_range_start": "00000", "dagster/asset_partition_range_end": "00002"}
    asset = pixel_asset(dataset.declaration, [get_metric("phash")], dataset.resources.models)
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("d_shards", dataset.shards())
        resources = {**dagster_resources(dataset.resources), "compute": engine}
        done = dg.materialize([asset], instance=instance, resources=resources, tags=span)
        made = done.asset_materializations_for_node("d_metrics")
        machines = [one.metadata["machine"].value for one in made if "machine" in one.metadata]
        told_of = told(instance, done.run_id, "shards by machine: ")
    here = socket.gethostname()
    assert (machines, told_of) == (([], []) if engine.is_local else ([here] * 3, [f"shards by machine: {here} 3"]))


def test_an_export_says_why_no_other_machine_writes_it(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset.run()
    monkeypatch.setenv("AROT_PROJECT", str(tmp_path))
    training, ray = Training(dataset, tmp_path / "dbt_like_sql"), Watched()
    (aside,) = training_assets(training.declaration(destination=str(tmp_path / "aside")))
    assert lines_of(dataset, aside, ray) == [
        f"exports/train {HERE}: '{tmp_path}/aside/train' is a folder of this machine; all write without a `destination`, "
        "into the store, or to S3"
    ]
    assert ray.units == []
    (stored,) = training_assets(training.declaration())
    assert lines_of(dataset, stored, ray) == [] and ray.units
    assert lines_of(dataset, aside, Local()) == []


def test_models_inventories_and_ratings_are_told_once_a_run_and_not_where_nobody_would_expect_a_cluster(
    dataset: Dataset, tmp_path: Path
) -> None:
    dataset.run()
    (tmp_path / "sql" / "models").mkdir(parents=True)
    (tmp_path / "sql" / "dbt_project.yml").write_text("name: mine\n")
    for name, query in {"one": "select 1 as n", "two": "select n + 1 as n from {{ ref('one') }}"}.items():
        (tmp_path / "sql" / "models" / f"{name}.sql").write_text(query)
    project = load_project(tmp_path / "sql")
    inventory, _ = dataset_assets(dataset.declaration)
    rated = rating_assets(RatingsDeclaration.model_validate({"name": "q", "dataset": "d"}))
    made = [*sql_model_assets(project), inventory, *rated]
    assert lines_of(dataset, made, Local(), HERE_TOO) == []
    assert sorted(lines_of(dataset, made, Watched(), HERE_TOO)) == [
        f"SQL models {HERE_TOO}: a query reads all shards at once; cores and memory of this machine make large ones faster",
        f"inventories {HERE_TOO}: a listing is compared as a whole; divide a source of many millions into several datasets",
        f"ratings {HERE_TOO}: a scale is fitted to all of them at once",
    ]
