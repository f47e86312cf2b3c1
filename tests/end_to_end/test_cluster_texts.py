"""Texts that go through a model are worked on by the nodes of a cluster: the same rows as by one process."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from arot_assets.metrics.assets.rows import row_asset
from arot_assets.metrics.registry import get_metric
from resources.compute import Compute, Local
from resources.dagster import dagster_resources
from resources.tables import TableRef
from tests.conftest import Dataset
from tests.engines import Watched, told
from tests.metrics.test_texts import clip, weights  # noqa: F401  # fixtures

pytestmark = pytest.mark.slow
SPAN = {"dagster/asset_partition_range_start": "00000", "dagster/asset_partition_range_end": "00002"}


@pytest.fixture
def instance(dataset: Dataset) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def test_nodes_compare_captions_with_images_as_one_process_does(
    cluster: Compute, dataset: Dataset, clip: Path, instance: dg.DagsterInstance
) -> None:
    for picture in sorted(dataset.source.rglob("*.jpg"))[:2]:
        picture.with_suffix(".txt").write_text(f"A photo that is called {picture.stem}.")
    dataset.run()
    dataset.metrics("clip_l14")
    instance.add_dynamic_partitions("d_shards", dataset.shards())
    asset = row_asset("d", [], [get_metric("caption_similarity")], dataset.resources.models)
    ray = Watched(cluster)
    rows: list[list[Any]] = []
    for engine in (ray, Local()):
        resources = {**dagster_resources(dataset.resources), "compute": engine}
        done = dg.materialize([asset], instance=instance, resources=resources, tags=SPAN)
        assert done.success and told(instance, done.run_id, "not by Ray") == []
        rows.append(dataset.sql("select sample_id, status, score from d.caption_similarity order by all"))
        tables = dataset.resources.tables
        shutil.rmtree(Path(tables.root, TableRef("d", "caption_similarity").folder))
    assert rows[0] == rows[1] and sum(score is not None for *_, score in rows[0]) == 2
    assert len(ray.units) == 3, "each shard was a unit"
