"""The metrics of stored columns: one step for those that are computed from the same tables.

Belongs here: declaring the step. The work is done by ``metrics/rows.py``.
"""

from collections.abc import Iterator, Sequence

import dagster as dg

from arot_assets.datasets.assets import RetryConfig
from arot_assets.datasets.presence import Shards
from arot_assets.failures import fails_in_words
from arot_assets.metrics.assets.shards import built, reserve_in_turn, tell, with_weights
from arot_assets.metrics.assets.spec import SHARDS, table_spec
from arot_assets.metrics.metric import Metric
from arot_assets.metrics.rows import build_rows, row_versions
from resources.compute import Compute, stays_here
from resources.models import Models
from resources.models.entries import find_entry
from resources.tables import Tables
from resources.warehouse import Warehouse


def row_asset(
    dataset: str,
    owners: Sequence[str],
    metrics: Sequence[Metric],
    declared_models: Models,
) -> dg.AssetsDefinition:
    """The tables that are computed from the same other tables.

    Args:
        dataset: whose tables.
        owners: of the dataset.
        metrics: those with ``rows`` of the same tables.
        declared_models: the resource that runs use; its settings go into the code versions.
    """
    takes = metrics[0].rows
    assert takes is not None
    declared_versions = row_versions(metrics, declared_models)

    @dg.multi_asset(
        name=f"{dataset}_rows_of_{'_and_'.join(takes.tables)}",
        specs=[
            table_spec(
                dataset,
                owners,
                metric,
                declared_versions[metric.name],
                (),
                {"model": metric.model or "none"},
                takes.tables,
            )
            for metric in metrics
        ],
        can_subset=True,
        backfill_policy=SHARDS,
    )
    @fails_in_words
    def tables_of_rows(
        context: dg.AssetExecutionContext,
        config: RetryConfig,
        compute: dg.ResourceParam[Compute],
        tables: dg.ResourceParam[Tables],
        warehouse: dg.ResourceParam[Warehouse],
        models: dg.ResourceParam[Models],
    ) -> Iterator[dg.MaterializeResult]:
        wanted = with_weights(context, models, dataset, metrics)
        versions = row_versions(wanted, models)
        shards = Shards(warehouse, dataset)
        broken: dict[str, str] = {}  # metric -> why its model cannot be used
        for line in stays_here(compute, f"{dataset}/{', '.join(m.name for m in wanted)}", *_why_here(wanted)):
            context.log.info(line)

        def build(shard: str) -> None:
            left = [m for m in wanted if m.name not in broken]
            results = build_rows(warehouse, models, dataset, shard, left, retry=config.retry, shards=shards)
            broken.update({name: result.error for name, result in results.items() if result.error})
            tell(context, tables, dataset, shard, [m for m in left if m.name not in broken], versions, results)

        reserve_in_turn(context, tables, dataset, [m.name for m in wanted], context.partition_keys, build)
        warehouse.refresh()
        yield from built(dataset, [metric.name for metric in wanted], broken)

    return tables_of_rows


def _why_here(metrics: Sequence[Metric]) -> tuple[str, str]:
    """Why no other machine computes them, and what makes it faster."""
    if any(m.model and find_entry(m.model).family == "similarity" for m in metrics):
        return "its model reads texts and decodes nothing", "start the run where there is a GPU"
    return "stored columns are read and nothing is decoded, seconds for 100,000 rows", ""
