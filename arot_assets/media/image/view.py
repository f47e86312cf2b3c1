"""The decoded image as every metric sees it.

Belongs here: the pixels of one sample and what metrics derive from them together (the gray levels), computed once. Does
not belong here: decoding (``decode.py``) and any measurement.
"""

import numpy as np
from numpy.typing import NDArray


class Image:
    """One decoded sample: upright, opaque (alpha over white), sRGB.

    Attributes:
        rgb: ``uint8 [H, W, 3]`` RGB, C-contiguous, 0-255, read-only, because all metrics share it.
    """

    def __init__(self, rgb: NDArray[np.uint8]) -> None:
        self.rgb = rgb.view()
        self.rgb.flags.writeable = False
        self._gray: NDArray[np.uint8] | None = None

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return int(self.rgb.shape[0])

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return int(self.rgb.shape[1])

    @property
    def gray(self) -> NDArray[np.uint8]:
        """``uint8 [H, W]`` luma by BT.601, bit-equal to OpenCV's ``COLOR_RGB2GRAY``; computed once for all metrics, read-only.

        A metric that computes the same levels anyway may set them.
        """
        if self._gray is None:
            import cv2

            self.gray = cv2.cvtColor(self.rgb, cv2.COLOR_RGB2GRAY)  # type: ignore[assignment]
        assert self._gray is not None
        return self._gray

    @gray.setter
    def gray(self, levels: NDArray[np.uint8]) -> None:
        self._gray = levels.view()
        self._gray.flags.writeable = False
