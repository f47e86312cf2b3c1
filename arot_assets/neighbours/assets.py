"""The Dagster door of neighbours: one asset for each declaration, made from all shards.

Belongs here: declaring the asset and its check, and what the UI shows of it. The work is done by ``build.py``.
"""

from logging import Logger

import dagster as dg

from arot_assets.automation import WHOLE
from arot_assets.metadata import COLUMN_SCHEMA, ROW_COUNT, column_schema
from arot_assets.metrics.checks import conservation_check
from arot_assets.neighbours.declaration import NeighboursDeclaration
from arot_assets.neighbours.steps import neighbours_path, upstream_of
from arot_assets.neighbours.table import schema_of
from arot_assets.whole import whole_asset
from resources.compute import stays_here
from resources.defaults import Resources


def neighbours_assets(declaration: NeighboursDeclaration) -> list[dg.AssetsDefinition]:
    """The asset of one declaration."""
    name = f"{declaration.dataset}/{declaration.name}"
    clusters = f", and {declaration.clusters} clusters" if declaration.clusters else ""

    def work(resources: Resources, log: Logger) -> dg.MaterializeResult:
        from arot_assets.neighbours.build import build_neighbours

        why, remedy = (
            "all vectors are compared with all, in one pass",
            "start the run where there is a GPU, or more cores",
        )
        for line in stays_here(resources.compute, name, why, remedy):
            log.info(line)
        made = build_neighbours(declaration, resources)
        resources.warehouse.refresh()
        log.info(f"{name}: {made.compared:,} samples compared, {made.kept:,} known")
        return dg.MaterializeResult(
            metadata={
                ROW_COUNT: made.rows,
                "failed": made.failed,
                "samples compared with all": made.compared,
                "samples compared with these alone": made.kept,
                "clusters": made.clusters,
                "clusters found anew": int(made.fitted),
                COLUMN_SCHEMA: column_schema(schema_of(declaration)),
            }
        )

    asset = whole_asset(
        neighbours_path(declaration),
        upstream_of(declaration),
        work,
        group_name=declaration.dataset,
        kinds={"parquet"},
        owners=declaration.owners,
        description=f"The {declaration.k} nearest samples of each sample by `{declaration.embedding}`{clusters}. A function of "
        "all vectors: made again when one of them changes; what changed is compared with all.",
        automation_condition=WHOLE,
    )
    return [asset]


def neighbours_checks(declaration: NeighboursDeclaration) -> list[dg.AssetChecksDefinition]:
    """Exactly one row for every ok sample."""
    return [conservation_check(declaration.dataset, declaration.name)]
