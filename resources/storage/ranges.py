"""A file over anything that gives byte ranges.

Belongs here: the reader that every scheme without one of its own shares.
"""

import io
from collections.abc import Callable
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined]

READ_AHEAD = 1024 * 1024


def ranged(fetch: Callable[[int, int], bytes], size: int) -> IO[bytes]:
    """A seekable reader; parts are fetched as they are read, ``READ_AHEAD`` bytes at least.

    Args:
        fetch: gives the bytes from a start to an end (not included), both within the object.
        size: bytes of the object.
    """
    return io.BufferedReader(RangeReader(fetch, size), READ_AHEAD)


class RangeReader(io.RawIOBase):
    """A position in an object, and reading from it on. Not safe in threads.

    Attributes:
        size: bytes of the object.

    Args:
        fetch: see ``ranged``.
        size: bytes of the object.
    """

    def __init__(self, fetch: Callable[[int, int], bytes], size: int) -> None:
        self._fetch, self.size, self._position = fetch, size, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Bytes from the start."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; fetches nothing."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative position {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: "Buffer") -> int:
        """Fetch once, all that the buffer takes."""
        view = memoryview(buffer).cast("B")
        end = min(self._position + len(view), self.size)
        if end <= self._position:
            return 0
        data = self._fetch(self._position, end)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def readall(self) -> bytes:
        """What is left, by one fetch."""
        data = self._fetch(self._position, self.size) if self._position < self.size else b""
        self._position += len(data)
        return data
