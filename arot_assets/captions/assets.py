"""The Dagster door of captions: one sharded asset for each captioner.

Belongs here: declaring the table and what the UI shows of it. The work is done by ``build.py``.
"""

from contextlib import AbstractContextManager, nullcontext
from functools import partial

import dagster as dg
import pyarrow as pa

from arot_assets.automation import shard_condition
from arot_assets.captions.answering import Answerer
from arot_assets.captions.budget import Budget
from arot_assets.captions.build import Captioner, OnNodes, build_captions
from arot_assets.captions.declaration import CaptionsDeclaration
from arot_assets.captions.models import threads_of, vlm_of
from arot_assets.captions.prompt import read_prompt
from arot_assets.captions.quality import quality_metric
from arot_assets.captions.steps import prompt_sources
from arot_assets.captions.table import caption_table, caption_version
from arot_assets.datasets.assets import SHARDS_PER_RUN, RetryConfig, shard_partitions
from arot_assets.datasets.nodes import meet
from arot_assets.datasets.places import all_roots, place_of, seen_by_all
from arot_assets.datasets.presence import Shards, objects_of_shards
from arot_assets.failures import fails_in_words
from arot_assets.local_paths import LocalPaths
from arot_assets.metadata import COLUMN_SCHEMA, ROW_COUNT, column_schema, count_table
from arot_assets.metrics.assets.rows import row_asset
from arot_assets.metrics.assets.shards import reserve_in_turn
from arot_assets.metrics.assets.spec import metric_key
from arot_assets.metrics.table_builder import MetricResult
from arot_assets.pool import device_of
from arot_assets.shard_progress import ShardProgress
from resources.compute import Compute, Needs, stays_here
from resources.models import Models
from resources.storage import Storage
from resources.tables import SAMPLES, TableRef, Tables
from resources.warehouse import Warehouse

WHY_HERE = "its questions wait for a server", "make that larger, and raise `concurrency`"
"""Why questions to a server are not spread over a cluster, and what helps."""


def caption_assets(declaration: CaptionsDeclaration, models: Models) -> list[dg.AssetsDefinition]:
    """The table of one captioner, and that of the quality of its texts.

    Args:
        declaration: what the user declared.
        models: the resource that runs use.
    """
    dataset = declaration.dataset
    key, table = metric_key(dataset, declaration.name), caption_table(declaration)
    partitions = shard_partitions(dataset)
    version = caption_version(declaration, read_prompt(declaration.prompt_path))

    @dg.asset(
        key=key,
        deps=[dg.AssetKey(list(path)) for path in prompt_sources(declaration)],
        group_name=dataset,
        kinds={"parquet", "openai" if declaration.server else "pytorch"},
        owners=declaration.owners,
        description=f"What {declaration.model} answers about each sample. {declaration.description}",
        metadata={COLUMN_SCHEMA: column_schema(table.schema()), "model": declaration.model},
        code_version=version,
        partitions_def=partitions,
        automation_condition=shard_condition() if declaration.start == "automatic" else None,
        backfill_policy=dg.BackfillPolicy.multi_run(SHARDS_PER_RUN),
    )
    @fails_in_words
    def captions(
        context: dg.AssetExecutionContext,
        config: RetryConfig,
        compute: dg.ResourceParam[Compute],
        storage: dg.ResourceParam[Storage],
        tables: dg.ResourceParam[Tables],
        warehouse: dg.ResourceParam[Warehouse],
    ) -> dg.MaterializeResult:
        if declaration.server:
            for line in stays_here(compute, f"{dataset}/{declaration.name}", *WHY_HERE):
                context.log.info(line)
        captioner = Captioner(
            declaration,
            read_prompt(declaration.prompt_path),
            vlm_of(declaration),
            Budget(declaration.budget, declaration.price),
            threads_of(declaration),
        )
        shards = Shards(warehouse, dataset)
        answerer = Answerer(storage, warehouse, declaration, captioner.version, config.retry is not None)
        nodes: AbstractContextManager[OnNodes | None] = nullcontext()
        if declaration.local and not compute.is_local:
            meet(compute, tables, Needs(device=True), seen_by_all(tables, [dataset]))
            nodes = compute.workers(answerer, Needs(device=True))

        progress = ShardProgress(context, dataset, declaration.name, objects_of_shards(warehouse, dataset))

        def build(on_nodes: OnNodes | None, shard: str) -> None:
            result = build_captions(storage, warehouse, captioner, shard, config.retry, shards, on_nodes)
            pace = progress.finished(shard, result.computed)
            metadata = _shard_metadata(storage, tables, warehouse, declaration, shard, result)
            context.add_asset_metadata(metadata={**metadata, **pace}, asset_key=key, partition_key=shard)

        try:
            with device_of(context, compute, not declaration.server), nodes as on_nodes, progress:
                work = partial(build, on_nodes)
                reserve_in_turn(context, tables, dataset, [declaration.name], context.partition_keys, work)
        finally:
            context.log.info(f"{dataset}/{declaration.name}: {captioner.budget.used}")
            warehouse.refresh()
        used = captioner.budget.used
        return dg.MaterializeResult(
            metadata={
                "requests": used.requests,
                "tokens in": used.tokens_in,
                "tokens out": used.tokens_out,
                "cost": used.cost,
            }
        )

    return [captions, row_asset(dataset, declaration.owners, [quality_metric(declaration)], models)]


def _shard_metadata(
    storage: Storage,
    tables: Tables,
    warehouse: Warehouse,
    declaration: CaptionsDeclaration,
    shard: str,
    result: MetricResult,
) -> dict[str, dg.MetadataValue]:
    from arot_assets.captions.report import caption_preview

    dataset = declaration.dataset
    rows = tables.read(TableRef(dataset, declaration.name, shard))
    metadata: dict[str, dg.MetadataValue] = {
        ROW_COUNT: dg.MetadataValue.int(result.rows),
        "asked": dg.MetadataValue.int(result.computed),
        "kept": dg.MetadataValue.int(result.kept),
        "copied by content": dg.MetadataValue.int(result.copied),
        "cost of the table": dg.MetadataValue.float(_sum(rows, "cost")),
        "failed, by reason": count_table(result.failures, "reason"),
    }
    samples = tables.read(TableRef(dataset, SAMPLES, shard), columns=["sample_id", "uri", "status"])
    samples = samples.filter(pa.compute.equal(samples["status"], "ok"))
    preview = caption_preview(place_of(storage, warehouse, dataset, samples["sample_id"].to_pylist()), samples, rows)
    if preview is not None:
        metadata["captions"] = dg.MetadataValue.md(LocalPaths(all_roots(tables, dataset)).removed(preview))
    return metadata


def _sum(rows: pa.Table, column: str) -> float:
    return float(pa.compute.sum(rows[column]).as_py() or 0.0)
