"""The Dagster door of duplicates: one asset for each declaration, made from all shards.

Belongs here: declaring the asset and what the UI shows of it. The work is done by ``build.py``.
"""

import dagster as dg

from arot_assets.automation import WHOLE
from arot_assets.duplicates.declaration import DuplicatesDeclaration
from arot_assets.duplicates.steps import duplicates_path, upstream_of
from arot_assets.failures import fails_in_words
from arot_assets.metadata import COLUMN_SCHEMA, ROW_COUNT, column_schema, markdown_table
from resources.models import Models
from resources.storage import Storage
from resources.tables import Tables
from resources.warehouse import Warehouse


def duplicates_key(dataset: str) -> dg.AssetKey:
    """The asset of a dataset's duplicates."""
    return dg.AssetKey(list(duplicates_path(dataset)))


def duplicates_assets(declaration: DuplicatesDeclaration) -> list[dg.AssetsDefinition]:
    """The asset of one declaration; it needs the resources ``storage``, ``tables``, ``warehouse`` and ``models``."""

    @dg.asset(
        key=duplicates_key(declaration.dataset),
        deps=[dg.AssetKey(list(path)) for path in upstream_of(declaration)],
        group_name=declaration.dataset,
        kinds={"parquet"},
        owners=declaration.owners,
        description="Who shows the same as whom, with the evidence, and which one stays: the first by "
        f"`{declaration.keep}`. Every member of a group is a duplicate of the one that stays.",
        automation_condition=WHOLE,
    )
    @fails_in_words
    def duplicates(
        context: dg.AssetExecutionContext,
        storage: dg.ResourceParam[Storage],
        tables: dg.ResourceParam[Tables],
        warehouse: dg.ResourceParam[Warehouse],
        models: dg.ResourceParam[Models],
    ) -> dg.MaterializeResult:
        from arot_assets.duplicates.build import SCHEMA, build_duplicates
        from arot_assets.duplicates.sheet import group_sheet
        from resources.defaults import Resources

        resources = Resources(storage, tables, warehouse, models)
        found = build_duplicates(declaration, resources)
        warehouse.refresh()
        context.log.info(f"{declaration.dataset}: {found.stay:,} of {found.samples:,} samples stay")
        metadata: dict[str, dg.MetadataValue | dg.TableSchema | int] = {
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

    return [duplicates]
