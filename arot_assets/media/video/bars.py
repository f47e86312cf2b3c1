"""Black bars: lines at the edges of the picture that stay dark through a whole film.

Belongs here: the crop box. Does not belong here: applying it. Only workers import this module.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from arot_assets.media.video.kernels import line_ranges

DARK = 34
"""Luma (limited range) up to which a pixel of a bar is dark: black is 16, and dark gray bars exist."""
SPECKS = 0.02
"""Share of a line's pixels that may be brighter: ringing, noise."""
TEXT = 0.4
"""The same where the other side has a bar as wide: a bar may hold subtitles."""
MOST = 0.45
"""A bar that takes more of a side than this is a dark picture."""


class Bars:
    """Collects the brightest that each row and column of a film ever was."""

    def __init__(self) -> None:
        self._rows: NDArray[np.int32] | None = None
        self._columns: NDArray[np.int32] | None = None

    def add(self, luma: NDArray[Any], width: int, full_range: bool, depth: int) -> None:
        """Take a frame's luma plane ``[H, line size]``; frames of another size than the first are passed over."""
        if self._rows is None or self._columns is None:
            self._rows, self._columns = np.zeros(luma.shape[0], np.int32), np.zeros(width, np.int32)
        if len(self._rows) != luma.shape[0] or len(self._columns) != width:
            return
        limit = round((DARK - 16) * 255 / 219) if full_range else DARK
        line_ranges(luma, width, limit << (depth - 8), self._rows, self._columns)

    def crop(self) -> tuple[int, int, int, int]:
        """Top, bottom, left, right: pixels of the stored picture to cut away; 0 without bars."""
        (top, bottom, _), (left, right, _) = self._sides()
        return top, bottom, left, right

    def hold_text(self) -> bool:
        """Whether something brighter, subtitles as a rule, stands in a bar."""
        return any(text for *_, text in self._sides())

    def _sides(self) -> tuple[tuple[int, int, bool], tuple[int, int, bool]]:
        if self._rows is None or self._columns is None:
            return (0, 0, False), (0, 0, False)
        return _ends(self._rows / len(self._columns)), _ends(self._columns / len(self._rows))


def _ends(bright: NDArray[np.float64]) -> tuple[int, int, bool]:
    """The dark lines at both ends, from the share of bright pixels of each line, and whether one end holds text."""
    most = int(len(bright) * MOST)
    first, last = _run(bright[:most], SPECKS), _run(bright[::-1][:most], SPECKS)
    if first == most and last == most:
        return 0, 0, False
    if first > last and _run(bright[::-1][:first], TEXT) == first:
        return first, first, True
    if last > first and _run(bright[:last], TEXT) == last:
        return last, last, True
    return first, last, False


def _run(bright: NDArray[np.float64], limit: float) -> int:
    """Lines up to the first that is bright."""
    over = np.flatnonzero(bright > limit)
    return int(over[0]) if len(over) else len(bright)
