"""Retrying: how often, and how long to wait in between.

Belongs here: the only policy, and what a server requests. Does not belong here: which failures are worth retrying,
which each client knows itself.

Libraries for this (tenacity, stamina) wrap a function and see its exceptions; here the number of attempts depends on
the failure, an attempt that received bytes does not count, and a response that is not an exception may say how long to
wait.
"""

import random
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

SHORTEST, LONGEST = 0.5, 1.5
"""Each wait is multiplied by a random factor in this range, so that clients that failed together do not return
together."""


@dataclass
class Retry:
    """The attempts at one piece of work::

        retry = Retry(attempts=5, first=0.5, longest=30.0)
        while True:
            try:
                return work()
            except Broken as error:
                if not retry.again():
                    raise

    Attributes:
        attempts: consecutive attempts without progress before giving up; None for no limit.
        first: seconds before the second attempt; doubled after each further one.
        longest: the maximum wait, in seconds.
        deadline: ``time.monotonic()`` after which there is no further attempt; None for none.
        shortest: the minimum fraction of a wait; 0.0 spreads out clients that obstruct each other.
        failed: consecutive failed attempts so far.
    """

    attempts: int | None
    first: float
    longest: float
    deadline: float | None = None
    shortest: float = SHORTEST
    failed: int = 0
    _of_kind: Counter[int] = field(default_factory=Counter, init=False, repr=False)

    def again(self, most: int | None = None, asked: float | None = None) -> bool:
        """Count a failure, and wait for the next attempt; False immediately if there is to be none.

        Args:
            most: the limit for failures of this kind, where it is lower than ``attempts``; failures of other kinds do
                not count towards it.
            asked: seconds that a server asks to wait.
        """
        self.failed += 1
        if most is not None:
            self._of_kind[most] += 1
        if self.attempts is not None and self.failed >= self.attempts:
            return False
        if most is not None and self._of_kind[most] >= most:
            return False
        if self.deadline is not None and time.monotonic() >= self.deadline:
            return False
        time.sleep(self.seconds(asked))
        return True

    def seconds(self, asked: float | None = None) -> float:
        """How long to wait after this many failures, or as long as a server asks."""
        doubled = self.first * 2.0 ** min(self.failed - 1, 62)
        spread = min(self.longest, doubled) * random.uniform(self.shortest, LONGEST)
        return min(self.longest, max(spread, asked or 0.0))

    def progressed(self) -> None:
        """The failed attempt made progress: the count starts again."""
        self.failed = 0
        self._of_kind.clear()


def retry_after(value: str | None) -> float | None:
    """Seconds that ``Retry-After`` asks to wait, given as seconds or as a date; None if it is missing or unreadable."""
    if value:
        with suppress(ValueError):
            return max(0.0, float(value))
        with suppress(ValueError, OverflowError):
            return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    return None
