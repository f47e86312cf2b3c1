"""Images in the cells of a Parquet file: which columns have them, and the bytes of each row.

Belongs here: reading one Parquet file through a seekable reader. Does not belong here: which columns can contain images
(``columns.py``), where the file is (``backend.py``), what the other columns mean (``arot_assets.datasets.sources``).

Row groups are read whole and kept while their rows are requested, which happens in order.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from resources.storage.member_address import cell_name, parse_cell
from resources.storage.members.columns import ImageColumn, as_image, image_places, places
from resources.storage.members.reader import MEMBER_BYTES, ArchiveMember, MemberError

KEPT_BYTES = 256 * 1024 * 1024
"""Maximum bytes of the row groups kept per file; one group is kept whatever its size."""
BATCH = 256
SNIFFED_ROWS = 16


class ParquetMembers:
    """An open Parquet file, see ``Reader``; its members are cells, named ``row/0000017/image``.

    Attributes:
        rows: the number of rows.
        images: the places in a row that contain images.

    Args:
        file: seekable; read by one thread at a time.

    Raises:
        pyarrow.ArrowException: it is not a Parquet file, or damaged.
    """

    problem: str | None = None
    notes: tuple[str, ...] = ()

    def __init__(self, file: IO[bytes]) -> None:
        self._file = pq.ParquetFile(file, pre_buffer=True)
        self._lock = threading.Lock()
        self._groups: OrderedDict[tuple[int, str], pa.ChunkedArray] = OrderedDict()
        metadata = self._file.metadata
        self.rows: int = metadata.num_rows
        self._starts = np.cumsum([0, *(metadata.row_group(n).num_rows for n in range(metadata.num_row_groups))])
        self._places = places(self.schema)
        self.images = image_places(self.schema, self._places) or [
            place for place in self._places if self._holds_images(place)
        ]

    @property
    def schema(self) -> pa.Schema:
        """All columns."""
        return self._file.schema_arrow

    def places_of(self, named: str) -> list[ImageColumn]:
        """The places in the named column, given by its full path or the first part; without a name, those that contain
        images.

        Raises:
            KeyError: no such column can contain an image.
        """
        found = [p for p in self._places if named in (p.name, p.column)] if named else self.images
        if named and not found:
            raise KeyError(named)
        return found

    def entries(self) -> Iterator[ArchiveMember]:
        """See ``Reader``."""
        for cells in self.cells(self.images):
            for cell in cells:
                yield ArchiveMember(cell, 0)

    def cells(self, images: list[ImageColumn]) -> Iterator[list[str]]:
        """The names of the images of each row. A list has one per item, or an empty one if it has no items."""
        lists = [p for p in images if p.is_list]
        lengths = {p.name: self._lengths(p) for p in lists}
        for row in range(self.rows):
            names: list[str] = []
            for place in images:
                if place.is_list:
                    names += [cell_name(row, f"{place.name}.{n}") for n in range(max(1, next(lengths[place.name])))]
                else:
                    names.append(cell_name(row, place.name))
            yield names

    def size(self, name: str) -> int:
        """See ``Reader``; requires reading the cell."""
        return len(self.read(name))

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """See ``Reader``."""
        cell = parse_cell(name)
        if cell is None or cell[0] >= self.rows:
            raise KeyError(name)
        row, path = cell
        place, item = self._place(path)
        value = place.of(self._value(row, place), item)
        if value is None:
            raise MemberError("the cell is empty; the row has no image", "not_found")
        data = as_image(value) if place not in self.images or place.is_text else value
        if data is None and place not in self.images:
            raise KeyError(name)
        if data is None:
            raise MemberError("the text in the cell is not an image in Base64")
        if len(data) > MEMBER_BYTES:
            raise MemberError(f"the cell has {len(data):,} bytes, more than {MEMBER_BYTES:,}")
        return bytes(data[start:end])

    def other_columns(self, images: list[ImageColumn]) -> list[str]:
        """Columns that describe the images: those without binary data."""
        taken = {p.column for p in images}
        return [f.name for f in self.schema if f.name not in taken and not holds_bytes(f.type)]

    def batches(self, columns: list[str], size: int) -> Any:
        """Record batches of some columns."""
        with self._lock:
            yield from self._file.iter_batches(batch_size=size, columns=columns)

    def _place(self, path: str) -> tuple[ImageColumn, int]:
        """A place and the index of the list item in it; a column with exactly this name takes precedence."""
        for place in self._places:
            if place.name == path and not place.is_list:
                return place, 0
        name, _, number = path.rpartition(".")
        for place in self._places:
            if place.name == name and place.is_list and number.isdecimal():
                return place, int(number)
        raise KeyError(path)

    def _holds_images(self, place: ImageColumn) -> bool:
        """Decided by the first cells, for columns that neither a name nor a feature marks."""
        for batch in self._file.iter_batches(batch_size=SNIFFED_ROWS, columns=[place.leaf]):
            found = [v for v in (place.of(one, 0) for one in batch[0].to_pylist()) if v is not None]
            return bool(found) and all(as_image(v) is not None for v in found)
        return False

    def _lengths(self, place: ImageColumn) -> Iterator[int]:
        for batch in self._file.iter_batches(batch_size=BATCH, columns=[place.leaf]):
            values = batch[0]
            for step in place.before_list:
                values = pa.compute.struct_field(values, step)
            yield from (n or 0 for n in pa.compute.list_value_length(values).to_pylist())

    def _value(self, row: int, place: ImageColumn) -> Any:
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        with self._lock:  # the first thread reads it, the others wait
            key = (group, place.leaf)
            if key not in self._groups:
                read = self._file.read_row_group(group, columns=[place.leaf], use_threads=False)
                self._groups[key] = read.column(0)
            self._groups.move_to_end(key)
            while len(self._groups) > 1 and sum(g.nbytes for g in self._groups.values()) > KEPT_BYTES:
                self._groups.popitem(last=False)
            found = self._groups[key]
        return found[row - int(self._starts[group])].as_py()


def holds_bytes(kind: pa.DataType) -> bool:
    """Whether a column contains binary data, such as embedded images, and is therefore not metadata."""
    if pa.types.is_dictionary(kind):
        return holds_bytes(kind.value_type)
    if pa.types.is_nested(kind):
        return any(holds_bytes(kind.field(n).type) for n in range(kind.num_fields))
    return any(
        test(kind)
        for test in (
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_binary_view,
            pa.types.is_fixed_size_binary,
        )
    )
