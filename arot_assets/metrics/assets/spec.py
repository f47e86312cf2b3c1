"""What Dagster knows of a sharded table of a dataset, whatever fills it.

Belongs here: keys and specs. Does not belong here: the steps that fill the tables (``pixels.py``, ``rows.py``, ``files.py``).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from arot_assets.automation import shard_condition
from arot_assets.datasets.assets import SHARDS_PER_RUN, samples_key, shard_partitions
from arot_assets.metadata import COLUMN_SCHEMA, column_schema
from arot_assets.metrics.children import FileTable
from arot_assets.metrics.metric import Metric
from arot_assets.metrics.steps import metric_path

SHARDS = dg.BackfillPolicy.multi_run(SHARDS_PER_RUN)
"""How many shards a run takes."""


def metric_key(dataset: str, metric: str) -> dg.AssetKey:
    """The asset key of a metric table."""
    return dg.AssetKey(list(metric_path(dataset, metric)))


def table_spec(
    dataset: str,
    owners: Sequence[str],
    table: Metric | FileTable,
    version: str,
    kinds: Iterable[str],
    shown: Mapping[str, Any],
    sources: Iterable[str] = (),
) -> dg.AssetSpec:
    """A table that is filled shard by shard, and may be left out of a run.

    Args:
        dataset: whose table.
        owners: of the dataset.
        table: its name, description and columns.
        version: of current rows.
        kinds: what makes it, for the UI, besides Parquet.
        shown: more of it for the UI.
        sources: the tables that it is made from, besides the samples.
    """
    return dg.AssetSpec(
        key=metric_key(dataset, table.name),
        deps=list(dict.fromkeys([samples_key(dataset), *(metric_key(dataset, name) for name in sources)])),
        group_name=dataset,
        kinds={"parquet", *kinds},
        owners=list(owners),
        description=table.description,
        metadata={COLUMN_SCHEMA: column_schema(table.schema()), **shown},
        code_version=version,
        partitions_def=shard_partitions(dataset),
        automation_condition=shard_condition(),
        skippable=True,
    )
