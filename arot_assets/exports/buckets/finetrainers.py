"""Buckets of a-r-r-o-w/finetrainers (``functional/image.py``, ``functional/video.py``): those of its configuration."""

from dataclasses import dataclass

from arot_assets.exports.buckets.bucket import Bucket, Size, cover


@dataclass(frozen=True)
class Finetrainers:
    """``video_resolution_buckets`` or ``image_resolution_buckets``.

    Attributes:
        buckets: width, height and frames of each; 1 frame for pictures.
        distorts: ``reshape_mode`` is ``bicubic``: nothing is cropped, both sides are scaled to the bucket's.
    """

    buckets: tuple[tuple[int, int, int], ...]
    distorts: bool = False

    def __call__(self, size: Size) -> tuple[Bucket, ...]:
        """See ``Rule``: the longest buckets that fit, or those of the nearest length, then the nearest ratio; of equally near
        ones the tallest. Of a clip that is shorter than its bucket, all frames are taken."""
        fitting = [b[2] for b in self.buckets if b[2] <= size.frames]
        longest = max(fitting) if fitting else min((b[2] for b in self.buckets), key=lambda f: abs(f - size.frames))
        same = [b for b in self.buckets if b[2] == longest]
        ratio = size.width / size.height
        width, height, _ = min(same, key=lambda b: (abs(b[0] / b[1] - ratio), -b[1], -b[0]))
        frames = min(longest, size.frames)
        if self.distorts:
            return (Bucket(width, height, frames, width, height),)
        return (cover(size, width, height, frames),)
