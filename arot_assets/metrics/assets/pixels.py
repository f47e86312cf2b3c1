"""The metrics that see pixels: one step for all of a dataset, so that they share one decode.

Belongs here: declaring the step. The work is done by ``metrics/build.py``.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import dagster as dg

from arot_assets.datasets.assets import RetryConfig
from arot_assets.datasets.declaration import DatasetDeclaration
from arot_assets.datasets.presence import Shards, objects_of_shards
from arot_assets.failures import fails_in_words
from arot_assets.metrics.assets.shards import build_shards, built, with_weights
from arot_assets.metrics.assets.spec import SHARDS, table_spec
from arot_assets.metrics.build import metric_versions
from arot_assets.metrics.metric import Metric
from arot_assets.metrics.units import build_metric_unit
from arot_assets.shard_progress import ShardProgress
from resources.compute import Compute
from resources.models import Models
from resources.storage import Storage
from resources.tables import Tables
from resources.warehouse import Warehouse


def pixel_asset(
    declaration: DatasetDeclaration, metrics: Sequence[Metric], declared_models: Models
) -> dg.AssetsDefinition:
    """The tables that one decode of a file with one still fills: a metric's each."""
    dataset = declaration.name
    declared_versions = metric_versions(metrics, declared_models, declaration.medium)

    @dg.multi_asset(
        name=f"{dataset}_metrics",
        specs=[
            table_spec(
                dataset,
                declaration.owners,
                metric,
                declared_versions[metric.name],
                {"pytorch"} if metric.model else {"opencv"},
                {"model": metric.model or "none"},
            )
            for metric in metrics
        ],
        can_subset=True,
        backfill_policy=SHARDS,
    )
    @fails_in_words
    def tables_of_metrics(
        context: dg.AssetExecutionContext,
        config: RetryConfig,
        compute: dg.ResourceParam[Compute],
        storage: dg.ResourceParam[Storage],
        tables: dg.ResourceParam[Tables],
        warehouse: dg.ResourceParam[Warehouse],
        models: dg.ResourceParam[Models],
    ) -> Iterator[dg.MaterializeResult]:
        wanted = with_weights(context, models, dataset, metrics)
        versions = metric_versions(wanted, models, declaration.medium)
        work = partial(
            build_metric_unit, storage, warehouse, models, declaration, config.retry, Shards(warehouse, dataset)
        )
        sizes = objects_of_shards(warehouse, dataset)
        with ShardProgress(
            context, dataset, "metrics", sizes, f"{declaration.medium.name}s", compute.is_local
        ) as progress:
            broken = build_shards(context, compute, tables, declaration, wanted, versions, work, progress)
        warehouse.refresh()
        yield from built(dataset, [metric.name for metric in wanted], broken)

    return tables_of_metrics
