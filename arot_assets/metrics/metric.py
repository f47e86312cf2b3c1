"""What a metric is: a name, a version, documented columns, and one function.

Belongs here: the declaration of a metric and the version that its rows carry.
Does not belong here: any measurement (``catalogue/``), and how images reach it (``one_pass.py``).
This module is imported by every Dagster process, so it must stay light: no torch, cv2 or numba.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from arot_assets.columns import Column
from arot_assets.media.medium import STILL, Want

if TYPE_CHECKING:
    import numpy as np

    from arot_assets.media.image.view import Image

__all__ = ["Column", "Metric", "Row", "image_metric", "metric_schema", "metric_version"]

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Metric:
    """A table of measurements, one row per sample.

    Give exactly one of ``compute`` (a function of one image) and ``model`` (a catalogue model; ``from_outputs`` turns what it
    returns for a batch into rows).

    Attributes:
        name: the table: ``<dataset>.<name>``.
        version: the version of the code. Change it when values change: all rows are then computed again.
        description: one or two sentences for users.
        columns: the columns of a row, in order.
        compute: ``Image -> {column: value}``. Called in decoding threads, so it should release the GIL where it can.
        model: a name in the catalogue of ``resources.models``.
        from_outputs: ``{output: float32 [N, ...]} -> N rows``; for ``model`` metrics.
        params: JSON-able settings that change the values.
        takes: what of a file it sees.
    """

    name: str
    version: str
    description: str
    columns: tuple[Column, ...]
    compute: "Callable[[Image], Row] | None" = None
    model: str | None = None
    from_outputs: "Callable[[Mapping[str, np.ndarray]], Sequence[Row]] | None" = None
    params: Mapping[str, Any] = field(default_factory=dict)
    takes: Want = STILL

    def __post_init__(self) -> None:
        if (self.compute is None) == (self.model is None):
            raise ValueError(f"metric {self.name!r}: give exactly one of compute and model")
        if (self.model is None) != (self.from_outputs is None):
            raise ValueError(
                f"metric {self.name!r}: a metric with a model needs from_outputs, and no other metric may have it"
            )
        taken = [c.name for c in self.columns if c.name in RESERVED] + sorted(
            {c.name for c in self.columns if [x.name for x in self.columns].count(c.name) > 1}
        )
        if taken:
            raise ValueError(f"metric {self.name!r}: column names {taken} are reserved or repeated")

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


RESERVED = ("sample_id", "status", "reason", "metric_version", "computed_at")


def metric_schema(columns: Sequence[Column]) -> pa.Schema:
    """The schema of a metric table: identity and status, the metric's columns, provenance."""
    before = (
        Column("sample_id", str, "first 32 hex digits of the SHA-256 of the bytes"),
        Column("status", str, "ok | failed"),
        Column("reason", str, "why it failed, null when ok"),
    )
    after = (
        Column("metric_version", str, "hash of code version, parameters and model"),
        Column("computed_at", pa.timestamp("us", tz="UTC"), "when this row was computed, UTC"),
    )
    return pa.schema([column.field() for column in (*before, *columns, *after)])


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
