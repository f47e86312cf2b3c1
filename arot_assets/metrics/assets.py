"""The Dagster assets of metrics: one multi-asset per dataset, so that all requested metrics share one decode; beside it one for
the metrics of stored columns that read the same tables.

A step's pool belongs to its operation, whatever part of it is selected, and one decode requires one operation. So the step has
no pool; its body takes a slot in Dagster's pool ``gpu`` if a metric with a model is selected. A selection of others never waits
for a device.

Belongs here: declaring the tables and what the UI shows of them. The work is done by ``build.py``
and ``rows.py``.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial

import dagster as dg

from arot_assets.automation import shard_condition
from arot_assets.datasets.assets import SHARDS_PER_RUN, RetryConfig, samples_key, shard_partitions
from arot_assets.datasets.declaration import DatasetDeclaration
from arot_assets.datasets.presence import Shards
from arot_assets.datasets.turns import Unit, in_turn, work_on
from arot_assets.failures import fails_in_words
from arot_assets.metadata import COLUMN_SCHEMA, ROW_COUNT, column_schema, markdown_table
from arot_assets.metrics.build import metric_versions
from arot_assets.metrics.children import FileTable, file_tables
from arot_assets.metrics.metric import Metric
from arot_assets.metrics.registry import get_metric
from arot_assets.metrics.rows import build_rows, row_versions
from arot_assets.metrics.steps import metric_path
from arot_assets.metrics.table_builder import MetricResult, MetricTable, is_current
from arot_assets.metrics.units import build_file_unit, build_metric_unit, model_of
from arot_assets.progress import SHARD_DONE, Pace
from resources.compute import Compute, Needs
from resources.models import ModelError, Models
from resources.models.entries import find_entry
from resources.storage import Storage
from resources.tables import TableRef, Tables
from resources.warehouse import Warehouse

GPU_POOL = "gpu"
ASK_SECONDS = 1.0
"""Seconds between two checks whether a slot in a pool is free."""


def metric_key(dataset: str, metric: str) -> dg.AssetKey:
    """The asset key of a metric table."""
    return dg.AssetKey(list(metric_path(dataset, metric)))


def metric_assets(declaration: DatasetDeclaration, models: Models) -> list[dg.AssetsDefinition]:
    """The metric tables of one dataset; none when it declares no metric.

    Args:
        declaration: the dataset.
        models: the resource that runs use; settings that affect the numbers go into the code versions.
    """
    metrics = [get_metric(name) for name in declaration.metrics]
    if declaration.medium.tables:
        return [_file_asset(declaration, metrics, models)]
    seeing = [m for m in metrics if m.rows is None]
    by_tables: dict[tuple[str, ...], list[Metric]] = {}
    for metric in metrics:
        if metric.rows is not None:
            by_tables.setdefault(metric.rows.tables, []).append(metric)
    return [
        *([_multi_asset(declaration, seeing, models)] if seeing else []),
        *(
            row_asset(declaration.name, declaration.owners, of_tables, models, shard_partitions(declaration.name))
            for of_tables in by_tables.values()
        ),
    ]


def _spec(declaration: DatasetDeclaration, metric: Metric, version: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=metric_key(declaration.name, metric.name),
        deps=[samples_key(declaration.name)],
        group_name=declaration.name,
        kinds={"parquet", "pytorch"} if metric.model else {"parquet", "opencv"},
        owners=declaration.owners,
        description=metric.description,
        metadata={COLUMN_SCHEMA: column_schema(metric.schema()), "model": metric.model or "none"},
        code_version=version,
        partitions_def=shard_partitions(declaration.name),
        automation_condition=shard_condition(),
        skippable=True,
    )


def row_asset(
    dataset: str,
    owners: Sequence[str],
    metrics: Sequence[Metric],
    declared_models: Models,
    partitions_def: dg.PartitionsDefinition[str],
) -> dg.AssetsDefinition:
    """The tables that are computed from the same other tables.

    Args:
        dataset: whose tables.
        owners: of the dataset.
        metrics: those with ``rows`` of the same tables.
        declared_models: the resource that runs use; its settings go into the code versions.
        partitions_def: the shards of the dataset.
    """
    takes = metrics[0].rows
    assert takes is not None
    declared_versions = row_versions(metrics, declared_models)

    @dg.multi_asset(
        name=f"{dataset}_rows_of_{'_and_'.join(takes.tables)}",
        specs=[
            dg.AssetSpec(
                key=metric_key(dataset, metric.name),
                deps=list(dict.fromkeys([samples_key(dataset), *(metric_key(dataset, t) for t in takes.tables)])),
                group_name=dataset,
                kinds={"parquet"},
                owners=list(owners),
                description=metric.description,
                metadata={COLUMN_SCHEMA: column_schema(metric.schema()), "model": metric.model or "none"},
                code_version=declared_versions[metric.name],
                partitions_def=partitions_def,
                automation_condition=shard_condition(),
                skippable=True,
            )
            for metric in metrics
        ],
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.multi_run(SHARDS_PER_RUN),
    )
    @fails_in_words
    def tables_of_rows(
        context: dg.AssetExecutionContext,
        config: RetryConfig,
        tables: dg.ResourceParam[Tables],
        warehouse: dg.ResourceParam[Warehouse],
        models: dg.ResourceParam[Models],
    ) -> Iterator[dg.MaterializeResult]:
        wanted = _with_weights(
            context, models, [m for m in metrics if metric_key(dataset, m.name) in context.selected_asset_keys]
        )
        versions = row_versions(wanted, models)
        shards = Shards(warehouse, dataset)
        broken: dict[str, str] = {}  # metric -> why its model cannot be used

        def build(shard: str) -> None:
            left = [m for m in wanted if m.name not in broken]
            results = build_rows(warehouse, models, dataset, shard, left, retry=config.retry, shards=shards)
            broken.update({name: result.error for name, result in results.items() if result.error})
            _tell(context, tables, dataset, shard, [m for m in left if m.name not in broken], versions, results)

        reserve_in_turn(context, tables, dataset, [m.name for m in wanted], context.partition_keys, build)
        warehouse.refresh()
        yield from _built(dataset, [metric.name for metric in wanted], broken)

    return tables_of_rows


def _multi_asset(
    declaration: DatasetDeclaration, metrics: Sequence[Metric], declared_models: Models
) -> dg.AssetsDefinition:
    dataset = declaration.name
    declared_versions = metric_versions(metrics, declared_models, declaration.medium)

    @dg.multi_asset(
        name=f"{dataset}_metrics",
        specs=[_spec(declaration, m, declared_versions[m.name]) for m in metrics],
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.multi_run(SHARDS_PER_RUN),
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
        wanted = _with_weights(
            context, models, [m for m in metrics if metric_key(dataset, m.name) in context.selected_asset_keys]
        )
        versions = metric_versions(wanted, models, declaration.medium)
        work = partial(
            build_metric_unit, storage, warehouse, models, declaration, config.retry, Shards(warehouse, dataset)
        )
        broken = _build_shards(context, compute, tables, dataset, wanted, versions, work)
        warehouse.refresh()
        yield from _built(dataset, [metric.name for metric in wanted], broken)

    return tables_of_metrics


def _file_asset(
    declaration: DatasetDeclaration, metrics: Sequence[Metric], declared_models: Models
) -> dg.AssetsDefinition:
    """The tables that one decode of a file with many stills fills: the medium's own, and a metric's for each still."""
    dataset = declaration.name

    @dg.multi_asset(
        name=f"{dataset}_files",
        specs=[
            dg.AssetSpec(
                key=metric_key(dataset, table.name),
                deps=[samples_key(dataset)],
                group_name=dataset,
                kinds={"parquet", "pytorch"} if table.metric is not None and table.metric.model else {"parquet"},
                owners=declaration.owners,
                description=table.description,
                metadata={COLUMN_SCHEMA: column_schema(table.schema()), "a row is": table.grain},
                code_version=table.version,
                partitions_def=shard_partitions(dataset),
                automation_condition=shard_condition(),
                skippable=True,
            )
            for table in file_tables(declaration.medium, metrics, declared_models)
        ],
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.multi_run(SHARDS_PER_RUN),
    )
    @fails_in_words
    def tables_of_files(
        context: dg.AssetExecutionContext,
        config: RetryConfig,
        compute: dg.ResourceParam[Compute],
        storage: dg.ResourceParam[Storage],
        tables: dg.ResourceParam[Tables],
        warehouse: dg.ResourceParam[Warehouse],
        models: dg.ResourceParam[Models],
    ) -> Iterator[dg.MaterializeResult]:
        selected = {key.path[-1] for key in context.selected_asset_keys}
        wanted = [table for table in file_tables(declaration.medium, metrics, models) if table.name in selected]
        versions = {table.name: table.version for table in wanted}
        work = partial(
            build_file_unit, storage, warehouse, models, declaration, config.retry, Shards(warehouse, dataset)
        )
        broken = _build_shards(context, compute, tables, dataset, wanted, versions, work)
        warehouse.refresh()
        yield from _built(dataset, [table.name for table in wanted], broken)

    return tables_of_files


def _with_weights(context: dg.AssetExecutionContext, models: Models, metrics: Sequence[Metric]) -> Sequence[Metric]:
    """The metrics that can be computed now: those whose weights someone has to fetch first are skipped, and told.

    If there are no others, the selection means these: they fail, and say how to fetch the weights.
    """
    awaited = {m.name: said for m in metrics if m.model and (said := models.files.waits(find_entry(m.model)))}
    if len(awaited) == len(metrics):
        return metrics
    for name, remedy in awaited.items():
        context.log.warning(f"{name} is skipped: its weights are not on this machine; `{remedy}` brings them")
    return [m for m in metrics if m.name not in awaited]


def _build_shards(
    context: dg.AssetExecutionContext,
    compute: Compute,
    tables: Tables,
    dataset: str,
    wanted: "Sequence[Metric] | Sequence[FileTable]",
    versions: Mapping[str, str],
    work: Callable[[Unit], dict[str, MetricResult]],
) -> dict[str, str]:
    """Build every shard, and once more those that other runs changed meanwhile: they may have settled which of equal files is the
    original. Gives the tables that cannot be built, and why: their model cannot be used.
    """
    broken: dict[str, str] = {}
    pace = Pace(len(context.partition_keys))
    needs = Needs(device=any(model_of(one) for one in wanted))

    def left() -> list[str]:
        return [one.name for one in wanted if one.name not in broken]

    def unit_of(shard: str) -> Unit:
        return Unit.of(dataset, shard, left(), context.run.run_id)

    def placed(unit: Unit) -> dict[str, MetricResult]:
        with place_in_pool(context, GPU_POOL) if needs.device else nullcontext():
            return work(unit)

    def done(unit: Unit, results: Mapping[str, MetricResult]) -> None:
        for name, result in results.items():
            if result.error and name not in broken:
                broken[name] = result.error
                context.log.error(f"{dataset}/{name}: {result.error}")
        built = [one for one in wanted if one.name in unit.names and one.name not in broken]
        rate = pace.finished(max((result.computed for result in results.values()), default=0))
        context.log.info(f"{SHARD_DONE}{dataset} {unit.shard}: {rate:,.1f} rows/s, {pace}")
        _tell(context, tables, dataset, unit.shard, built, versions, results, rate)

    def build(shards: Sequence[str]) -> None:
        # the pool is this process's; another engine knows what devices its machines have
        run = placed if compute.is_local else work
        work_on(compute, tables, shards, unit_of, run, done, needs, context.log.info)

    build(context.partition_keys)
    names = left()
    build(
        [
            shard
            for shard in context.partition_keys
            if not all(is_current(tables, dataset, name, shard, versions[name]) for name in names)
        ]
    )
    return broken


def reserve_in_turn(
    context: dg.AssetExecutionContext,
    tables: Tables,
    dataset: str,
    names: Sequence[str],
    shards: Sequence[str],
    build: Callable[[str], None],
) -> None:
    """Build some tables for some shards, one shard at a time, while no other run does (``datasets.turns``)."""

    def reserved(shard: str) -> list[TableRef]:
        return [TableRef(dataset, name, shard) for name in names]

    in_turn(tables, shards, reserved, build, context.run.run_id, context.log.info)


def _built(dataset: str, names: Sequence[str], broken: Mapping[str, str]) -> Iterator[dg.MaterializeResult]:
    """The tables that were built; the others, whose model cannot be used, are the error at the end.

    Args:
        dataset: theirs.
        names: of all tables that were wanted.
        broken: name -> why its model cannot be used.

    Raises:
        ModelError: some were not built.
    """
    for name in names:
        if name not in broken:
            yield dg.MaterializeResult(asset_key=metric_key(dataset, name))
    if broken:
        raise ModelError("; ".join(f"{dataset}/{name} not built: {why}" for name, why in broken.items()))


def _tell(
    context: dg.AssetExecutionContext,
    tables: Tables,
    dataset: str,
    shard: str,
    metrics: Sequence[MetricTable],
    versions: Mapping[str, str],
    results: Mapping[str, MetricResult],
    rate: float | None = None,
) -> None:
    """Log what became of the tables of a shard, and keep it for the UI."""
    for metric in metrics:
        result = results[metric.name]
        context.log.info(
            f"{dataset}/{metric.name} {shard}: {result.rows} rows, {result.computed} computed, "
            f"{result.kept} kept, {result.copied} copied, {sum(result.failures.values())} failed"
        )
        context.add_asset_metadata(
            metadata={
                **_shard_metadata(tables, dataset, shard, metric, versions[metric.name], result),
                **({} if rate is None else {"rows/s": dg.MetadataValue.float(round(rate, 1))}),
            },
            asset_key=metric_key(dataset, metric.name),
            partition_key=shard,
        )


def _shard_metadata(
    tables: Tables, dataset: str, shard: str, metric: MetricTable, version: str, result: MetricResult
) -> dict[str, dg.MetadataValue]:
    from arot_assets.metrics.report import histogram_sheet, shown_columns

    metadata: dict[str, dg.MetadataValue] = {
        ROW_COUNT: dg.MetadataValue.int(result.rows),
        "computed": dg.MetadataValue.int(result.computed),
        "kept": dg.MetadataValue.int(result.kept),
        "copied by content": dg.MetadataValue.int(result.copied),
        "failed, by reason": markdown_table(
            [{"reason": k, "rows": v} for k, v in sorted(result.failures.items(), key=lambda i: -i[1])[:20]]
        ),
    }
    if result.model:
        metadata["model run"] = markdown_table([result.model])
    if result.lost:
        metadata["failed, with a value from an earlier version"] = dg.MetadataValue.int(result.lost)
    rows = tables.read(TableRef(dataset, metric.name, shard), columns=shown_columns(metric))
    sheet = histogram_sheet(rows, metric)
    if sheet is not None:
        metadata["histograms"] = dg.MetadataValue.md(sheet)
    metadata["metric_version"] = dg.MetadataValue.text(version)
    return metadata


@contextmanager
def place_in_pool(context: dg.AssetExecutionContext, pool: str) -> Iterator[None]:
    """Hold a slot in a pool, of the default size unless the instance sets another limit; wait until one is free.

    The slots are Dagster's own: the UI shows who holds them, and those of a killed run are released with it.
    """
    storage = context.instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        yield
        return
    step = str(context.op_execution_context.op_handle)
    storage.initialize_concurrency_limit_to_default(pool)
    limited = pool in {limit.name for limit in storage.get_pool_limits()}
    try:
        told = False
        while limited and not storage.claim_concurrency_slot(pool, context.run.run_id, step).is_claimed:
            if not told:
                context.log.info(f"waiting for a slot in the pool {pool!r}")
                told = True
            time.sleep(ASK_SECONDS)
        yield
    finally:
        if limited:
            storage.free_concurrency_slot_for_step(context.run.run_id, step)
