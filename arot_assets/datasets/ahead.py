"""Read-ahead: the decoder of a remote source should not wait for the server.

Belongs here: the read-ahead. Does not belong here: how objects are accessed (``reach.py``), decoding.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from arot_assets.media.file import Content
from resources.parallel import leave

HELD_BYTES = 256 * 1024 * 1024
"""Bytes fetched but not yet taken; above this, nothing more is requested."""
WINDOW_PER_THREAD = 2


class ReadAhead:
    """``uri -> content`` that fetches the next objects in the background; use as a context manager. Thread-safe.

    Args:
        read: returns an object, as bytes or as a path; what it raises is raised when that object is requested.
        uris: in the order in which they will be requested, without duplicates. Others are read when they are requested.
        threads: number of concurrent fetches.
    """

    def __init__(self, read: Callable[[str], Content], uris: Iterable[str], threads: int) -> None:
        self._read = read
        self._left = deque(uris)
        self._window = threads * WINDOW_PER_THREAD
        self._coming: dict[str, Future[Content]] = {}
        self._held = 0
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="arot-ahead")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._pool.shutdown(cancel_futures=True)
        else:
            leave(self._pool, self._coming.values())

    def __call__(self, uri: str) -> Content:
        """An object."""
        with self._lock:
            self._ask()
            coming = self._coming.pop(uri, None)
        if coming is None:
            return self._read(uri)
        try:
            content = coming.result()
        finally:
            with self._lock:
                if not coming.cancelled() and coming.exception() is None:
                    self._held -= _held(coming.result())
                self._ask()
        return content

    def _ask(self) -> None:
        """Request more, as long as there is room; called with the lock held."""
        while self._left and len(self._coming) < self._window and self._held < HELD_BYTES:
            uri = self._left.popleft()
            self._coming[uri] = self._pool.submit(self._fetch, uri)

    def _fetch(self, uri: str) -> Content:
        content = self._read(uri)
        with self._lock:
            self._held += _held(content)
        return content


def _held(content: Content) -> int:
    """Bytes of memory that this takes."""
    return len(content) if isinstance(content, bytes) else 0
