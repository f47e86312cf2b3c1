"""What a trainer makes of a picture or clip: the size it trains, and what is scaled and cropped on the way.

Belongs here: the result type, the interface of a rule, and sizes that several rules share. Does not belong here: any
trainer's arithmetic (one file each), or tables of many samples (``plan.py``).
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Size:
    """What a trainer reads from a file's header.

    Attributes:
        width: pixels, as the trainer sees them.
        height: pixels.
        frames: 1 for a picture.
        fps: frames a second; 0 for a picture.
    """

    width: int
    height: int
    frames: int = 1
    fps: float = 0.0


@dataclass(frozen=True, slots=True)
class Bucket:
    """The size that is trained.

    Attributes:
        width: pixels.
        height: pixels.
        frames: 1 for a picture.
        scaled_width: width of the picture before it is cropped to the bucket, in pixels.
        scaled_height: height before the crop.
    """

    width: int
    height: int
    frames: int
    scaled_width: int
    scaled_height: int

    @property
    def crop(self) -> float:
        """The share of the picture's area that is cropped away, 0 to 1."""
        area = self.scaled_width * self.scaled_height
        return max(0.0, 1.0 - self.width * self.height / area) if area else 0.0

    def scale(self, size: Size) -> float:
        """Trained pixels for each pixel of the file along a side; above 1 the picture is up-scaled."""
        return max(self.scaled_width / size.width, self.scaled_height / size.height)


class Rule(Protocol):
    """How one trainer, with its settings, chooses buckets.

    A rule may depend on the samples before (SimpleTuner's does): it is asked once for each distinct size, in the order in
    which the trainer meets them.
    """

    def __call__(self, size: Size) -> tuple[Bucket, ...]:
        """The buckets that a sample is trained in; empty if the trainer leaves it out.

        Raises:
            ValueError: the trainer stops at such a sample; the message says why.
        """
        ...


def cover(size: Size, width: int, height: int, frames: int = 1) -> Bucket:
    """Scale so that the bucket is covered, as most trainers do: half a pixel is rounded up."""
    scale = max(width / size.width, height / size.height)
    scaled = (int(size.width * scale + 0.5), int(size.height * scale + 0.5))
    return Bucket(width, height, frames, max(width, scaled[0]), max(height, scaled[1]))
