"""The metrics of stored columns: one step for those that are computed from the same tables.

Belongs here: declaring the step. The work is done by ``metrics/rows.py``.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import dagster as dg

from arot_assets.datasets.assets import RetryConfig
from arot_assets.datasets.presence import Shards, objects_of_shards
from arot_assets.datasets.turns import Unit, work_on
from arot_assets.failures import fails_in_words
from arot_assets.metrics.assets.shards import built, most_computed, tell, with_weights
from arot_assets.metrics.assets.spec import SHARDS, table_spec
from arot_assets.metrics.metric import Metric
from arot_assets.metrics.rows import build_rows, row_versions
from arot_assets.metrics.table_builder import MetricResult
from arot_assets.metrics.units import build_row_unit
from arot_assets.pool import unit_by_unit
from arot_assets.shard_progress import ShardProgress
from resources.compute import Compute, Local, Needs, stays_here
from resources.models import Models
from resources.models.entries import find_entry
from resources.tables import Tables
from resources.warehouse import Warehouse

WHY_HERE = "stored columns are read and nothing is decoded, seconds for 100,000 rows"


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

    step = f"rows_of_{'_and_'.join(takes.tables)}"

    @dg.multi_asset(
        name=f"{dataset}_{step}",
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
        wanted = {metric.name: metric for metric in with_weights(context, models, dataset, metrics)}
        versions = row_versions([*wanted.values()], models)
        shards = Shards(warehouse, dataset)
        broken: dict[str, str] = {}  # metric -> why its model cannot be used
        needs = Needs(device=any(map(reads_texts, wanted.values())))
        engine = compute if needs.device else Local()
        for line in [] if needs.device else stays_here(compute, f"{dataset}/{', '.join(wanted)}", WHY_HERE):
            context.log.info(line)

        def unit_of(shard: str) -> Unit:
            return Unit.of(dataset, shard, [name for name in wanted if name not in broken], context.run.run_id)

        def here(unit: Unit) -> dict[str, MetricResult]:
            left = [wanted[name] for name in unit.names]
            return build_rows(warehouse, models, dataset, unit.shard, left, retry=config.retry, shards=shards)

        there = partial(build_row_unit, warehouse, models, dataset, config.retry, shards)
        run = here if engine.is_local else there
        sizes = objects_of_shards(warehouse, dataset)
        with (
            ShardProgress(context, dataset, step, sizes, "rows", engine.is_local) as progress,
            unit_by_unit(context, engine, needs.device, run) as placed,
        ):

            def done(unit: Unit, results: Mapping[str, MetricResult]) -> None:
                broken.update({name: result.error for name, result in results.items() if result.error})
                left = [wanted[name] for name in unit.names if name not in broken]
                pace = progress.finished(unit.shard, most_computed(results.values()))
                tell(context, tables, dataset, unit.shard, left, versions, results, pace)

            work_on(engine, tables, context.partition_keys, unit_of, placed, done, needs, context.log.info)
        warehouse.refresh()
        yield from built(dataset, [*wanted], broken)

    return tables_of_rows


def reads_texts(metric: Metric) -> bool:
    """Whether each row's text goes through a network: work for a device."""
    return metric.model is not None and find_entry(metric.model).family == "similarity"
