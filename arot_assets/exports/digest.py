"""A digest of columns of values that does not depend on how they are split into batches.

Belongs here: feeding Arrow arrays to a hash. Does not belong here: which columns count (``rows.py``).

Each part of a column (which values are present, their lengths, their bytes) has its own hash, which every batch
continues to feed. So neither the boundaries between batches nor the bytes under a null affect the result.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class ColumnsDigest:
    """The running digest of a table.

    Attributes:
        size: bytes of values so far, also independent of the batches.
    """

    def __init__(self) -> None:
        self._hashes: dict[str, Any] = {}
        self.size = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Feed the next rows; every batch has the same columns."""
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            self._feed(name, column)

    def hexdigest(self, *settings: str) -> str:
        """64 hex digits over all rows so far and these settings."""
        whole = hashlib.sha256(repr(settings).encode())
        for path, one in sorted(self._hashes.items()):
            whole.update(f"{path}\0{one.hexdigest()}\n".encode())
        return whole.hexdigest()

    def _feed(self, path: str, array: pa.Array) -> None:
        self._update(f"{path}\0valid", array.is_valid().cast(pa.uint8()).to_numpy(zero_copy_only=False))
        array = array.drop_null()
        kind = array.type
        if pa.types.is_list(kind):
            self._update(f"{path}\0length", _lengths(pc.list_value_length(array)))
            self._feed(f"{path}[]", array.flatten())
        elif pa.types.is_struct(kind):
            for field, child in zip(kind, array.flatten(), strict=True):
                self._feed(f"{path}.{field.name}", child)
        elif pa.types.is_string(kind) or pa.types.is_binary(kind):
            self._update(f"{path}\0length", _lengths(pc.binary_length(array)))
            self._update(path, b"".join(_bytes(array)))
        elif pa.types.is_boolean(kind):
            self._update(path, array.cast(pa.uint8()).to_numpy(zero_copy_only=False))
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
            self._update(path, array.to_numpy(zero_copy_only=False))
        else:
            self._feed(path, array.cast(pa.binary() if pa.types.is_fixed_size_binary(kind) else pa.string()))

    def _update(self, path: str, data: Any) -> None:
        if path not in self._hashes:
            self._hashes[path] = hashlib.sha256()
        raw = data if isinstance(data, bytes) else np.ascontiguousarray(data).tobytes()
        self._hashes[path].update(raw)
        self.size += len(raw)


def _lengths(array: pa.Array) -> Any:
    return array.cast(pa.int64()).to_numpy(zero_copy_only=False)


def _bytes(array: pa.Array) -> Sequence[bytes]:
    values: Sequence[bytes] = array.cast(pa.binary()).to_pylist()
    return values
