"""What a detector of fixed anchors found: boxes with points, by the SSD detectors of Google's MediaPipe.

Belongs here: anchors, from a file's numbers to boxes and points, and which of them are the same thing. Does not belong here: the
square that a detector sees, and the image (``squares.py``). numpy only.

All places are shares of the square that the detector saw. The rules are those of MediaPipe's ``SsdAnchorsCalculator`` (anchors of
one size), ``TensorsToDetectionsCalculator`` and ``NonMaxSuppressionCalculator`` (``WEIGHTED``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resources.models.output_values import activated

CLIPPED = 100.0
"""Numbers of a score are brought between this and its negative before the sigmoid."""
PER_LAYER = 2
"""Anchors of a layer in each cell: one of its own size, one between that and the next; both count as large as the square."""


@dataclass(frozen=True)
class Detection:
    """Something that was found.

    Attributes:
        score: 0-1.
        box: left, top, right, bottom.
        points: ``float64 [K, 2]``: x, y of what else the detector tells of it.
    """

    score: float
    box: tuple[float, float, float, float]
    points: NDArray[np.float64]


def anchors(side: int, strides: Sequence[int]) -> NDArray[np.float64]:
    """``[anchors, 2]``: x, y of their middles.

    Args:
        side: of the square that the detector sees, pixels.
        strides: of its layers, pixels. Layers beside each other with the same stride share one grid, with the anchors of all in
            each cell.
    """
    found, layer = [], 0
    while layer < len(strides):
        stride, cells = strides[layer], -(-side // strides[layer])
        shared = next((k for k, other in enumerate(strides[layer:]) if other != stride), len(strides) - layer)
        middles = (np.arange(cells) + 0.5) / cells
        grid = np.stack(np.meshgrid(middles, middles), axis=-1).reshape(-1, 2)
        found.append(np.repeat(grid, shared * PER_LAYER, axis=0))
        layer += shared
    return np.concatenate(found)


def detections(
    numbers: NDArray[np.float32],
    scores: NDArray[np.float32],
    middles: NDArray[np.float64],
    side: int,
    least: float,
    overlap: float,
) -> list[Detection]:
    """What is in the square, the most certain first.

    Args:
        numbers: ``[anchors, 4 + 2 K]``: x and y of a box's middle and of its points, less those of the anchor, width and height
            of the box; pixels of the square.
        scores: ``[anchors]``, before the sigmoid.
        middles: of the anchors, see ``anchors``.
        side: of the square, pixels.
        least: score below which nothing was found.
        overlap: intersection over union beyond which two boxes are of the same thing.
    """
    sure = activated(np.clip(scores, -CLIPPED, CLIPPED), "sigmoid")
    kept = np.flatnonzero(sure >= least)
    places = numbers[kept].astype(np.float64) / side
    size = places[:, 2:4]
    places[:, :2] += middles[kept]
    points = places[:, 4:].reshape(len(kept), places.shape[1] // 2 - 2, 2) + middles[kept][:, None]
    boxes = np.concatenate([places[:, :2] - size / 2, places[:, :2] + size / 2], axis=1)
    whole = (size >= 0).all(axis=1)  # also False for what is no number
    return _merged(sure[kept][whole].astype(np.float64), boxes[whole], points[whole], overlap)


def _merged(
    scores: NDArray[np.float64], boxes: NDArray[np.float64], points: NDArray[np.float64], overlap: float
) -> list[Detection]:
    """Weighted non-maximum suppression: those that overlap the best one become one, its place their mean by score."""
    left = np.argsort(-scores, kind="stable")
    found = []
    while len(left):
        same = overlaps(boxes[left[0]], boxes[left]) > overlap
        same[0] = True
        those = left[same]
        weights = scores[those] / scores[those].sum()
        x0, y0, x1, y1 = (float(edge) for edge in weights @ boxes[those])
        found.append(Detection(float(scores[left[0]]), (x0, y0, x1, y1), np.tensordot(weights, points[those], axes=1)))
        left = left[~same]
    return found


def overlaps(one: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """``[4]`` and ``[N, 4]``: left, top, right, bottom -> ``[N]``: intersection over union."""
    sides = np.minimum(one[2:], others[:, 2:]) - np.maximum(one[:2], others[:, :2])
    both = np.clip(sides, 0, None).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1) + (one[2:] - one[:2]).prod()
    union = areas - both
    found: NDArray[np.float64] = np.divide(both, union, out=np.zeros(len(others)), where=union > 0)
    return found
