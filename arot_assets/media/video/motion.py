"""Motion between two pictures 1/12 s apart: of the camera, and of what moves against it.

Belongs here: the rows of ``steps``. Does not belong here: motion of a clip (an aggregate of these rows). Only workers
import this module.

Dense optical flow (DIS, ultrafast) on the working grid, to which an affine motion is fitted: robustly, so that a
subject does not pull it, and weighted by texture, because flow says nothing about a plain sky. What the fit leaves is
the subject. Units are widths of the picture a second, whatever its size and frame rate. Signs are of the camera: to the
right, up, towards the picture, and counter-clockwise are positive.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from arot_assets.media.video.affine import affine

Floats = NDArray[np.float32]

EVERY = 1 / 12
"""Seconds between the pictures of a step."""
FAR = 0.07
"""Widths a step above which the finer, slower flow is computed."""
STRIDE = 4
"""Every so many cells of the flow are used for the fit."""
MOVING = 0.05
"""Widths a second above which a cell counts as part of a subject."""


class Motion:
    """Makes the rows of ``steps`` of one film."""

    def __init__(self) -> None:
        import cv2

        self._fast: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._fine: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._before: tuple[int, float, NDArray[np.uint8]] | None = None

    def add(self, n: int, seconds: float, y: NDArray[np.uint8], fresh: bool = False) -> dict[str, Any] | None:
        """Take a frame; gives a row if it ends a step.

        Args:
            n: its ordinal.
            seconds: when it is shown.
            y: ``uint8 [h, w]``, its luma on the grid.
            fresh: whether it has nothing to do with the frame before.
        """
        before = self._before
        if before is None or fresh or before[2].shape != y.shape or seconds <= before[1]:
            self._before = (n, seconds, y)
            return None
        passed = seconds - before[1]
        if passed < EVERY * 0.98:
            return None
        self._before = (n, seconds, y)
        return {"n0": before[0], "n1": n, "seconds": passed} | self._between(before[2], y, passed)

    def _between(self, first: NDArray[np.uint8], second: NDArray[np.uint8], seconds: float) -> dict[str, float]:
        width = first.shape[1]
        flow = self._fast.calc(first, second, None)
        if any(_median_exceeds(np.abs(flow[..., k]), FAR * width) for k in range(2)):
            flow = self._fine.calc(first, second, None)
        part = np.ascontiguousarray(flow[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE])
        texture = np.ascontiguousarray(_texture(first)[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE])
        rest, weights = np.empty(texture.shape, np.float32), np.empty(texture.shape, np.float32)
        fit = affine(part, texture, STRIDE, rest, weights)
        unit = width * seconds
        total, left = np.hypot(part[..., 0], part[..., 1]) / unit, rest / unit
        return {
            "total": float(total.mean()),
            "p90": _percentile(total, 90),
            "cam_x": float(-fit[0, 2] / unit),
            "cam_y": float(fit[1, 2] / unit),
            "zoom": float((fit[0, 0] + fit[1, 1]) / 2 / seconds),
            "roll": float((fit[1, 0] - fit[0, 1]) / 2 / seconds),
            "subject": float(left.mean()),
            "subject_p95": _percentile(left, 95),
            "subject_area": float(np.count_nonzero(left > MOVING) / left.size),
            "inliers": float(np.count_nonzero(weights > 0.5) / weights.size),
        }


def _median_exceeds(values: Floats, limit: float) -> bool:
    """Whether the median is above a limit: by counting, 20 times as fast as a median, which decides only a tie."""
    above, half = int(np.count_nonzero(values > np.float64(limit))), values.size / 2
    return above > half or (above == half and float(np.median(values)) > limit)


def _percentile(values: Floats, percent: int) -> float:
    """As ``np.percentile`` computes it, a sixth of its time for a few values."""
    place = (values.size - 1) * (percent / 100)
    k = int(place)
    share = place - k
    part = np.partition(values.ravel(), (k, min(k + 1, values.size - 1)))
    low, high = part[k], part[min(k + 1, values.size - 1)]
    return float(high - (high - low) * (1 - share) if share >= 0.5 else low + (high - low) * share)


def _texture(picture: NDArray[np.uint8]) -> Floats:
    """How much each cell has that flow can follow: 0 in a plain area, 1 with plenty."""
    import cv2

    gradient = np.abs(cv2.Sobel(picture, cv2.CV_32F, 1, 0)) + np.abs(cv2.Sobel(picture, cv2.CV_32F, 0, 1))
    around = np.asarray(cv2.boxFilter(gradient, -1, (9, 9)), np.float32)
    return around / (around + 16)
