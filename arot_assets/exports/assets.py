"""The Dagster assets of exports: one for each, downstream of its subset.

Belongs here: declaring the asset and what the UI shows of it. The work is done by the other modules of the room.

They have no automation condition: users decide when to publish or export, with `arot publish`, `arot export` or the
button in the UI.
"""

import dagster as dg

from arot_assets.exports.declaration import HubDatasetDeclaration
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.steps import EXPORTS, export_path
from arot_assets.failures import fails_in_words
from arot_assets.local_paths import shown_source
from arot_assets.metadata import COLUMN_SCHEMA, ROW_COUNT, column_schema, markdown_table
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
MOST_SHOWN = 50
PLACE = "place"
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


def training_assets(declaration: ExportDeclaration) -> list[dg.AssetsDefinition]:
    """The asset of an export for trainers; it needs the resources ``storage``, ``tables`` and ``warehouse``.

    Args:
        declaration: what the user declared.
    """
    where = shown_source(declaration.destination) if declaration.destination else "the store"

    @dg.asset(
        key=export_key(declaration.name),
        deps=[model_key(subset) for subset in declaration.parts],
        group_name=GROUP,
        kinds={"file"},
        owners=declaration.owners,
        description=f"The subset `{declaration.subset}` in the layout `{declaration.layout}` for trainers, in {where}; written "
        f"only on request. {declaration.description}",
    )
    @fails_in_words
    def training(
        context: dg.AssetExecutionContext,
        storage: dg.ResourceParam[Storage],
        tables: dg.ResourceParam[Tables],
        warehouse: dg.ResourceParam[Warehouse],
    ) -> dg.MaterializeResult:
        from arot_assets.exports.build import export
        from arot_assets.exports.pages import bucket_page, caption_page

        done = export(declaration, load_project(sql_folder()), Resources(storage, tables, warehouse, Models()))
        receipt = done.receipt
        context.log.info(
            f"{declaration.name}: " + (f"version {receipt.version}" if done.changed else "nothing changed")
        )
        metadata: dict[str, dg.MetadataValue | dg.TableSchema | str | int | bool] = {
            ROW_COUNT: receipt.samples,
            "bytes": receipt.bytes,
            "version": receipt.version,
            PLACE: receipt.place,
            CHANGED: done.changed,
            LEFT_OUT: receipt.left_out,
            "mended or kept, by rule": markdown_table([{"rule": r, "samples": n} for r, n in receipt.noted.items()]),
            "left out, by rule": markdown_table(
                [{"sample": v.subject, "rule": v.rule, "because": v.text} for v in done.left_out[:MOST_SHOWN]]
            ),
        }
        for trainer, plan in done.plans.items():
            metadata[f"buckets of {trainer}"] = dg.MetadataValue.md(bucket_page(plan))
        captions = caption_page(tables, storage, declaration, receipt)
        if captions:
            metadata["captions"] = dg.MetadataValue.md(captions)
        return dg.MaterializeResult(data_version=dg.DataVersion(receipt.version), metadata=metadata)

    return [training]
