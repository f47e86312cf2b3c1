"""Squares of an image, upright or turned: cut out for a network, and its points taken back to the image.

Belongs here: the geometry of regions of interest as Google's MediaPipe has it (``ImageToTensorCalculator``,
``RectTransformationCalculator``, ``LandmarkProjectionCalculator``). Does not belong here: what a network finds in a square.

MediaPipe samples the image between its pixels, without antialiasing, and takes the number of a pixel for its corner: so it is
done here, because its networks were made for it. OpenCV is imported inside functions.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
PARTS = 32
"""Of a pixel: places between pixels are rounded to them, as OpenCV 3.4, which MediaPipe is built with, does."""
REACH = (-32_768 * PARTS, 32_767 * PARTS)
"""Of a place, in parts: what OpenCV can address."""


@dataclass(frozen=True)
class Square:
    """Part of an image, and what lies beside it.

    Attributes:
        x, y: of its middle, pixels.
        side: pixels.
        angle: by which it is turned, radians, clockwise.
    """

    x: float
    y: float
    side: float
    angle: float = 0.0

    def on_image(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """``[N, 2]``: x, y as shares of the square -> pixels of the image."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        turned = (points - 0.5) @ np.array([[cos, sin], [-sin, cos]])
        return np.asarray(turned * self.side + (self.x, self.y), np.float64)

    def upright(self) -> NDArray[np.float64]:
        """Left, top, right, bottom of a square of its size that is not turned, pixels."""
        half = self.side / 2
        return np.array([self.x - half, self.y - half, self.x + half, self.y + half])


def around(height: int, width: int) -> Square:
    """The smallest square around an image."""
    return Square(width / 2, height / 2, max(height, width))


def along(
    start: Sequence[float],
    end: Sequence[float],
    middle: Sequence[float],
    sides: tuple[float, float],
    shift: float,
    scale: float,
) -> Square:
    """The square in which what points from ``start`` to ``end`` points upwards.

    Args:
        start, end: x, y, pixels.
        middle: x, y of the middle before it is shifted, pixels.
        sides: width and height of what it is around, pixels; the longer one counts.
        shift: down, as a share of the height, in the direction of the turned square.
        scale: of the longer side.
    """
    angle = math.pi / 2 - math.atan2(start[1] - end[1], end[0] - start[0])
    angle -= 2 * math.pi * math.floor((angle + math.pi) / (2 * math.pi))
    down = sides[1] * shift
    return Square(middle[0] - down * math.sin(angle), middle[1] + down * math.cos(angle), max(sides) * scale, angle)


def cut_out(rgb: Pixels, square: Square, size: int, beside: Literal["black", "edge"]) -> Pixels:
    """``uint8 [H, W, 3]`` -> ``uint8 [size, size, 3]``: what is in a square.

    Args:
        rgb: the image; sides of at most 32,766 pixels, which OpenCV can address.
        square: which part of it.
        size: of the result, pixels.
        beside: what stands for the outside of the image: black, or the nearest pixel of its edge.
    """
    import cv2

    start, right, below = square.on_image(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    steps = np.arange(size) / size
    x, y = (start[k] + steps * (right - start)[k] + steps[:, None] * (below - start)[k] for k in (0, 1))
    parts = [np.clip(np.rint(places * PARTS), *REACH).astype(np.int32) for places in (x, y)]
    whole = np.stack([part >> 5 for part in parts], axis=-1).astype(np.int16)
    between = ((parts[1] & (PARTS - 1)) * PARTS + (parts[0] & (PARTS - 1))).astype(np.uint16)
    border = cv2.BORDER_CONSTANT if beside == "black" else cv2.BORDER_REPLICATE
    return np.asarray(cv2.remap(rgb, whole, between, cv2.INTER_LINEAR, borderMode=border), np.uint8)
