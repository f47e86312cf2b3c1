"""Whether the values of a row fit their columns.

Belongs here: checking one row against the declared columns, so that a mistake is one failed row that names the column, never a
null, a truncated number or the end of a shard. Does not belong here: ranges (values outside are kept and counted,
``table_builder.py``).
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from arot_assets.metrics.metric import Column, Metric, Row

SHOWN = 40
"""Characters of a value that a reason shows."""


class Misfit(ValueError):
    """A row that does not fit its metric's columns; the message names the column."""


def fitted(metric: Metric, row: Row) -> dict[str, Any]:
    """The row, with values that Arrow accepts unchanged.

    Raises:
        Misfit: undeclared or missing columns, or a value that does not fit its column.
    """
    declared = {column.name for column in metric.columns}
    if row.keys() != declared:
        missing, unknown = sorted(declared - row.keys()), sorted(row.keys() - declared)
        raise Misfit(
            f"metric {metric.name!r} must return the columns that it declares: missing {missing}, not declared {unknown}"
        )
    return {column.name: _fitted(metric, column, row[column.name]) for column in metric.columns}


def _fitted(metric: Metric, column: Column, value: Any) -> Any:
    try:
        return _value(value, column.type)
    except (ValueError, TypeError, OverflowError, pa.ArrowException) as error:
        shown = repr(value)
        shown = shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}…"
        raise Misfit(f"column {metric.name}.{column.name} is {column.type}, which can't hold {shown}") from error


def _value(value: Any, kind: pa.DataType) -> Any:
    """The value as Arrow accepts it for this type; null stays null."""
    if value is None:
        return None
    if pa.types.is_boolean(kind):
        if not isinstance(value, bool | np.bool_):
            raise TypeError
        return bool(value)
    if pa.types.is_integer(kind):
        return _integer(value, kind)
    if pa.types.is_floating(kind):
        return _number(value, kind)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _list(value, kind)
    if pa.types.is_struct(kind):
        fields = {field.name: field.type for field in kind}
        if not isinstance(value, Mapping) or value.keys() != fields.keys():
            raise TypeError
        return {name: _value(value[name], inner) for name, inner in fields.items()}
    return pa.scalar(value, kind).as_py()


def _integer(value: Any, kind: pa.DataType) -> int:
    if isinstance(value, str | bytes | bool | np.bool_):
        raise TypeError
    whole = int(value)
    if whole != value:
        raise ValueError
    return int(pa.scalar(whole, kind).as_py())


def _number(value: Any, kind: pa.DataType) -> float:
    if isinstance(value, str | bytes | bool | np.bool_):
        raise TypeError
    number = float(value)
    if math.isfinite(number) and abs(number) > float(np.finfo(kind.to_pandas_dtype()).max):
        raise OverflowError
    return number


def _list(value: Any, kind: Any) -> Any:
    inner = kind.value_type
    if isinstance(value, str | bytes | Mapping):
        raise TypeError
    if pa.types.is_fixed_size_list(kind) and len(value) != kind.list_size:
        raise ValueError
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype == inner.to_pandas_dtype():
        return value
    return [_value(one, inner) for one in value]
