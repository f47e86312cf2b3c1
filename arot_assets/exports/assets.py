"""The Dagster assets of exports: one for each, downstream of its subset.

Belongs here: declaring the asset and what the UI shows of it. The work is done by the other modules of the room.

It has no automation condition: users decide when to publish, with `arot publish` or the button in the UI.
"""

import dagster as dg

from arot_assets.exports.declaration import HubDatasetDeclaration
from arot_assets.exports.steps import EXPORTS, export_path
from arot_assets.failures import fails_in_words
from arot_assets.metadata import COLUMN_SCHEMA, ROW_COUNT, column_schema
from arot_assets.project import sql_folder
from arot_assets.subsets.assets import model_key
from arot_assets.subsets.load import load_project
from resources.defaults import Resources
from resources.models import Models
from resources.storage import Storage
from resources.tables import Tables
from resources.warehouse import Warehouse

GROUP = EXPORTS
SHEET_COLUMNS = 8
CHANGED, COMMIT_URL, LEFT_OUT, BYTES = "changed", "commit page", "left out", "bytes of originals"


def export_key(name: str) -> dg.AssetKey:
    """The asset of an export."""
    return dg.AssetKey(list(export_path(name)))


def export_assets(declaration: HubDatasetDeclaration) -> list[dg.AssetsDefinition]:
    """The asset of one export; it needs the resources ``storage``, ``tables`` and ``warehouse``.

    Args:
        declaration: what the user declared.
    """

    @dg.asset(
        key=export_key(declaration.name),
        deps=[model_key(declaration.subset)],
        group_name=GROUP,
        kinds={"huggingface"},
        owners=declaration.owners,
        description=f"The subset `{declaration.subset}` as the dataset `{declaration.repo}` on the Hugging Face Hub; "
        f"published only on request. {declaration.description}",
    )
    @fails_in_words
    def export(
        context: dg.AssetExecutionContext,
        storage: dg.ResourceParam[Storage],
        tables: dg.ResourceParam[Tables],
        warehouse: dg.ResourceParam[Warehouse],
    ) -> dg.MaterializeResult:
        from arot_assets.exports.publish import publish

        resources = Resources(storage, tables, warehouse, Models())
        done = publish(declaration, load_project(sql_folder()), resources)
        context.log.info(f"{declaration.name}: " + (f"published, {done.url}" if done.changed else "nothing changed"))
        metadata: dict[str, dg.MetadataValue | dg.TableSchema | str | int | bool] = {
            ROW_COUNT: done.rows,
            BYTES: done.file_bytes,
            LEFT_OUT: done.left_out,
            CHANGED: done.changed,
            "commit": done.commit,
            COMMIT_URL: dg.MetadataValue.url(done.url),
            COLUMN_SCHEMA: column_schema(done.schema),
        }
        if done.posters:
            from arot_assets.drawing import contact_sheet, data_uri

            sheet = contact_sheet(done.posters, columns=SHEET_COLUMNS)
            metadata["contact sheet"] = dg.MetadataValue.md(f"![contact sheet]({data_uri(sheet)})")
        return dg.MaterializeResult(data_version=dg.DataVersion(done.digest), metadata=metadata)

    return [export]
