"""How many requests a server gets at once: fewer when it is overloaded, none while it asks to wait.

Belongs here: back-pressure shared by threads. Does not belong here: tries of one request (``resources.retry``).
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class RequestLimit:
    """A limit of requests under way that follows the server: halved when it is overloaded, one more after as many successes.

    Args:
        most: requests under way at the same time at most.

    Attributes:
        limit: requests that may be under way now, 1 to ``most``.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.limit = float(most)
        self._under_way = 0
        self._quiet_until = 0.0
        self._changed = threading.Condition()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn, and hold it."""
        with self._changed:
            while True:
                quiet = self._quiet_until - time.monotonic()
                if quiet <= 0 and self._under_way < int(self.limit):
                    break
                self._changed.wait(quiet if quiet > 0 else None)
            self._under_way += 1
        try:
            yield
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def went_well(self) -> None:
        """A request was answered."""
        with self._changed:
            self.limit = min(float(self.most), self.limit + 1 / self.limit)
            self._changed.notify_all()

    def overloaded(self, wait: float | None) -> None:
        """The server has too much to do.

        Args:
            wait: seconds for which it wants no request; None if it did not say.
        """
        with self._changed:
            self.limit = max(1.0, self.limit / 2)
            if wait:
                self._quiet_until = max(self._quiet_until, time.monotonic() + wait)
            self._changed.notify_all()
