"""The Dagster asset that cuts the clips of a dataset: ``<dataset>/cut``.

Belongs here: declaring the asset and what the UI shows of it. The work is done by ``dataset.py``.
"""

from collections import Counter
from logging import Logger

import dagster as dg

from arot_assets.automation import WHOLE
from arot_assets.clips.dataset import ClipsDeclaration
from arot_assets.clips.steps import cut_path, upstream_of
from arot_assets.metadata import ROW_COUNT, markdown_table
from arot_assets.whole import whole_asset
from resources.defaults import Resources

MOST_SHOWN = 50


def clip_assets(declaration: ClipsDeclaration) -> list[dg.AssetsDefinition]:
    """The asset of one declaration: the clips' files and their table."""
    cutting = declaration.cutting

    def work(resources: Resources, log: Logger) -> dg.MaterializeResult:
        from arot_assets.clips.dataset import cut_dataset

        table = cut_dataset(resources, declaration)
        resources.warehouse.refresh()
        rows = table.select(["clip_id", "film", "status", "reason", "bytes", "frames_written"]).to_pylist()
        failed = [row for row in rows if row["status"] != "ok"]
        log.info(f"{declaration.name}: {len(rows) - len(failed):,} of {len(rows):,} clips")
        return dg.MaterializeResult(
            metadata={
                ROW_COUNT: len(rows),
                "bytes": sum(row["bytes"] or 0 for row in rows),
                "frames": sum(row["frames_written"] or 0 for row in rows),
                "statuses": markdown_table(
                    [{"status": k, "clips": n} for k, n in sorted(Counter(r["status"] for r in rows).items())]
                ),
                "no file, or not as planned": markdown_table(
                    [{"clip": r["clip_id"], "film": r["film"], "reason": r["reason"]} for r in failed[:MOST_SHOWN]]
                ),
            }
        )

    asset = whole_asset(
        cut_path(declaration.name),
        upstream_of(declaration),
        work,
        group_name=declaration.name,
        kinds={"ffmpeg"},
        description=f"The clips of `{cutting.model}` as files, cut out of `{cutting.films}` and proved: a row for each "
        "that was asked for, with the film and the span that it comes from.",
        automation_condition=WHOLE,
    )
    return [asset]
