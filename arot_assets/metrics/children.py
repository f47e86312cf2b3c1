"""The tables of media whose files have many stills: what one decode of a file fills, and metrics with a row for each
still.

Belongs here: those tables as ``MetricTable``, with their versions. Does not belong here: filling them
(``build_files.py``), what they hold (the medium).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from arot_assets.columns import Column, metric_schema
from arot_assets.media.medium import ChildTable, Medium
from arot_assets.media.wants import STILL, TABLES, Want
from arot_assets.metrics.metric import Metric, metric_version

if TYPE_CHECKING:
    from resources.models import Models

SAMPLE = "sample"
"""The grain of a table with one row a sample."""
FRAME = "frame"
"""The grain of a table with a row for each frame that was decoded."""
STILL_ROWS = "still"

POSITION = (
    Column("n", pa.int32(), "ordinal of the still's frame; null where a film failed"),
    Column("pts", pa.int64(), "when the still is shown, in units of samples.time_base"),
)
FRAME_POSITION = (
    Column("n", pa.int32(), "ordinal of the frame among those shown, from 0; null where a film failed"),
    Column("pts", pa.int64(), "when the frame is shown, in units of samples.time_base"),
)
PLACES = {"image": (STILL_ROWS, POSITION), "frames": (FRAME, FRAME_POSITION), "sound": (SAMPLE, ())}
"""What a metric sees of a film -> the grain of its table, and the columns that say where in the film a row is."""


@dataclass(frozen=True)
class FileTable:
    """A table of which one decode of a file makes all rows of that file.

    Attributes:
        name: the table.
        grain: what a row is.
        columns: of a row.
        version: of current rows.
        want: what of a file it is made from.
        metric: the metric that is measured on each still or frame, or on the sound; None for a table of the medium.
        description: for users.
    """

    name: str
    grain: str
    columns: tuple[Column, ...]
    version: str
    want: Want
    metric: Metric | None
    description: str

    def schema(self) -> pa.Schema:
        """The Arrow schema, with the columns of every metric table."""
        return metric_schema(self.columns)

    @property
    def has_ranges(self) -> bool:
        """Whether a column declares the range of its values."""
        return any(column.low is not None or column.high is not None for column in self.columns)


def is_conserved(table: FileTable) -> bool:
    """Whether it is known how many rows a file has: a still at least, each frame exactly. A film of one frame has no
    step."""
    return table.grain in (SAMPLE, FRAME, STILL_ROWS)


def file_tables(medium: Medium, metrics: Sequence[Metric], models: "Models") -> list[FileTable]:
    """The tables of a dataset of such a medium: the medium's own, and those of some metrics; loads no model."""
    own = [_of_medium(table, medium) for table in medium.tables]
    return [*own, *(_of_metric(metric, medium, models) for metric in metrics)]


def own_tables(medium: Medium) -> list[FileTable]:
    """The tables that a medium has by itself."""
    return [_of_medium(table, medium) for table in medium.tables]


def still_table(metric: Metric, version: str) -> FileTable:
    """The table of a metric that is computed from stored columns of stills."""
    return FileTable(metric.name, STILL_ROWS, (*POSITION, *metric.columns), version, STILL, metric, metric.description)


def _of_medium(table: ChildTable, medium: Medium) -> FileTable:
    version = metric_version(table.name, table.version, {}, "", medium.decoder)
    return FileTable(table.name, table.grain, table.columns, version, TABLES, None, table.description)


def _of_metric(metric: Metric, medium: Medium, models: "Models") -> FileTable:
    version = metric.metric_version(models.fingerprint(metric.model) if metric.model else "", medium.decoder)
    grain, place = PLACES[metric.want.kind]
    columns = (*place, *metric.columns)
    return FileTable(metric.name, grain, columns, version, metric.want, metric, metric.description)
