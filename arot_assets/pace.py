"""How fast the shards of a step get done, how long the others take, and what that costs.

Belongs here: rates, time left, money. Does not belong here: progress within a shard (``progress.py``), whom it is told
(``shard_progress.py``), the file for Prometheus (``prometheus_file.py``).

``$AROT_COST_PER_HOUR`` is what the machines cost in an hour, in any currency; runs that are under way at once share it.
"""

import os
import time
from collections import deque
from collections.abc import Mapping

from resources.errors import ArotError

COST_VARIABLE = "AROT_COST_PER_HOUR"
WINDOW = 10
"""Shards that the present rate is told from: few enough to follow a machine that gets slower, enough to level out large files."""
GPU_LOAD, GPU_MEMORY = "arot_gpu_utilization_percent", "arot_gpu_memory_bytes"
"""What ``Pace.finished`` is told of a GPU: names of Prometheus' series."""


class PaceError(ArotError):
    """A variable has a value that cannot be used."""


def cost_per_hour() -> float:
    """``$AROT_COST_PER_HOUR``; 0 if it is not set.

    Raises:
        PaceError: it is not a number from 0 on.
    """
    text = os.environ.get(COST_VARIABLE, "").strip()
    try:
        value = float(text or 0)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise PaceError(f"{COST_VARIABLE}={text!r}: must be a number, what the machines cost in an hour; or unset it")
    return value


class Pace:
    """How fast the shards of a step get done.

    The time left follows what the last shards took for their size. Shards in which nothing was to be done say nothing of the
    others, and what the first one took includes loading models: it counts until there is another.

    Args:
        sizes: shard -> how large it is beside the others, above 0; objects, for example.
        of: what is worked on: images, rows.
        in_turn: whether one shard is worked on after the other. Results of shards that are worked on side by side come in
            bursts, of which only all the time since the start says something.

    Raises:
        PaceError: ``$AROT_COST_PER_HOUR`` is no number.
    """

    def __init__(self, sizes: Mapping[str, int], of: str = "rows", in_turn: bool = True) -> None:
        self.of = of
        self.items = 0
        self.gpu: Mapping[str, float] = {}
        self._left = dict(sizes)
        self._shards, self._size = len(sizes), sum(sizes.values())
        self._in_turn = in_turn
        self._cost, self._paid = cost_per_hour(), 0.0
        self._started = self._last = time.monotonic()
        # moments at which a shard with work was finished, and the size and number of items until then
        self._marks = deque([(self._started, 0, 0)], WINDOW + 1 if in_turn else None)

    def finished(self, shard: str, items: int, gpu: Mapping[str, float] | None = None, sharing: int = 1) -> None:
        """Count a shard.

        Args:
            shard: its name; one that is done again counts once.
            items: how many were worked on.
            gpu: ``GPU_LOAD``, ``GPU_MEMORY``, as far as they are known.
            sharing: runs that are under way on these machines.
        """
        now = time.monotonic()
        self._paid += self._cost * (now - self._last) / 3600 / max(sharing, 1)
        self._last = now
        self.items += items
        self.gpu = gpu or {}
        size = self._left.pop(shard, 0)
        if items:
            self._marks.append((now, self._marks[-1][1] + size, self.items))
            if self._in_turn and len(self._marks) == 3 and self._marks[0][0] == self._started:
                self._marks.popleft()

    @property
    def shards(self) -> int:
        """How many there are."""
        return self._shards

    @property
    def done(self) -> int:
        """How many are finished."""
        return self._shards - len(self._left)

    @property
    def share(self) -> float:
        """What part of the work is finished, 0-1, by the size of shards."""
        return 1 - sum(self._left.values()) / self._size if self._size else 1.0

    @property
    def rate(self) -> float:
        """Items a second, by the last shards with work; 0 if there were none."""
        (start, _, before), (end, _, after) = self._marks[0], self._marks[-1]
        return (after - before) / max(end - start, 1e-9)

    @property
    def average(self) -> float:
        """Items a second since the start, everything included."""
        return self.items / max(self._last - self._started, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """How long the other shards take, if they have as much to do for their size as the last ones.

        None as long as no shard had anything to do.
        """
        if not self._left:
            return 0.0
        (start, before, _), (end, after, _) = self._marks[0], self._marks[-1]
        return (end - start) / (after - before) * sum(self._left.values()) if after > before else None

    @property
    def cost_per_thousand(self) -> float | None:
        """What 1,000 items cost so far; None if nobody said what an hour costs, or nothing was worked on."""
        return 1000 * self._paid / self.items if self._cost and self.items else None

    @property
    def gpu_utilization(self) -> float | None:
        """Percentage of the time in which the GPU computed, during the last shard; None if it is not known."""
        return self.gpu.get(GPU_LOAD)

    @property
    def speed(self) -> str:
        """Rate, GPU and cost in words; empty if nothing was worked on."""
        if not self.items:
            return ""
        busy, cost = self.gpu_utilization, self.cost_per_thousand
        gpu = "" if busy is None else f", GPU {busy:.0f} %"
        return f"{self.rate:,.1f} {self.of}/s{gpu}" + ("" if cost is None else f", {cost:.3g} per 1,000")

    @property
    def time_left(self) -> str:
        """In words; empty if it is not known, or nothing is left."""
        seconds = self.seconds_left
        # until there is a second shard, loading the models counts for each of the others
        most = "at most " if self._in_turn and self._marks[0][0] == self._started else ""
        return f"{most}{duration(seconds)} left" if seconds else ""

    @property
    def total(self) -> str:
        """What was done in all, in words, with the average since the start."""
        cost = self.cost_per_thousand
        money = "" if cost is None else f", {cost:.3g} per 1,000"
        return f"{self.items:,} {self.of}, {self.average:,.1f}/s{money}"

    def __str__(self) -> str:
        """In words."""
        shards = f"{self.done:,} of {self.shards:,} shards"
        return ", ".join(part for part in (shards, self.speed or "nothing to compute so far", self.time_left) if part)


def duration(seconds: float) -> str:
    """A length of time as people say it, in two digits at least: ``95 s``, ``12 min``, ``3 h 20 min``, ``2 d 4 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {rest} min"
    return f"{round(minutes / 60) // 24} d {round(minutes / 60) % 24} h"
