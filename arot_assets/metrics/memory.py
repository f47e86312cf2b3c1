"""Keeping the memory of a pass bounded, however large its images are.

Belongs here: how many pixels may be decoded at one time. Does not belong here: the pass itself (``one_pass.py``), asking
the system (``resources.memory``).

What a process already holds (PyTorch alone is hundreds of megabytes) counts: the pixels in flight get what is left of
``$AROT_MEMORY_MB``. One image is always let in, so a small limit makes a run slower, never impossible.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from resources.memory import resident_bytes

MEMORY_VARIABLE = "AROT_MEMORY_MB"
MEMORY_MB = 1100
"""Default of ``$AROT_MEMORY_MB`` (10^6 bytes): a run stays below 1.2 GB. Raise it for many cores and large photos."""

BYTES_PER_PIXEL = 9
"""The most that an image takes on its way: a progressive JPEG without subsampling while it is decoded (6 for its
coefficients, 3 for its pixels). PNG takes up to 8; pixels, gray levels and the working rows of the metrics take 4.3."""

RESERVE = 120_000_000
"""For what comes and goes beside the pixels: a model's buffers (90 MB for 4 images), rows of results, file contents."""


class PixelBudget:
    """Lets images in as long as the pixels in flight stay below a limit.

    Args:
        pixels: the limit; default what ``$AROT_MEMORY_MB`` leaves beside what the process holds now.
    """

    def __init__(self, pixels: int | None = None) -> None:
        self.pixels = _left() // BYTES_PER_PIXEL if pixels is None else pixels
        self._used = 0
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, pixels: int) -> Iterator[None]:
        """Wait until an image of so many pixels fits, or until it is alone; give its place back at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._used == 0 or self._used + pixels <= self.pixels)
            self._used += pixels
        try:
            yield
        finally:
            with self._changed:
                self._used -= pixels
                self._changed.notify_all()


def _left() -> int:
    limit = int(os.environ.get(MEMORY_VARIABLE) or MEMORY_MB) * 1_000_000
    return max(0, limit - resident_bytes() - RESERVE)
