"""Buckets of kohya-ss/sd-scripts (``BucketManager``, ``make_bucket_resolutions``)."""

from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property
from math import sqrt

from arot_assets.exports.buckets.bucket import Bucket, Size


@dataclass(frozen=True)
class SdScripts:
    """With ``enable_bucket = true``.

    Attributes:
        width: of ``resolution``, in pixels.
        height: of ``resolution``.
        smallest: ``min_bucket_reso``.
        largest: ``max_bucket_reso``; at 1024, wide pictures of a 1024 training are squeezed to 1024.
        step: ``bucket_reso_steps``.
        no_upscale: ``bucket_no_upscale``; ``smallest`` and ``largest`` are not used then.
    """

    width: int = 1024
    height: int = 1024
    smallest: int = 256
    largest: int = 2048
    step: int = 64
    no_upscale: bool = False

    def __call__(self, size: Size) -> tuple[Bucket, ...]:
        """See ``Rule``."""
        return (self._no_upscale(size) if self.no_upscale else self._nearest(size),)

    @cached_property
    def _sizes(self) -> frozenset[tuple[int, int]]:
        area, step = self.width * self.height, self.step
        square = int(sqrt(area) // step) * step
        found = {(square, square)}
        for width in range(self.smallest, self.largest + 1, step):
            height = min(self.largest, area // width // step * step)
            if height >= self.smallest:
                found |= {(width, height), (height, width)}
        return frozenset(found)

    @cached_property
    def _by_ratio(self) -> tuple[list[float], list[tuple[int, int]]]:
        """Ratios in ascending order, and the first of the sorted sizes of each ratio."""
        first: dict[float, tuple[int, int]] = {}
        for width, height in sorted(self._sizes):
            first.setdefault(width / height, (width, height))
        return sorted(first), [first[r] for r in sorted(first)]

    def _nearest(self, size: Size) -> Bucket:
        reso = (size.width, size.height)
        if reso not in self._sizes:
            ratios, sizes = self._by_ratio
            ratio = size.width / size.height
            place = bisect_left(ratios, ratio)
            near = [n for n in (place - 1, place) if 0 <= n < len(ratios)]
            # of equally near ratios argmin takes the first of the sorted sizes
            reso = min((abs(ratios[n] - ratio), sizes[n]) for n in near)[1]
        width, height = reso
        scale = height / size.height if size.width / size.height > width / height else width / size.width
        return Bucket(width, height, 1, int(size.width * scale + 0.5), int(size.height * scale + 0.5))

    def _no_upscale(self, size: Size) -> Bucket:
        area, step = self.width * self.height, self.step
        width, height = size.width, size.height
        if width * height > area:
            ratio = width / height
            wide = sqrt(area * ratio)
            tall = area / wide
            by_width, by_height = _down(wide, step), _down(tall, step)
            if not by_height or not _down(by_width / ratio, step):
                raise ValueError(self._too_small())
            # which rounding keeps the aspect better, with the other side brought to a step too
            error_width = abs(by_width / _down(by_width / ratio, step) - ratio)
            error_height = abs(_down(by_height * ratio, step) / by_height - ratio)
            if error_width < error_height:
                width, height = by_width, int(by_width / ratio + 0.5)
            else:
                width, height = int(by_height * ratio + 0.5), by_height
        bucket = (width - width % step, height - height % step)
        if not all(bucket):
            raise ValueError(self._too_small())
        return Bucket(*bucket, 1, width, height)

    def _too_small(self) -> str:
        return f"with bucket_no_upscale a side below {self.step} pixels gives an empty bucket, and sd-scripts stops"


def _down(side: float, step: int) -> int:
    whole = int(side + 0.5)
    return whole - whole % step
