"""Buckets of a-r-r-o-w/finetrainers (``data/dataset.py``, ``functional/video.py``): those of its configuration."""

from dataclasses import dataclass

from arot_assets.exports.buckets.bucket import Bucket, Size, cover


@dataclass(frozen=True)
class Finetrainers:
    """``video_resolution_buckets`` or ``image_resolution_buckets``.

    Attributes:
        buckets: width, height and frames of each; 1 frame for pictures.
    """

    buckets: tuple[tuple[int, int, int], ...]

    def __call__(self, size: Size) -> tuple[Bucket, ...]:
        """See ``Rule``: the longest buckets that fit, then the nearest ratio; of a clip that is too short, one frame."""
        longest = max((b[2] for b in self.buckets if b[2] <= size.frames), default=min(b[2] for b in self.buckets))
        frames = longest if longest <= size.frames else 1
        same = [b for b in self.buckets if b[2] == longest]
        ratio = size.width / size.height
        width, height, _ = min(same, key=lambda b: abs(b[0] / b[1] - ratio))
        return (cover(size, width, height, frames),)
