"""Building the shards of a run, and what the UI keeps of each.

Belongs here: which shards, in whose turn, with which device; telling Dagster. Does not belong here: what is built (``build.py``,
``rows.py``, ``build_files.py`` of the room).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import dagster as dg

from arot_assets.datasets.declaration import DatasetDeclaration
from arot_assets.datasets.turns import Unit, in_turn, work_on
from arot_assets.metadata import ROW_COUNT, count_table, machine_metadata, markdown_table
from arot_assets.metrics.assets.spec import metric_key
from arot_assets.metrics.children import FileTable
from arot_assets.metrics.metric import Metric
from arot_assets.metrics.table_builder import MetricResult, MetricTable, is_current
from arot_assets.metrics.units import model_of
from arot_assets.pace import GPU_LOAD, GPU_MEMORY
from arot_assets.pool import unit_by_unit
from arot_assets.shard_progress import ShardProgress
from resources.compute import Compute, Needs
from resources.models import ModelError, Models
from resources.models.entries import find_entry
from resources.models.runner import DEVICE_LOAD, DEVICE_MEMORY
from resources.tables import TableRef, Tables


def with_weights(
    context: dg.AssetExecutionContext, models: Models, dataset: str, metrics: Sequence[Metric], others: bool = False
) -> Sequence[Metric]:
    """The selected metrics that can be computed now: those whose weights someone has to fetch first are skipped, and told.

    If there are no others, nor ``others`` of another kind, the selection means these: they fail, and say how to fetch them.
    """
    metrics = [m for m in metrics if metric_key(dataset, m.name) in context.selected_asset_keys]
    awaited = {m.name: said for m in metrics if m.model and (said := models.files.waits(find_entry(m.model)))}
    if len(awaited) == len(metrics) and not others:
        return metrics
    for name, remedy in awaited.items():
        context.log.warning(f"{name} is skipped: its weights are not on this machine; `{remedy}` brings them")
    return [m for m in metrics if m.name not in awaited]


def build_shards(
    context: dg.AssetExecutionContext,
    compute: Compute,
    tables: Tables,
    declaration: DatasetDeclaration,
    wanted: "Sequence[Metric] | Sequence[FileTable]",
    versions: Mapping[str, str],
    work: Callable[[Unit], dict[str, MetricResult]],
    progress: ShardProgress,
) -> dict[str, str]:
    """Build every shard, and once more those that other runs changed meanwhile: they may have settled which of equal files is the
    original. Gives the tables that cannot be built, and why: their model cannot be used.
    """
    dataset, broken = declaration.name, dict[str, str]()
    needs = Needs(device=any(model_of(one) for one in wanted))

    def left() -> list[str]:
        return [one.name for one in wanted if one.name not in broken]

    def unit_of(shard: str) -> Unit:
        return Unit.of(dataset, shard, left(), context.run.run_id)

    def done(unit: Unit, results: Mapping[str, MetricResult]) -> None:
        for name, result in results.items():
            if result.error and name not in broken:
                broken[name] = result.error
                context.log.error(f"{dataset}/{name}: {result.error}")
        built = [one for one in wanted if one.name in unit.names and one.name not in broken]
        pace = progress.finished(unit.shard, most_computed(results.values()), gpu_of(results.values()))
        where = machine_metadata(unit.machine)
        tell(context, tables, dataset, unit.shard, built, versions, results, {**pace, **where})

    def build(shards: Sequence[str]) -> None:
        with unit_by_unit(context, compute, needs.device, work) as run:
            work_on(compute, tables, shards, unit_of, run, done, needs, context.log.info, declaration.seen_by_all)

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


def most_computed(results: Iterable[MetricResult]) -> int:
    """How many rows were computed in the table of a shard that had the most to do."""
    return max((result.computed for result in results), default=0)


def gpu_of(results: Iterable[MetricResult]) -> dict[str, float]:
    """What the models of a shard say of their GPU, as ``Pace`` takes it."""
    said = [result.model for result in results if result.model]
    busy = [float(one[DEVICE_LOAD]) for one in said if DEVICE_LOAD in one]
    memory = [float(one[DEVICE_MEMORY]) for one in said if DEVICE_MEMORY in one]
    return {
        **({GPU_LOAD: max(busy)} if busy else {}),
        **({GPU_MEMORY: max(memory) * 1e6} if memory else {}),
    }


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


def built(dataset: str, names: Sequence[str], broken: Mapping[str, str]) -> Iterator[dg.MaterializeResult]:
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


def tell(
    context: dg.AssetExecutionContext,
    tables: Tables,
    dataset: str,
    shard: str,
    metrics: Sequence[MetricTable],
    versions: Mapping[str, str],
    results: Mapping[str, MetricResult],
    pace: Mapping[str, dg.MetadataValue] | None = None,
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
                **(pace or {}),
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
        "failed, by reason": count_table(result.failures, "reason"),
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
