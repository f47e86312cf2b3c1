"""A documented column: of the samples of a medium, or of a metric table.

Belongs here: the declaration of one column, and the columns that every metric table has. Does not belong here: which
columns a table has.
"""

import builtins
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

PYTHON_TYPES: Mapping[builtins.type, pa.DataType] = {
    float: pa.float64(),
    int: pa.int64(),
    bool: pa.bool_(),
    str: pa.string(),
}
"""The Arrow type of each Python type."""


@dataclass(frozen=True, init=False)
class Column:
    """One documented column of a table.

    Attributes:
        name: snake_case, unique in its table. A column of a metric appears in ``<dataset>.wide`` as
            ``<metric>__<name>``.
        type: an Arrow type; Python's ``float``, ``int``, ``bool`` and ``str`` are accepted too (64 bits wide).
        description: what it means, with unit and range: shown in the UI and in DuckDB.
        low: the smallest value allowed, None for no limit. A check applies it to a metric's table.
        high: the largest value allowed, None for no limit.
        nullable: whether an ok row may be without a value; otherwise that is outside the range as well.
    """

    name: str
    type: pa.DataType
    description: str
    low: float | None = None
    high: float | None = None
    nullable: bool = False

    def __init__(
        self,
        name: str,
        type: pa.DataType | builtins.type,
        description: str,
        low: float | None = None,
        high: float | None = None,
        nullable: bool = False,
    ) -> None:
        if not isinstance(type, pa.DataType) and type not in PYTHON_TYPES:
            raise ValueError(
                f"column {name!r}: {type!r} is not a column type; use an Arrow type such as pa.float32(), "
                f"or {', '.join(t.__name__ for t in PYTHON_TYPES)}"
            )
        kind = type if isinstance(type, pa.DataType) else PYTHON_TYPES[type]
        fields = {
            "name": name,
            "type": kind,
            "description": description,
            "low": low,
            "high": high,
            "nullable": nullable,
        }
        for field_name, value in fields.items():
            object.__setattr__(self, field_name, value)  # frozen from here on

    def field(self) -> pa.Field:
        """The Arrow field; the description travels in its metadata."""
        return pa.field(self.name, self.type, metadata={"description": self.description})


RESERVED = ("sample_id", "status", "reason", "metric_version", "computed_at")
"""The columns of every metric table."""


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
