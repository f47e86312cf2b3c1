"""Buckets of ostris/ai-toolkit (``toolkit/buckets.py``): it never up-scales."""

from dataclasses import dataclass
from math import ceil, floor, sqrt

from arot_assets.exports.buckets.bucket import Bucket, Size, cover


@dataclass(frozen=True)
class AiToolkit:
    """With ``buckets: true``.

    Attributes:
        resolution: one of ``resolution``, in pixels.
        step: 32 for flux, chroma, qwen_image, ltx2, wan2.2-5B; 16 for sd, sdxl, flux2, wan2.2-14B; 8 otherwise.
        num_frames: of ``num_frames``; 1 for a set of pictures.
    """

    resolution: int = 1024
    step: int = 32
    num_frames: int = 1

    def __call__(self, size: Size) -> tuple[Bucket, ...]:
        """See ``Rule``."""
        largest = self.resolution**2
        area = min(size.width * size.height, largest)
        scale = sqrt(area / (size.width * size.height))
        wide, tall = (side * scale / self.step for side in (size.width, size.height))
        sides = [(w * self.step, h * self.step) for w in (floor(wide), ceil(wide)) for h in (floor(tall), ceil(tall))]
        smallest = (max(self.step, sides[0][0]), max(self.step, sides[0][1]))
        fitting = [(w, h) for w, h in sides if w and h and w * h <= largest] or [smallest]
        width, height = min(fitting, key=lambda one: abs(one[0] * one[1] - area))
        return (cover(size, width, height, 1 if size.frames == 1 else self.num_frames),)
