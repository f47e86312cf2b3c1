"""The tables of files with many stills: one step for all of a dataset, since one decode of a file fills them.

Belongs here: declaring the step. The work is done by ``metrics/build_files.py``.
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
from arot_assets.metrics.children import file_tables
from arot_assets.metrics.metric import Metric
from arot_assets.metrics.units import build_file_unit
from arot_assets.shard_progress import ShardProgress
from resources.compute import Compute
from resources.models import Models
from resources.storage import Storage
from resources.tables import Tables
from resources.warehouse import Warehouse


def file_asset(
    declaration: DatasetDeclaration, metrics: Sequence[Metric], declared_models: Models
) -> dg.AssetsDefinition:
    """The tables that one decode of a file with many stills fills: the medium's own, and a metric's for each still."""
    dataset = declaration.name

    @dg.multi_asset(
        name=f"{dataset}_files",
        specs=[
            table_spec(
                dataset,
                declaration.owners,
                table,
                table.version,
                {"pytorch"} if table.metric is not None and table.metric.model else (),
                {"a row is": table.grain},
            )
            for table in file_tables(declaration.medium, metrics, declared_models)
        ],
        can_subset=True,
        backfill_policy=SHARDS,
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
        own = {table.name for table in declaration.medium.tables} & selected
        now = own | {metric.name for metric in with_weights(context, models, dataset, metrics, others=bool(own))}
        wanted = [table for table in file_tables(declaration.medium, metrics, models) if table.name in now]
        versions = {table.name: table.version for table in wanted}
        work = partial(
            build_file_unit, storage, warehouse, models, declaration, config.retry, Shards(warehouse, dataset)
        )
        sizes = objects_of_shards(warehouse, dataset)
        with ShardProgress(context, dataset, "files", sizes, "rows", compute.is_local) as progress:
            broken = build_shards(context, compute, tables, declaration, wanted, versions, work, progress)
        warehouse.refresh()
        yield from built(dataset, [table.name for table in wanted], broken)

    return tables_of_files
