"""The Dagster door of duplicates: one asset for each declaration, made from all shards.

Belongs here: declaring the asset and what the UI shows of it. The work is done by ``build.py``.
"""

from logging import Logger

import dagster as dg

from arot_assets.automation import WHOLE
from arot_assets.duplicates.declaration import DuplicatesDeclaration
from arot_assets.duplicates.steps import duplicates_path, upstream_of
from arot_assets.metadata import COLUMN_SCHEMA, ROW_COUNT, column_schema, markdown_table
from arot_assets.whole import Metadata, whole_asset
from resources.compute import stays_here
from resources.defaults import Resources


def duplicates_assets(declaration: DuplicatesDeclaration) -> list[dg.AssetsDefinition]:
    """The asset of one declaration."""

    def work(resources: Resources, log: Logger) -> dg.MaterializeResult:
        from arot_assets.duplicates.build import SCHEMA, build_duplicates
        from arot_assets.duplicates.sheet import group_sheet

        name, why = "/".join(duplicates_path(declaration.dataset)), "a group reaches over any shards"
        for line in stays_here(resources.compute, name, why, "start the run where there are more cores"):
            log.info(line)
        found = build_duplicates(declaration, resources)
        resources.warehouse.refresh()
        log.info(f"{declaration.dataset}: {found.stay:,} of {found.samples:,} samples stay")
        metadata: Metadata = {
            ROW_COUNT: found.samples,
            "stay": found.stay,
            "edges": found.edges,
            "duplicates, by evidence": markdown_table(
                [{"evidence": k, "samples": n} for k, n in sorted(found.by_kind.items())]
            ),
            COLUMN_SCHEMA: column_schema(SCHEMA),
        }
        sheet = group_sheet(declaration.dataset, resources)
        if sheet:
            metadata["groups"] = dg.MetadataValue.md(sheet)
        return dg.MaterializeResult(metadata=metadata)

    order = f"`preference` of the model `{declaration.keep_by}`, then " if declaration.keep_by else ""
    stays = f"the first by {order}`{declaration.keep}`"
    asset = whole_asset(
        duplicates_path(declaration.dataset),
        upstream_of(declaration),
        work,
        group_name=declaration.dataset,
        kinds={"parquet"},
        owners=declaration.owners,
        description=f"Who shows the same as whom, with the evidence, and which one stays: {stays}. Every member of a group is "
        "a duplicate of the one that stays.",
        automation_condition=WHOLE,
    )
    return [asset]
