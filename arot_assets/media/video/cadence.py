"""Frames that repeat the one before, and how many different ones a second there are.

Belongs here: the rhythm of a whole film. Does not belong here: the cadence of a clip (SQL over ``frames``). Only
workers import this module.
"""

from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from arot_assets.media.video.tables import REPEAT_CHANGE, REPEAT_RATIO


class Repeats:
    """Tells which frames repeat the one before: those that differ by next to nothing, or by little beside the frames
    around them, since codecs refine a repeated picture, so that it is never quite the same."""

    def __init__(self) -> None:
        self._window: list[float] = []

    def take(self, change: float) -> bool:
        """Whether the next frame repeats the one before.

        Args:
            change: ``frames.d_y`` of it.
        """
        self._window = [*self._window[-5:], change]
        moving = sorted(self._window)[-2] if len(self._window) > 1 else 0.0  # the largest may be a cut
        return change <= max(REPEAT_CHANGE, REPEAT_RATIO * moving)


class Cadence:
    """Counts repeated frames as rows of ``frames`` pass."""

    def __init__(self) -> None:
        self._repeat = Repeats()
        self._frames = 0
        self._repeats = 0
        self._runs: Counter[int] = Counter()
        self._run = 1
        self._first: int | None = None
        self._last = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Take the next frame."""
        self._frames += 1
        self._first = row["pts"] if self._first is None else self._first
        self._last = row["pts"]
        if self._frames == 1:
            return
        if self._repeat.take(row["d_y"]):
            self._repeats += 1
            self._run += 1
        else:
            self._runs[self._run] += 1
            self._run = 1

    def told(self, base: Fraction) -> dict[str, Any]:
        """The columns of ``decoded`` about rhythm.

        Args:
            base: seconds of a unit of PTS.
        """
        seconds = float((self._last - (self._first or 0)) * base)
        steps = self._frames - 1
        unique = (steps - self._repeats) / seconds if seconds > 0 else None
        common = self._runs.most_common(2)
        rhythm = ":".join(str(length) for length, _ in sorted(common)) if common else None
        return {
            "repeat_share": self._repeats / steps if steps else 0.0,
            "unique_fps": unique,
            "cadence": rhythm,
        }
