"""The scores of one shard as a unit of work that any engine runs.

Belongs here: from a declaration to the builders of tables. Does not belong here: which model scores (``promotion.py``), where
units run (``resources.compute``).
"""

from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.entry import score_metric
from arot_assets.datasets.presence import Shards
from arot_assets.datasets.turns import Unit
from arot_assets.metrics.build import build_metrics
from arot_assets.metrics.build_files import build_files
from arot_assets.metrics.rows import build_rows
from arot_assets.metrics.table_builder import MetricResult
from resources.models import Models
from resources.models.entry import ModelError
from resources.storage import Storage
from resources.warehouse import Warehouse


def build_scores(
    storage: Storage,
    warehouse: Warehouse,
    models: Models,
    declaration: ClassifierDeclaration,
    dataset: str,
    shards: Shards,
    unit: Unit,
) -> MetricResult:
    """Score a shard of a dataset with the promoted model, which this process looks up itself.

    Raises:
        ModelError: the model cannot be used.
        TablesError: the table of vectors that it takes has no file for this shard.
        StorageError: the store cannot be written.
    """
    metric = score_metric(warehouse.tables, declaration)
    if metric.rows is not None:
        result = build_rows(warehouse, models, dataset, unit.shard, [metric], shards=shards)[metric.name]
    else:
        files = declaration.files_of_dataset(dataset)
        if files.medium.tables:
            built = build_files(storage, warehouse, models, files, unit.shard, [metric], own=False, shards=shards)
        else:
            built = build_metrics(storage, warehouse, models, files, unit.shard, [metric], shards=shards)
        result = built[metric.name]
    if result.error:
        raise ModelError(result.error)
    return result
