"""Buckets of bghira/SimpleTuner (``multiaspect/image.py``) with ``resolution_type: pixel_area``."""

from dataclasses import dataclass, field
from math import sqrt

from arot_assets.exports.buckets.bucket import Bucket, Size, cover

SQUARES = {0.25: 512, 0.5: 768, 1.0: 1024, 2.0: 1536, 4.0: 2048}
"""Area in megapixels -> edge of the square that is trained for it (``training_sample.py``)."""
NEAR = 0.05
"""In megapixels: areas as near to one of ``SQUARES`` count as it."""


@dataclass
class SimpleTuner:
    """With ``crop: true``, ``crop_aspect: preserve``.

    The first picture of an aspect fixes the size for all others of it, so an instance remembers what it has seen.

    Attributes:
        resolution: edge in pixels.
        align: 64 (SD, SDXL, FLUX, SD3, LTX, Hunyuan), 32 (Wan, Qwen), 16 (FLUX.2, Cosmos).
        num_frames: kept of a clip; 0 for pictures.
        min_frames: shorter clips are left out.
    """

    resolution: int = 1024
    align: int = 64
    num_frames: int = 0
    min_frames: int = 0
    _first: dict[float, tuple[int, int]] = field(default_factory=dict, repr=False)

    def __call__(self, size: Size) -> tuple[Bucket, ...]:
        """See ``Rule``."""
        if size.frames > 1 and size.frames < self.min_frames:
            return ()
        key, width, height = self.bucket(size)
        width, height = self._first.setdefault(key, (width, height))
        if width == height:
            width = height = self._square
        frames = min(size.frames, self.num_frames) if self.num_frames and size.frames > 1 else size.frames
        return (cover(size, width, height, frames),)

    @property
    def _square(self) -> int:
        """The edge of square buckets, which may have another area than all others: a resolution of 672 gives 768."""
        megapixels = self.resolution**2 / 1e6
        edge = next((e for area, e in SQUARES.items() if abs(megapixels - area) < NEAR), sqrt(megapixels * 1e6))
        return max(self.align, round(edge / self.align) * self.align)

    def bucket(self, size: Size) -> tuple[float, int, int]:
        """The key of its aspect, and the width and height if it were the first of that key."""
        megapixels = self.resolution**2 / 1e6
        edge = round(int(sqrt(megapixels * 1e6)) / self.align) * self.align
        root = sqrt(round(size.width / size.height, 2))
        if root == 0:
            raise ValueError("an aspect ratio that rounds to 0 stops SimpleTuner")
        width = round(edge * root / self.align) * self.align
        height = round(edge / root / self.align) * self.align
        if not width or not height:
            raise ValueError("the aspect ratio leaves no side of a bucket")
        return round(width / height, 2), width, height
