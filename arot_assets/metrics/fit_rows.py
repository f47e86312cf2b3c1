"""Whether the columns that a function of rows gives fit those that the metric declares.

Belongs here: calling such a function so that a row that it cannot compute fails alone, and taking its columns to the declared
types without loss. Does not belong here: single rows (``fit.py``, whose rules these are), what is read and written (``rows.py``).
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.metrics.fit import Misfit, fitted
from arot_assets.metrics.metric import ColumnsOfRows, Metric
from resources.errors import ArotError

REASON = "reason"


def computed_rows(metric: Metric, compute: Callable[[pa.Table], ColumnsOfRows], inputs: pa.Table) -> pa.Table:
    """What a metric makes of some rows: its columns, and ``reason`` (null for good rows).

    If its function fails, the halves are computed apart, so that a row that it cannot compute fails alone.

    Args:
        metric: says which columns there must be.
        compute: its function of rows.
        inputs: what that takes; every row is there.
    """
    count = inputs.num_rows
    try:
        given = dict(compute(inputs))
        reasons = _reasons(metric, given.pop(REASON, None), count)
        _complete(metric, given, count)
    except Misfit as error:  # no row is at fault
        return _failed(metric, count, str(error))
    except ArotError:  # a model or a table that cannot be used: no row is at fault, and it ends the run
        raise
    except Exception as error:  # a function that fails on one row fails one row
        if count == 1:
            return _failed(metric, count, f"{type(error).__name__}: {error}")
        halves = (inputs.slice(0, count // 2), inputs.slice(count // 2))
        return pa.concat_tables([computed_rows(metric, compute, half) for half in halves]).combine_chunks()
    try:
        columns = [_column(given[column.name], column.type) for column in metric.columns]
    except (ValueError, TypeError, OverflowError, pa.ArrowException):
        return _one_by_one(metric, given, reasons)
    good = pc.is_null(reasons)
    columns = [
        pc.if_else(good, column, pa.scalar(None, column.type)) if reasons.null_count < count else column
        for column in columns
    ]
    return pa.table([*columns, reasons], names=[*(column.name for column in metric.columns), REASON])


def _failed(metric: Metric, count: int, reason: str) -> pa.Table:
    columns = [pa.nulls(count, column.type) for column in metric.columns]
    names = [*(column.name for column in metric.columns), REASON]
    return pa.table([*columns, pa.array([reason] * count, pa.string())], names=names)


def _reasons(metric: Metric, given: Any, count: int) -> pa.Array:
    reasons = pa.nulls(count, pa.string()) if given is None else _arrow(given).cast(pa.string())
    if len(reasons) != count:
        raise Misfit(f"metric {metric.name!r} returned {len(reasons)} reasons for {count} rows")
    return reasons


def _complete(metric: Metric, given: Mapping[str, Any], count: int) -> None:
    """Make sure that the declared columns are there, and one value of each for every row."""
    declared = {column.name for column in metric.columns}
    if given.keys() != declared:
        missing, unknown = sorted(declared - given.keys()), sorted(given.keys() - declared)
        raise Misfit(
            f"metric {metric.name!r} must return the columns that it declares: missing {missing}, not declared {unknown}"
        )
    for name, values in given.items():
        if len(values) != count:
            raise Misfit(f"column {metric.name}.{name} has {len(values)} values for {count} rows")


def _arrow(values: Any) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        return values.combine_chunks()
    return values if isinstance(values, pa.Array) else pa.array(values)


def _column(values: Any, kind: pa.DataType) -> pa.Array:
    """A column of the declared type, without loss.

    Raises:
        ValueError, TypeError, OverflowError, pa.ArrowException: some value does not fit.
    """
    if isinstance(values, np.ndarray) and values.ndim == 2 and pa.types.is_fixed_size_list(kind):
        if values.shape[1] != kind.list_size:
            raise ValueError(f"{values.shape[1]} values, not {kind.list_size}")
        return pa.FixedSizeListArray.from_arrays(_column(values.reshape(-1), kind.value_type), type=kind)
    array = _arrow(values)
    if array.type == kind:
        return array
    source = array.type
    numeric = pa.types.is_floating(source) or pa.types.is_integer(source)
    wanted = pa.types.is_floating(kind) or pa.types.is_integer(kind)
    if not (numeric and wanted) and not pa.types.is_null(source) and not pa.types.is_nested(source):
        raise TypeError(f"{source} is no {kind}")
    cast = array.cast(kind)
    if pa.types.is_floating(source) and pa.types.is_floating(kind):
        large = pc.and_(pc.is_finite(array), pc.invert(pc.is_finite(cast)))
        if pc.any(large).as_py():
            raise OverflowError("too large")
    return cast


def _one_by_one(metric: Metric, given: Mapping[str, Any], reasons: pa.Array) -> pa.Table:
    """The same rows, each by the rules of one row: those that do not fit fail."""
    names = [column.name for column in metric.columns]
    columns = [_values(given[name]) for name in names]
    made: list[dict[str, Any]] = []
    for reason, *values in zip(reasons.to_pylist(), *columns, strict=True):
        if reason is not None:
            made.append({REASON: reason})
            continue
        try:
            made.append({**fitted(metric, dict(zip(names, values, strict=True))), REASON: None})
        except Misfit as misfit:
            made.append({REASON: str(misfit)})
    schema = pa.schema(
        [*(pa.field(column.name, column.type) for column in metric.columns), pa.field(REASON, pa.string())]
    )
    return pa.Table.from_pylist(made, schema=schema)


def _values(values: Any) -> list[Any]:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return list(values.to_pylist())
    if isinstance(values, np.ndarray) and values.ndim == 1:
        return list(values.tolist())
    return list(values)
