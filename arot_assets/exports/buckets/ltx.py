"""Buckets of Lightricks/LTX-2 (``process_videos.py``): those on its command line."""

from dataclasses import dataclass
from math import log

from arot_assets.exports.buckets.bucket import Bucket, Size, cover


@dataclass(frozen=True)
class Ltx:
    """``--resolution-buckets``.

    Attributes:
        buckets: width, height (multiples of 32) and frames (8n + 1) of each.
    """

    buckets: tuple[tuple[int, int, int], ...]

    def __post_init__(self) -> None:
        for width, height, frames in self.buckets:
            if width % 32 or height % 32 or frames % 8 != 1:
                raise ValueError(
                    f"{width}x{height}x{frames}: LTX-2 takes widths and heights of a multiple of 32, and 8n + 1 frames"
                )

    def __call__(self, size: Size) -> tuple[Bucket, ...]:
        """See ``Rule``: a clip shorter than every bucket is left out."""
        fitting = [one for one in self.buckets if one[2] <= size.frames]
        if not fitting:
            return ()
        ratio = log(size.width / size.height)
        width, height, frames = min(fitting, key=lambda b: (abs(log(b[0] / b[1]) - ratio), -b[2], -b[0] * b[1]))
        return (cover(size, width, height, frames),)
