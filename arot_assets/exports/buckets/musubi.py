"""Buckets of kohya-ss/musubi-tuner (``dataset/bucket.py``), and the frames that it takes of a clip."""

from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import Literal

from arot_assets.exports.buckets.bucket import Bucket, Size, cover


@dataclass(frozen=True)
class Musubi:
    """With ``enable_bucket = true``; clips always have buckets, with up-scaling.

    Attributes:
        width: of ``resolution``, in pixels.
        height: of ``resolution``.
        step: 16; HiDream-O1 32.
        no_upscale: ``bucket_no_upscale``, for pictures only.
        target_frames: each is brought down to 4n + 1.
        extraction: ``frame_extraction``; ``full`` takes up to ``max_frames``.
        max_frames: of ``full``.
    """

    width: int = 1024
    height: int = 1024
    step: int = 16
    no_upscale: bool = False
    target_frames: tuple[int, ...] = (1,)
    extraction: Literal["head", "chunk", "full"] = "head"
    max_frames: int = 129

    def __call__(self, size: Size) -> tuple[Bucket, ...]:
        """See ``Rule``; a clip gives one sample for each of ``target_frames`` that it is long enough for."""
        if size.frames == 1:
            return (self._spatial(size, self.no_upscale),)
        return tuple(self._spatial(size, False, frames) for frames in self._frames(size.frames))

    def _frames(self, frames: int) -> list[int]:
        if self.extraction == "full":
            return [(min(frames, self.max_frames) - 1) // 4 * 4 + 1]
        wanted = sorted({(t - 1) // 4 * 4 + 1 for t in self.target_frames})
        repeats = {t: frames // t if self.extraction == "chunk" else int(frames >= t) for t in wanted}
        return [t for t in wanted for _ in range(repeats[t])]

    @cached_property
    def _sizes(self) -> list[tuple[float, tuple[int, int]]]:
        area = self.width * self.height
        if self.width == self.height == 0:
            return []
        side = int(sqrt(area))
        found: set[tuple[int, int]] = set()
        for width in range(side // 2 // self.step * self.step, side + self.step, self.step):
            height = area // width // self.step * self.step
            found |= {(width, height), (height, width)}
        return [(w / h, (w, h)) for w, h in sorted(found)]

    def _spatial(self, size: Size, no_upscale: bool, frames: int = 1) -> Bucket:
        if no_upscale and size.width * size.height <= self.width * self.height:
            width, height = (side // self.step * self.step for side in (size.width, size.height))
            if not width or not height:
                raise ValueError(f"with bucket_no_upscale a side below {self.step} pixels gives an empty bucket")
            return cover(size, width, height, frames)
        ratio = size.width / size.height
        _, (width, height) = min(self._sizes, key=lambda one: abs(one[0] - ratio))
        return cover(size, width, height, frames)
