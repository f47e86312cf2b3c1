"""Stored vectors as NumPy arrays.

Belongs here: taking a column of vectors out of Arrow without copying it. Does not belong here: what is computed of them.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

VECTOR = "vector"
"""The column of a table of embeddings."""


def vectors_of(column: pa.ChunkedArray | pa.Array) -> NDArray[Any]:
    """``[N, D]`` of the stored type (float16 or float32), for a column of lists of one length without nulls.

    It shows the column's own memory, which is read-only, where that lies in one piece.

    Raises:
        ValueError: the lists differ in length, or a row has none.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if array.null_count:
        raise ValueError(f"{array.null_count} of {len(array)} rows have no vector")
    flat: NDArray[Any] = array.flatten().to_numpy(zero_copy_only=False)
    if pa.types.is_fixed_size_list(array.type):
        return flat.reshape(len(array), array.type.list_size)
    lengths = np.unique(array.value_lengths().to_numpy())
    if len(lengths) > 1:
        raise ValueError(f"vectors of {len(lengths)} different lengths: {lengths[:5].tolist()}")
    return flat.reshape(len(array), int(lengths[0]) if len(lengths) else 0)
