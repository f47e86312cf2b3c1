"""The Dagster assets of exports: one for each, downstream of its subset.

Belongs here: declaring the asset and what the UI shows of it. The work is done by the other modules of the room.

They have no automation condition: users decide when to publish or export, with `arot publish`, `arot export` or the
button in the UI.
"""

from logging import Logger

import dagster as dg

from arot_assets.exports.declaration import HubDatasetDeclaration
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.steps import EXPORTS, export_path
from arot_assets.local_paths import shown_source
from arot_assets.metadata import COLUMN_SCHEMA, ROW_COUNT, column_schema, markdown_table
from arot_assets.project import sql_folder
from arot_assets.subsets.load import load_project
from arot_assets.subsets.steps import model_path
from arot_assets.whole import Metadata, whole_asset
from resources.compute import stays_here
from resources.defaults import Resources

GROUP = EXPORTS
SHEET_COLUMNS = 8
MOST_SHOWN = 50
PLACE = "place"
CHANGED, COMMIT_URL, LEFT_OUT, BYTES = "changed", "commit page", "left out", "bytes of originals"


def _tell(resources: Resources, name: str, why: str, log: Logger) -> None:
    for line in stays_here(resources.compute, f"{EXPORTS}/{name}", why) if why else ():
        log.info(line)


def export_assets(declaration: HubDatasetDeclaration) -> list[dg.AssetsDefinition]:
    """The asset of one dataset on the Hub."""

    def work(resources: Resources, log: Logger) -> dg.MaterializeResult:
        from arot_assets.exports.publish import publish

        _tell(resources, declaration.name, "a commit on the Hub is made by one process", log)
        done = publish(declaration, load_project(sql_folder()), resources)
        log.info(f"{declaration.name}: " + (f"published, {done.url}" if done.changed else "nothing changed"))
        metadata: Metadata = {
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

    asset = whole_asset(
        export_path(declaration.name),
        [model_path(declaration.subset)],
        work,
        group_name=GROUP,
        kinds={"huggingface"},
        owners=declaration.owners,
        description=f"The subset `{declaration.subset}` as the dataset `{declaration.repo}` on the Hugging Face Hub; "
        f"published only on request. {declaration.description}",
    )
    return [asset]


def training_assets(declaration: ExportDeclaration) -> list[dg.AssetsDefinition]:
    """The asset of an export for trainers."""
    where = shown_source(declaration.destination) if declaration.destination else "the store"

    def work(resources: Resources, log: Logger) -> dg.MaterializeResult:
        from arot_assets.exports.build import export
        from arot_assets.exports.destinations.choice import destination_of
        from arot_assets.exports.pages import bucket_page, caption_page, resolution_page
        from arot_assets.exports.resolutions import MOST_COMPARED, resolutions_of

        _tell(resources, declaration.name, destination_of(declaration, resources).only_here(), log)
        done = export(declaration, load_project(sql_folder()), resources)
        receipt = done.receipt
        log.info(f"{declaration.name}: " + (f"version {receipt.version}" if done.changed else "nothing changed"))
        metadata: Metadata = {
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
        if done.mix:
            metadata["mix"] = markdown_table(done.mix)
        for trainer, plan in done.plans.items():
            metadata[f"buckets of {trainer}"] = dg.MetadataValue.md(bucket_page(plan))
        if receipt.medium == "image" and receipt.samples <= MOST_COMPARED:
            for one in done.selection.trainers:
                compared = resolution_page(resolutions_of(declaration, done.selection, one))
                metadata[f"resolutions for {one.name}"] = dg.MetadataValue.md(compared)
        captions = caption_page(resources.tables, resources.storage, declaration, receipt)
        if captions:
            metadata["captions"] = dg.MetadataValue.md(captions)
        return dg.MaterializeResult(data_version=dg.DataVersion(receipt.version), metadata=metadata)

    asset = whole_asset(
        export_path(declaration.name),
        [model_path(subset) for subset in declaration.parts],
        work,
        group_name=GROUP,
        kinds={"file"},
        owners=declaration.owners,
        description=f"The subset `{declaration.subset}` in the layout `{declaration.layout}` for trainers, in {where}; written "
        f"only on request. {declaration.description}",
    )
    return [asset]
