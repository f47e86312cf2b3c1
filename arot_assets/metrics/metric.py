"""What a metric is: a name, a version, documented columns, and one function.

Belongs here: the declaration of a metric and the version that its rows carry.
Does not belong here: any measurement (``catalogue/``), how images reach it (``one_pass.py``), and how stored columns do
(``rows.py``).
This module is imported by every Dagster process, so it must stay light: no torch, cv2 or numba.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from arot_assets.columns import RESERVED, Column, metric_schema
from arot_assets.media.wants import STILL, Want
from arot_assets.names import NAME

if TYPE_CHECKING:
    import numpy as np

    from arot_assets.media.image.view import Image

__all__ = [
    "Column",
    "Metric",
    "Row",
    "Rows",
    "image_metric",
    "metric_schema",
    "metric_version",
    "row_metric",
    "rows",
]

Row = Mapping[str, Any]
ColumnsOfRows = Mapping[str, Any]
"""Column -> N values: a NumPy array ``[N, ...]``, an Arrow array or a list."""


@dataclass(frozen=True)
class Rows:
    """Columns of other tables of the same dataset, which a metric is a function of.

    Attributes:
        columns: ``table.column`` each. The table is a metric, a classifier or ``samples``.
    """

    columns: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.columns:
            raise ValueError("rows() takes one column or more, such as 'embedding.vector'")
        for column in self.columns:
            parts = column.split(".")
            if len(parts) != 2 or not all(NAME.fullmatch(part) for part in parts):
                raise ValueError(f"rows({column!r}): a column is named with its table, such as 'embedding.vector'")

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables, each once, in the order in which they are first named."""
        return tuple(dict.fromkeys(column.split(".")[0] for column in self.columns))

    def of(self, table: str) -> list[str]:
        """The columns of one table, without its name."""
        return [name for column in self.columns if (name := column.removeprefix(f"{table}.")) != column]


def rows(*columns: str) -> Rows:
    """What a metric takes that is computed from stored columns: ``rows("embedding.vector", "samples.caption")``."""
    return Rows(columns)


@dataclass(frozen=True)
class Metric:
    """A table of measurements, one row per sample.

    Give exactly one of ``compute`` (a function of one image), ``compute_rows`` (a function of stored columns) and ``model`` (a
    catalogue model; ``from_outputs`` turns what it returns for a batch into rows).

    Attributes:
        name: the table: ``<dataset>.<name>``.
        version: the version of the code. Change it when values change: all rows are then computed again.
        description: one or two sentences for users.
        columns: the columns of a row, in order.
        compute: ``Image -> {column: value}``. Called in decoding threads, so it should release the GIL where it can.
        model: a name in the catalogue of ``resources.models``.
        from_outputs: ``{output: float32 [N, ...]} -> N rows``; for ``model`` metrics.
        params: JSON-able settings that change the values.
        takes: what of a file it sees; or ``rows(…)``, the stored columns that it is computed from, without any decode.
        compute_rows: ``table -> {column: N values}`` for a table of N rows, whose columns are named as in ``takes``. A row must
            depend on its own inputs alone. The key ``reason`` may give N texts: rows with one fail, null marks the good.
    """

    name: str
    version: str
    description: str
    columns: tuple[Column, ...]
    compute: "Callable[[Image], Row] | None" = None
    model: str | None = None
    from_outputs: "Callable[[Mapping[str, np.ndarray]], Sequence[Row]] | None" = None
    params: Mapping[str, Any] = field(default_factory=dict)
    takes: Want | Rows = STILL
    compute_rows: "Callable[[pa.Table], ColumnsOfRows] | None" = None

    def __post_init__(self) -> None:
        given = [x for x in (self.compute, self.compute_rows, self.model) if x is not None]
        if len(given) != 1:
            raise ValueError(f"metric {self.name!r}: give exactly one of compute, compute_rows and model")
        if (self.compute_rows is not None and self.rows is None) or (
            self.compute is not None and self.rows is not None
        ):
            raise ValueError(f"metric {self.name!r}: compute_rows goes with takes=rows(…), compute with an image")
        if (self.model is None) != (self.from_outputs is None):
            raise ValueError(
                f"metric {self.name!r}: a metric with a model needs from_outputs, and no other metric may have it"
            )
        taken = [c.name for c in self.columns if c.name in RESERVED] + sorted(
            {c.name for c in self.columns if [x.name for x in self.columns].count(c.name) > 1}
        )
        if taken:
            raise ValueError(f"metric {self.name!r}: column names {taken} are reserved or repeated")

    @property
    def rows(self) -> Rows | None:
        """The stored columns that it is computed from; None if it sees files."""
        return self.takes if isinstance(self.takes, Rows) else None

    @property
    def want(self) -> Want:
        """What of a file it sees.

        Raises:
            TypeError: it is computed from stored columns.
        """
        if isinstance(self.takes, Rows):
            raise TypeError(f"metric {self.name!r} is computed from stored columns: it sees no file")
        return self.takes

    def schema(self) -> pa.Schema:
        """The Arrow schema of the metric's table, with descriptions in the field metadata."""
        return metric_schema(self.columns)

    def metric_version(self, model_fingerprint: str = "", decoder: str = "") -> str:
        """The 12 hex digits that mark a row as current.

        Args:
            model_fingerprint: revision or file hash and preprocessing of the model, empty without one.
            decoder: of the pixels (``Medium.decoder``).
        """
        return metric_version(self.name, self.version, self.params, model_fingerprint, decoder)


def metric_version(
    name: str, version: str, params: Mapping[str, Any], model_fingerprint: str = "", decoder: str = ""
) -> str:
    """Hash (12 hex digits) of everything that the values of a metric depend on."""
    parts: list[Any] = [name, version, dict(params), model_fingerprint]
    if decoder:  # versions without one are those of before it was counted
        parts.append(decoder)
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def image_metric(
    *, version: str, columns: Sequence[Column], params: Mapping[str, Any] | None = None
) -> "Callable[[Callable[[Image], Row]], Metric]":
    """Turn a function of one image into a metric: the function's name is the table's, its docstring is the description.

    Example:
        >>> @image_metric(version="1", columns=[Column("mean", pa.float32(), "mean gray level, 0-255", 0, 255)])
        ... def brightness(image):
        ...     \"\"\"How bright the image is.\"\"\"
        ...     return {"mean": image.gray.mean()}
    """

    def declare(compute: "Callable[[Image], Row]") -> Metric:
        description = " ".join((compute.__doc__ or "").split())
        return Metric(compute.__name__, version, description, tuple(columns), compute=compute, params=params or {})

    return declare


def row_metric(
    *, takes: Rows, version: str, columns: Sequence[Column], params: Mapping[str, Any] | None = None
) -> "Callable[[Callable[[pa.Table], ColumnsOfRows]], Metric]":
    """Turn a function of stored columns into a metric: the function's name is the table's, its docstring is the description.

    Example:
        >>> @row_metric(takes=rows("cv2.brightness"), version="1", columns=[Column("dark", bool, "brightness below 40")])
        ... def darkness(table):
        ...     \"\"\"Whether the image is dark.\"\"\"
        ...     return {"dark": pc.less(table["cv2.brightness"], 40)}
    """

    def declare(compute_rows: "Callable[[pa.Table], ColumnsOfRows]") -> Metric:
        description = " ".join((compute_rows.__doc__ or "").split())
        return Metric(
            compute_rows.__name__,
            version,
            description,
            tuple(columns),
            params=params or {},
            takes=takes,
            compute_rows=compute_rows,
        )

    return declare
