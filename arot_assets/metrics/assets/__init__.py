"""The Dagster assets of metrics: for each dataset one step for all metrics that see pixels, so that they share one decode; beside
it one for the metrics of stored columns that read the same tables.

Belongs here: which steps a dataset has. Each is declared in a file of its own; the work is done by the other modules of the room.
"""

import dagster as dg

from arot_assets.datasets.declaration import DatasetDeclaration
from arot_assets.metrics.assets.files import file_asset
from arot_assets.metrics.assets.pixels import pixel_asset
from arot_assets.metrics.assets.rows import row_asset
from arot_assets.metrics.metric import Metric
from arot_assets.metrics.registry import get_metric
from resources.models import Models


def metric_assets(declaration: DatasetDeclaration, models: Models) -> list[dg.AssetsDefinition]:
    """The metric tables of one dataset; none when it declares no metric.

    Args:
        declaration: the dataset.
        models: the resource that runs use; settings that affect the numbers go into the code versions.
    """
    metrics = [get_metric(name) for name in declaration.metrics]
    seeing = [m for m in metrics if m.rows is None]
    by_tables: dict[tuple[str, ...], list[Metric]] = {}
    for metric in metrics:
        if metric.rows is not None:
            by_tables.setdefault(metric.rows.tables, []).append(metric)
    if declaration.medium.tables:
        of_files = [file_asset(declaration, seeing, models)]
    else:
        of_files = [pixel_asset(declaration, seeing, models)] if seeing else []
    return [
        *of_files,
        *(row_asset(declaration.name, declaration.owners, of_tables, models) for of_tables in by_tables.values()),
    ]
