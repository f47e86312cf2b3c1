"""Trying again: how often, and how long to wait before it.

Belongs here: the one policy, and what a server asks for. Does not belong here: which failures another try may mend, which each
client knows of its own.

Libraries for it (tenacity, stamina) wrap a function and see its exceptions; here the number of tries depends on the failure, a
try that brought bytes does not count, and an answer that is no exception may say how long to wait.
"""

import random
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

SHORTEST, LONGEST = 0.5, 1.5
"""A wait is spread at random between these shares of it, so that those who failed together do not come back together."""


@dataclass
class Retry:
    """The tries of one piece of work::

        retry = Retry(attempts=5, first=0.5, longest=30.0)
        while True:
            try:
                return work()
            except Broken as error:
                if not retry.again():
                    raise

    Attributes:
        attempts: tries in a row that bring nothing, before it is given up; None for no such limit.
        first: seconds before the second try; doubled with each further one.
        longest: seconds that are waited at most.
        deadline: ``time.monotonic()`` after which there is no further try; None for none.
        shortest: share of a wait that is waited at least; 0.0 spreads those apart who hinder each other.
        failed: tries in a row that failed so far.
    """

    attempts: int | None
    first: float
    longest: float
    deadline: float | None = None
    shortest: float = SHORTEST
    failed: int = 0
    _of_kind: Counter[int] = field(default_factory=Counter, init=False, repr=False)

    def again(self, most: int | None = None, asked: float | None = None) -> bool:
        """Count a failure, and wait for the next try; False at once if there is to be none.

        Args:
            most: tries for a failure of this kind, where they are fewer than ``attempts``; those of other kinds do not
                count among them.
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
        """How long to wait after so many failures, or as long as a server asks."""
        doubled = self.first * 2.0 ** min(self.failed - 1, 62)
        spread = min(self.longest, doubled) * random.uniform(self.shortest, LONGEST)
        return min(self.longest, max(spread, asked or 0.0))

    def got_on(self) -> None:
        """The failed try brought something: the count begins again."""
        self.failed = 0
        self._of_kind.clear()


def retry_after(value: str | None) -> float | None:
    """Seconds that ``Retry-After`` asks to wait, given as seconds or as a date; None without one that can be read."""
    if value:
        with suppress(ValueError):
            return max(0.0, float(value))
        with suppress(ValueError, OverflowError):
            return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    return None
