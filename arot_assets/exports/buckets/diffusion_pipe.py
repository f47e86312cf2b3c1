"""Buckets of tdrussell/diffusion-pipe (``utils/dataset.py``, ``models/base.py``)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log, sqrt

from arot_assets.exports.buckets.bucket import Bucket, Size, cover


@dataclass(frozen=True)
class DiffusionPipe:
    """With ``enable_ar_bucket = true``.

    Attributes:
        resolutions: edge in pixels of each resolution; each repeats the whole set.
        min_ratio: ``min_ar``.
        max_ratio: ``max_ar``.
        ratios: ``num_ar_buckets``.
        ar_buckets: width / height of each bucket, instead of the three above.
        sizes: ``size_buckets`` of pictures, instead of all above. They must be in ascending order of width / height: it
            sorts the ratios, and not the sizes that they stand for.
        frame_buckets: 1 is always among them.
        fps: of the model; 0 leaves the frames as they are.
        outer: multiple that sides are rounded to for all resolutions.
        inner: multiple of the model: 16, or 32 for ltx-video, hunyuan_image and Wan 5B.
    """

    resolutions: tuple[float, ...] = (1024,)
    min_ratio: float = 0.5
    max_ratio: float = 2.0
    ratios: int = 7
    ar_buckets: tuple[float, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()
    frame_buckets: tuple[int, ...] = (1,)
    fps: float = 0.0
    outer: int = 16
    inner: int = 16

    def __call__(self, size: Size) -> tuple[Bucket, ...]:
        """See ``Rule``: one bucket for each resolution."""
        frames = self._frames(size)
        if frames is None:
            return ()
        ratio = log(size.width / size.height)
        if self.sizes:
            width, height = min(self.sizes, key=lambda one: abs(ratio - log(round(one[0] / one[1], 3))))
            return (cover(size, width, height, frames),)
        nearest = min(self._ratios, key=lambda r: abs(ratio - log(r)))
        return tuple(cover(size, *self._sides(edge, nearest), frames) for edge in self.resolutions)

    @cached_property
    def _ratios(self) -> list[float]:
        found: Sequence[float] = self.ar_buckets
        if not found:
            import numpy as np

            found = np.geomspace(self.min_ratio, self.max_ratio, num=self.ratios).tolist()
        return sorted({round(r, 3) for r in found})

    def _frames(self, size: Size) -> int | None:
        if size.frames == 1:
            return 1
        frames = int(size.frames * self.fps / size.fps) if self.fps and size.fps else size.frames
        # a clip never goes to the bucket of pictures
        fitting = [f for f in self.frame_buckets if 1 < f <= frames]
        return max(fitting, default=None)

    def _sides(self, edge: float, ratio: float) -> tuple[int, int]:
        width = sqrt(edge * edge * ratio)
        height = edge * edge / width
        first = _nearest(width, self.inner), _nearest(height, self.inner)
        return _nearest(first[0], self.outer), _nearest(first[1], self.outer)


def _nearest(side: float, multiple: int) -> int:
    return int(round(side / multiple) * multiple)
