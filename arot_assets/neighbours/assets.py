"""The Dagster door of neighbours: one asset for each declaration, made from all shards.

Belongs here: declaring the asset and its check, and what the UI shows of it. The work is done by ``build.py``.
"""

import dagster as dg

from arot_assets.automation import WHOLE
from arot_assets.failures import fails_in_words
from arot_assets.metadata import COLUMN_SCHEMA, ROW_COUNT, column_schema
from arot_assets.metrics.checks import conservation_check
from arot_assets.neighbours.declaration import NeighboursDeclaration
from arot_assets.neighbours.steps import neighbours_path, upstream_of
from arot_assets.neighbours.table import schema_of
from resources.models import Models
from resources.storage import Storage
from resources.tables import Tables
from resources.warehouse import Warehouse


def neighbours_assets(declaration: NeighboursDeclaration) -> list[dg.AssetsDefinition]:
    """The asset of one declaration; it needs the resources ``storage``, ``tables``, ``warehouse`` and ``models``."""
    clusters = f", and {declaration.clusters} clusters" if declaration.clusters else ""

    @dg.asset(
        key=dg.AssetKey(list(neighbours_path(declaration))),
        deps=[dg.AssetKey(list(path)) for path in upstream_of(declaration)],
        group_name=declaration.dataset,
        kinds={"parquet"},
        owners=declaration.owners,
        description=f"The {declaration.k} nearest samples of each sample by `{declaration.embedding}`{clusters}. A function of "
        "all vectors: made again when one of them changes; what changed is compared with all.",
        automation_condition=WHOLE,
    )
    @fails_in_words
    def neighbours(
        context: dg.AssetExecutionContext,
        storage: dg.ResourceParam[Storage],
        tables: dg.ResourceParam[Tables],
        warehouse: dg.ResourceParam[Warehouse],
        models: dg.ResourceParam[Models],
    ) -> dg.MaterializeResult:
        from arot_assets.neighbours.build import build_neighbours
        from resources.defaults import Resources

        made = build_neighbours(declaration, Resources(storage, tables, warehouse, models))
        warehouse.refresh()
        context.log.info(
            f"{declaration.dataset}/{declaration.name}: {made.compared:,} samples compared, {made.kept:,} known"
        )
        metadata: dict[str, dg.MetadataValue | dg.TableSchema | int] = {
            ROW_COUNT: made.rows,
            "failed": made.failed,
            "samples compared with all": made.compared,
            "samples compared with these alone": made.kept,
            "clusters": made.clusters,
            "clusters found anew": int(made.fitted),
            COLUMN_SCHEMA: column_schema(schema_of(declaration)),
        }
        return dg.MaterializeResult(metadata=metadata)

    return [neighbours]


def neighbours_checks(declaration: NeighboursDeclaration) -> list[dg.AssetChecksDefinition]:
    """Exactly one row for every ok sample."""
    return [conservation_check(declaration.dataset, declaration.name)]
