"""The decoded image as every metric sees it.

Belongs here: the pixels of one sample and what metrics share of them (the gray levels), computed once.
Does not belong here: decoding (``datasets.decode``) and any measurement.
"""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray


class Image:
    """One decoded sample: upright, opaque (alpha over white), sRGB.

    Attributes:
        rgb: ``uint8 [H, W, 3]`` RGB, C-contiguous, 0-255. Metrics must not write to it: all of them share it.
    """

    def __init__(self, rgb: NDArray[np.uint8]) -> None:
        self.rgb = rgb

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return int(self.rgb.shape[0])

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return int(self.rgb.shape[1])

    @cached_property
    def gray(self) -> NDArray[np.uint8]:
        """``uint8 [H, W]`` luma by BT.601, bit-equal to OpenCV's ``COLOR_RGB2GRAY``; computed once for all metrics.

        A metric that makes the same levels on its way may set them.
        """
        import cv2

        return cv2.cvtColor(self.rgb, cv2.COLOR_RGB2GRAY)  # type: ignore[return-value]
