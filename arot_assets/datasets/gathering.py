"""Rows of columns that came in many chunks, as listings and inventories do.

Belongs here: taking rows without putting the chunks together. Arrow's own ``take`` does that first, each time: it cannot with a
column of 2 GiB of text, and rows of a listing that are looked up batch by batch would cost the square of its length.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Rows = NDArray[np.int64]
AT_ONCE = 1_000_000
"""Rows in one piece: their addresses are far from the 2 GiB that an Arrow array of text can hold."""


def slices(rows: int) -> Iterator[slice]:
    """All rows, ``AT_ONCE`` at a time."""
    for start in range(0, rows, AT_ONCE):
        yield slice(start, min(start + AT_ONCE, rows))


def take(column: pa.ChunkedArray, rows: Rows) -> pa.Array:
    """Some rows of a column, in this order.

    Args:
        column: in any number of chunks.
        rows: int64 [N], at most ``AT_ONCE``.
    """
    if not len(rows):
        return pa.array([], column.type)
    if column.num_chunks == 1:
        return column.chunk(0).take(pa.array(rows))
    starts = np.cumsum([0, *(len(chunk) for chunk in column.chunks)])
    of_chunk = np.searchsorted(starts, rows, side="right") - 1
    order = np.argsort(of_chunk, kind="stable")
    numbers, ends = np.unique(of_chunk[order], return_index=True)
    parts = [
        column.chunk(int(number)).take(pa.array(rows[those] - starts[number]))
        for number, those in zip(numbers, np.split(order, ends[1:]), strict=True)
    ]
    together = pa.concat_arrays(parts)
    if (order[1:] > order[:-1]).all():
        return together
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return together.take(pa.array(places))


def take_rows(table: pa.Table, rows: Rows) -> pa.Table:
    """Any number of rows of a table, in this order, in chunks of at most ``AT_ONCE``."""
    return pa.table(
        [
            pa.chunked_array([take(column, rows[some]) for some in slices(len(rows))], column.type)
            for column in table.columns
        ],
        schema=table.schema,
    )
