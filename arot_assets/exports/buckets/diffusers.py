"""Buckets of huggingface/diffusers' training scripts (``training_utils.py``), and the square of the older ones."""

from dataclasses import dataclass
from math import sqrt

from arot_assets.exports.buckets.bucket import Bucket, Size, cover

LADDER = ((1, 1), (4, 5), (5, 4), (2, 3), (3, 2), (3, 4), (4, 3), (9, 16), (16, 9), (1, 2), (2, 1))
"""Width : height of ``--use_aspect_ratio_buckets``."""


@dataclass(frozen=True)
class Diffusers:
    """``--aspect_ratio_buckets`` where given, else ``--use_aspect_ratio_buckets``.

    Attributes:
        resolution: in pixels.
        buckets: width and height of each; empty for the automatic ladder.
        step: sides are multiples of it.
    """

    resolution: int = 1024
    buckets: tuple[tuple[int, int], ...] = ()
    step: int = 16

    def __call__(self, size: Size) -> tuple[Bucket, ...]:
        """See ``Rule``."""
        sizes = self.buckets or self._ladder(size)
        best: tuple[int, int] | None = None
        for width, height in sizes:  # of equally near ones it takes the last
            distance = abs(size.height * width - size.width * height)
            if best is None or distance <= abs(size.height * best[0] - size.width * best[1]):
                best = (width, height)
        assert best is not None, "there is at least one bucket"
        return (cover(size, *best),)

    def _ladder(self, size: Size) -> list[tuple[int, int]]:
        edge = float(self.resolution)
        found = []
        for wide, tall in LADDER:
            scale = edge / sqrt(wide * tall)
            sides = [max(self.step, round(side * scale / self.step) * self.step) for side in (wide, tall)]
            found.append((sides[0], sides[1]))
        return found


@dataclass(frozen=True)
class DiffusersSquare:
    """``train_text_to_image``: the shorter side is scaled to ``resolution``, then a square is cropped."""

    resolution: int = 512

    def __call__(self, size: Size) -> tuple[Bucket, ...]:
        """See ``Rule``."""
        return (cover(size, self.resolution, self.resolution),)
