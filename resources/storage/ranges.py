"""A file object over anything that provides byte ranges.

Belongs here: the reader shared by all schemes that have none of their own.
"""

import io
from collections.abc import Callable
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined]

READ_AHEAD = 1024 * 1024


def ranged(fetch: Callable[[int, int], bytes], size: int) -> IO[bytes]:
    """A seekable reader; parts are fetched as they are read, at least ``READ_AHEAD`` bytes at a time.

    Args:
        fetch: returns the bytes from a start to an end (exclusive), both within the object.
        size: the object's size in bytes.
    """
    return io.BufferedReader(RangeReader(fetch, size), READ_AHEAD)


class RangeReader(io.RawIOBase):
    """A position in an object, and reading from there. Not thread-safe.

    Attributes:
        size: the object's size in bytes.

    Args:
        fetch: see ``ranged``.
        size: the object's size in bytes.
    """

    def __init__(self, fetch: Callable[[int, int], bytes], size: int) -> None:
        self._fetch, self.size, self._position = fetch, size, 0

    def readable(self) -> bool:
        """Always True."""
        return True

    def seekable(self) -> bool:
        """Always True."""
        return True

    def tell(self) -> int:
        """The current position, in bytes from the start."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position; fetches nothing."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative position {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: "Buffer") -> int:
        """Fetch once, as much as the buffer takes."""
        view = memoryview(buffer).cast("B")
        end = min(self._position + len(view), self.size)
        if end <= self._position:
            return 0
        data = self._fetch(self._position, end)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def readall(self) -> bytes:
        """The rest of the object, in one fetch."""
        data = self._fetch(self._position, self.size) if self._position < self.size else b""
        self._position += len(data)
        return data
