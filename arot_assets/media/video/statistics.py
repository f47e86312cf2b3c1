"""What tells one frame from the next, for every frame of a film: the columns that cuts, dissolves and fades are found
with.

Belongs here: the rows of ``frames``. Does not belong here: which of them is a boundary (SQL over these columns, so that
another threshold decodes nothing). Only workers import this module.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arot_assets.media.video.decode import Frame
from arot_assets.media.video.grid import Cells
from arot_assets.media.video.kernels import compare, difference, levels, shrink

AROUND = 6
"""Frames before and after that a row looks at: 13 in all, as long as the shortest dissolve in use."""
BACK = 5
"""Frames after a change in which the picture before it may come back: a flash."""
LEVEL = 12.0
"""A picture that comes back has the same mean level, within this."""
SMALL = 4
"""The grid is this many times as wide as the pictures that are compared over several frames."""
STEPS = 64.0
"""Values are kept in steps of 1/64, and correlations of 1/1024, so that they take little room."""


@dataclass
class _KeptFrame:
    row: dict[str, Any]
    small: NDArray[np.float32]  # [h * w], mean 0 and length 1; 0 for a flat picture
    mean: float
    raw: NDArray[np.float32]  # [h * w]


class FrameStatistics:
    """Makes the rows of ``frames``, each ``AROUND`` frames late, because it looks at those after it."""

    def __init__(self) -> None:
        self._seen: deque[_KeptFrame] = deque(maxlen=2 * AROUND + 1)
        self._before: tuple[Cells, NDArray[np.int64]] | None = None
        self._pending = 0

    def add(self, frame: Frame, cells: Cells) -> list[dict[str, Any]]:
        """Take the next frame; gives the rows that are complete."""
        self._seen.append(self._look(frame, cells))
        self._pending += 1
        return [self._complete(AROUND)] if self._pending > AROUND else []

    def finish(self) -> list[dict[str, Any]]:
        """The rows of the last frames."""
        return [self._complete(self._pending - 1) for _ in range(self._pending)]

    def _look(self, frame: Frame, cells: Cells) -> _KeptFrame:
        of_levels, of_change = np.empty(4), np.zeros(5)
        histogram = np.empty(256, np.int64)
        levels(cells.y, histogram, of_levels)
        d_u = d_v = 0.0
        before, self._before = self._before, (cells, histogram)
        if before is not None:
            was, histogram_was = before
            compare(cells.y, was.y, histogram, histogram_was, of_change)
            d_u, d_v = difference(cells.u, was.u), difference(cells.v, was.v)
        small = np.empty((max(1, cells.y.shape[0] // SMALL), max(1, cells.y.shape[1] // SMALL)), np.float32)
        shrink(cells.y, cells.y.shape[1], small)
        raw = small.ravel()
        mean = raw.mean()
        centred = raw - mean
        length = _length(centred)
        flat = length < np.sqrt(raw.size)
        row = {
            "n": frame.n,
            "pts": frame.pts,
            "key": frame.key,
            "damaged": frame.damaged,
            "resized": frame.resized,
            "crc": cells.crc,
            "mean_y": _step(of_levels[0]),
            "std_y": _step(of_levels[1]),
            "p02_y": _step(of_levels[2]),
            "p98_y": _step(of_levels[3]),
            "d_y": _step(of_change[0]),
            "d_u": _step(d_u),
            "d_v": _step(d_v),
            "changed": _fine(of_change[1]),
            "worst_block": _step(of_change[2]),
            "histogram": _fine(of_change[3]),
            "similarity": _fine(of_change[4]) if before is not None else None,
        }
        return _KeptFrame(row, np.zeros_like(centred) if flat else centred / length, float(mean), raw)

    def _complete(self, ahead: int) -> dict[str, Any]:
        """The row of the frame that has ``ahead`` frames after it."""
        self._pending -= 1
        seen = self._seen
        at = len(seen) - 1 - ahead
        row = seen[at].row
        row["comes_back"] = _fine(_comes_back(list(seen), at)) if at >= 1 else None
        change, residual, correlation = (
            _linear(seen[at - AROUND], seen[at], seen[at + AROUND])
            if (at >= AROUND and ahead >= AROUND)
            else (None, None, None)
        )
        row["linear_change"] = None if change is None else _step(change)
        row["linear_residual"] = None if residual is None else _fine(residual)
        row["linear_corr"] = None if correlation is None else _fine(correlation)
        return row


def _comes_back(seen: list[_KeptFrame], at: int) -> float:
    """How much the picture before a frame resembles one of those soon after it, or this one those soon before that."""
    best = 0.0
    old, new = seen[at - 1], seen[at]
    for later in seen[at + 1 : at + 1 + BACK]:
        if abs(old.mean - later.mean) < LEVEL:
            best = max(best, float(old.small @ later.small))
    for earlier in seen[max(0, at - 1 - BACK) : at - 1]:
        if abs(new.mean - earlier.mean) < LEVEL:
            best = max(best, float(new.small @ earlier.small))
    return best


def _linear(first: _KeptFrame, middle: _KeptFrame, last: _KeptFrame) -> tuple[float, float, float]:
    """How much three pictures look like a dissolve: change, residual, correlation.

    Returns:
        The mean absolute difference of first and last; how far the middle is from their mean, relative to their
        distance; the correlation of the two halves of the change.
    """
    whole = last.raw - first.raw
    change = float(np.abs(whole).mean())
    distance = _length(whole)
    if distance == 0:
        return 0.0, 1.0, 0.0
    residual = _length(middle.raw - (first.raw + last.raw) / 2) / distance
    a, b = middle.raw - first.raw, last.raw - middle.raw
    lengths = float(np.sqrt(a @ a) * np.sqrt(b @ b))
    return change, min(residual, 8.0), float(a @ b) / lengths if lengths else 0.0


def _length(vector: NDArray[np.floating]) -> float:
    return float(np.sqrt(vector @ vector))


def _step(value: float) -> float:
    return round(value * STEPS) / STEPS


def _fine(value: float) -> float:
    return round(value * 1024) / 1024
