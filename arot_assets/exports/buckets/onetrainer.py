"""Buckets of Nerogar/OneTrainer (``mgds`` AspectBucketing): nine ratios and their turned ones."""

from dataclasses import dataclass
from functools import cached_property
from math import sqrt

from arot_assets.exports.buckets.bucket import Bucket, Size, cover

RATIOS = ((1.0, 1.0), (1.0, 1.25), (1.0, 1.5), (1.0, 1.75), (1.0, 2.0), (1.0, 2.5), (1.0, 3.0), (1.0, 3.5), (1.0, 4.0))
"""Height : width, as its source lists them."""


@dataclass(frozen=True)
class OneTrainer:
    """With ``aspect_ratio_bucketing``.

    Attributes:
        resolution: of the training, in pixels.
        quantization: 64; SD 1.5 8, PixArt 16, Sana 32, Würstchen 128.
    """

    resolution: int = 1024
    quantization: int = 64

    def __call__(self, size: Size) -> tuple[Bucket, ...]:
        """See ``Rule``."""
        ratio = size.height / size.width
        height, width = min(self._sizes, key=lambda one: abs(one[0] / one[1] - ratio))
        return (cover(size, width, height, size.frames),)

    @cached_property
    def _sizes(self) -> list[tuple[int, int]]:
        both = [*RATIOS, *((w, h) for h, w in RATIOS)]
        found = []
        for tall, wide in both:
            scale = self.resolution / sqrt(tall * wide)
            sides = (round(side * scale / self.quantization) * self.quantization for side in (tall, wide))
            found.append(tuple(sides))
        return list(dict.fromkeys((h, w) for h, w in found))
