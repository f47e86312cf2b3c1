"""The tables of one shard as a unit of work that any engine runs.

Belongs here: from what a unit names to the builders. Does not belong here: the builders (``build.py``, ``build_files.py``,
``rows.py``), the order of units (``datasets.turns``), where they run (``resources.compute``).
"""

from typing import TYPE_CHECKING

from arot_assets.datasets.declaration import DatasetDeclaration
from arot_assets.datasets.presence import Shards
from arot_assets.datasets.turns import Unit
from arot_assets.metrics.build import build_metrics
from arot_assets.metrics.build_files import build_files
from arot_assets.metrics.children import FileTable
from arot_assets.metrics.metric import Metric
from arot_assets.metrics.registry import get_metric
from arot_assets.metrics.rows import build_rows
from arot_assets.metrics.table_builder import MetricResult
from resources.storage import Storage
from resources.warehouse import Warehouse

if TYPE_CHECKING:
    from resources.models import Models


def build_metric_unit(
    storage: Storage,
    warehouse: Warehouse,
    models: "Models",
    declaration: DatasetDeclaration,
    retry: str | None,
    shards: Shards,
    unit: Unit,
) -> dict[str, MetricResult]:
    """``build_metrics`` for the metrics that a unit names, which this process looks up itself."""
    metrics = [get_metric(name) for name in unit.names]
    return build_metrics(storage, warehouse, models, declaration, unit.shard, metrics, retry=retry, shards=shards)


def build_file_unit(
    storage: Storage,
    warehouse: Warehouse,
    models: "Models",
    declaration: DatasetDeclaration,
    retry: str | None,
    shards: Shards,
    unit: Unit,
) -> dict[str, MetricResult]:
    """``build_files`` for the tables that a unit names: metrics, and the medium's own if it names one."""
    metrics = [get_metric(name) for name in unit.names if name in declaration.metrics]
    own = len(metrics) < len(unit.names)
    return build_files(storage, warehouse, models, declaration, unit.shard, metrics, own, retry, shards=shards)


def build_row_unit(
    warehouse: Warehouse, models: "Models", dataset: str, retry: str | None, shards: Shards, unit: Unit
) -> dict[str, MetricResult]:
    """``build_rows`` for the metrics that a unit names, which this process looks up itself."""
    metrics = [get_metric(name) for name in unit.names]
    return build_rows(warehouse, models, dataset, unit.shard, metrics, retry=retry, shards=shards)


def model_of(table: Metric | FileTable) -> str:
    """The model behind a table; empty without one."""
    metric = table.metric if isinstance(table, FileTable) else table
    return (metric.model or "") if metric is not None else ""
