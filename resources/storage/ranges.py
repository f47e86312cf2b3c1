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
    return io.BufferedReader(_Ranges(fetch, size), READ_AHEAD)


class _Ranges(io.RawIOBase):
    def __init__(self, fetch: Callable[[int, int], bytes], size: int) -> None:
        self._fetch, self._size, self._position = fetch, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"cannot seek to {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: "Buffer") -> int:
        view = memoryview(buffer).cast("B")
        end = min(self._position + len(view), self._size)
        if end <= self._position:
            return 0
        data = self._fetch(self._position, end)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)
