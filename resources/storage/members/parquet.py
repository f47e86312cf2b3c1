"""Pictures in the cells of a Parquet file: which columns have them, and the bytes of each row.

Belongs here: reading one Parquet file through a seekable reader. Does not belong here: where it is (``members.py``), what the
other columns mean (``arot_assets.datasets.sources``).

A row group is read whole, and kept while its rows are asked for: they are asked for in their order.
"""

import json
import threading
from collections import OrderedDict
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

KEPT_BYTES = 256 * 1024 * 1024
"""Of row groups that one file keeps; one group is kept whatever its size."""
USUAL_NAMES = ("image", "img", "jpg", "jpeg", "png", "webp", "picture", "photo", "pixels_file", "image_bytes", "bytes")
"""Columns of plain bytes that hold pictures when nothing in the file says which do."""


class ParquetMembers:
    """A Parquet file that is open. Safe in threads.

    Attributes:
        rows: their number.
        columns: names of the columns that hold pictures.

    Args:
        file: seekable; read by one thread at a time.

    Raises:
        pyarrow.ArrowException: it is no Parquet file, or broken.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = pq.ParquetFile(file, pre_buffer=True)
        self._lock = threading.Lock()
        self._groups: OrderedDict[tuple[int, str], pa.ChunkedArray] = OrderedDict()
        metadata = self._file.metadata
        self.rows: int = metadata.num_rows
        self._starts = np.cumsum([0, *(metadata.row_group(n).num_rows for n in range(metadata.num_row_groups))])
        self.columns = tuple(picture_columns(self._file.schema_arrow))

    @property
    def schema(self) -> pa.Schema:
        """All columns."""
        return self._file.schema_arrow

    def cell(self, row: int, column: str) -> bytes | None:
        """The bytes in a cell; None if it is empty.

        Raises:
            KeyError: there is no such row or column of pictures.
            pyarrow.ArrowException: it cannot be read.
        """
        if not 0 <= row < self.rows or column not in self.columns:
            raise KeyError(column)
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        value = self._group(group, column)[row - int(self._starts[group])]
        data: bytes | None = value.as_py()
        return data

    def other_columns(self) -> list[str]:
        """Columns that say something of the pictures, as paths of leaves: without any bytes."""
        return [f.name for f in self.schema if f.name not in self.columns and not holds_bytes(f.type)]

    def batches(self, columns: list[str], size: int) -> Any:
        """Record batches of some columns."""
        with self._lock:
            yield from self._file.iter_batches(batch_size=size, columns=columns)

    def _group(self, group: int, column: str) -> pa.ChunkedArray:
        with self._lock:  # the first that wants it reads it, the others wait for it
            key = (group, column)
            if key not in self._groups:
                kind = self.schema.field(column).type
                leaf = f"{column}.bytes" if pa.types.is_struct(kind) else column
                found = self._file.read_row_group(group, columns=[leaf], use_threads=False)[column]
                if pa.types.is_struct(kind):
                    found = pa.chunked_array(
                        [pa.compute.struct_field(c, "bytes") for c in found.chunks], kind.field("bytes").type
                    )
                self._groups[key] = found
            self._groups.move_to_end(key)
            while len(self._groups) > 1 and sum(g.nbytes for g in self._groups.values()) > KEPT_BYTES:
                self._groups.popitem(last=False)
            return self._groups[key]


def picture_columns(schema: pa.Schema) -> list[str]:
    """Columns that hold pictures: those that the Hugging Face ``Image`` feature marks, structs of ``bytes``, and columns of
    plain bytes with a usual name.
    """
    marked = _image_features(schema)
    found = []
    for field in schema:
        struct = pa.types.is_struct(field.type) and any(
            f.name == "bytes" and _is_bytes(f.type) for f in (field.type.field(n) for n in range(field.type.num_fields))
        )
        plain = _is_bytes(field.type) and (field.name in marked or field.name.lower() in USUAL_NAMES)
        if (struct and (not marked or field.name in marked)) or plain:
            found.append(field.name)
    return found


def _image_features(schema: pa.Schema) -> set[str]:
    try:
        said = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = said["info"]["features"]
        return {name for name, feature in features.items() if feature.get("_type") == "Image"}
    except (ValueError, KeyError, TypeError, AttributeError):
        return set()


def _is_bytes(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def holds_bytes(kind: pa.DataType) -> bool:
    """Whether a column holds bytes, such as embedded pictures: they are no metadata."""
    if pa.types.is_nested(kind):
        return any(holds_bytes(kind.field(n).type) for n in range(kind.num_fields))
    return _is_bytes(kind) or pa.types.is_fixed_size_binary(kind)
