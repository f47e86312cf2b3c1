"""Buckets of bghira/SimpleTuner (``multiaspect/image.py``) with ``resolution_type: pixel_area``."""

from dataclasses import dataclass, field
from math import sqrt

from arot_assets.exports.buckets.bucket import Bucket, Size, cover


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
        frames = min(size.frames, self.num_frames) if self.num_frames and size.frames > 1 else size.frames
        return (cover(size, width, height, frames),)

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
