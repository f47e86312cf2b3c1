"""Inputs that carry where the image lies on its canvas, for models whose results have a place: boxes and maps.

Belongs here: letterboxed and padded inputs with the image's area, and taking results from the canvas back to the image. Does not
belong here: resizing (``preprocessing.py``), what a network returns (``families``). numpy only.

An input is one element of a structured type: ``pixels`` as the network takes them, and ``area``: left, top, width and height of
the image as shares of the canvas. So batches of such inputs are arrays like any other.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resources.models.entry import Preprocessing
from resources.models.preprocessing import Pixels, letterboxed, preprocess

Box = tuple[int, float, float, float, float, float]
"""Label, score, left, top, width, height: the label's index, and shares of the image's width and height."""
Point = tuple[int, float, float, float]
"""Label, score, x, y: the label's index, and shares of the image's width and height."""
WHOLE = (0.0, 0.0, 1.0, 1.0)


def placed(rgb: Pixels, how: Preprocessing) -> NDArray[Any]:
    """``uint8 [H, W, 3]`` RGB -> one input of ``pixels`` and ``area``; its shape is ``()``."""
    pixels = preprocess(rgb, how)
    found = np.zeros((), np.dtype([("pixels", pixels.dtype, pixels.shape), ("area", np.float32, (4,))]))
    found["pixels"], found["area"] = pixels, area_on_canvas(rgb.shape[0], rgb.shape[1], how)
    return found


def area_on_canvas(height: int, width: int, how: Preprocessing) -> tuple[float, float, float, float]:
    """Left, top, width, height of an image of this size on its canvas, as shares of that; the whole of it without borders."""
    if how.resize == "pad":
        side = max(height, width)
        return ((side - width) // 2 / side, (side - height) // 2 / side, width / side, height / side)
    if how.resize != "letterbox":
        return WHOLE
    (canvas_height, canvas_width), (high, wide) = letterboxed(height, width, how)
    corner = how.anchor == "corner"
    top, left = (0, 0) if corner else ((canvas_height - high) // 2, (canvas_width - wide) // 2)
    return (left / canvas_width, top / canvas_height, wide / canvas_width, high / canvas_height)


def without_borders(maps: NDArray[Any], areas: NDArray[np.float32]) -> list[NDArray[Any]]:
    """``[N, …, h, w]`` over the canvas -> N maps over the image alone; at least one row and column of each."""
    height, width = maps.shape[-2:]
    found = []
    for one, (left, top, wide, high) in zip(maps, areas.astype(np.float64), strict=True):
        first, start = min(round(top * height), height - 1), min(round(left * width), width - 1)
        last = max(first + 1, round((top + high) * height))
        found.append(one[..., first:last, start : max(start + 1, round((left + wide) * width))])
    return found


def in_image(boxes: Iterable[Box], area: NDArray[np.float32]) -> list[Box]:
    """Boxes in shares of the canvas -> in shares of the image, cut at its borders; those outside of it are left out."""
    left, top, wide, high = (float(part) for part in area)
    found: list[Box] = []
    for label, score, x, y, w, h in boxes:
        x0, x1 = (min(1.0, max(0.0, (edge - left) / wide)) for edge in (x, x + w))
        y0, y1 = (min(1.0, max(0.0, (edge - top) / high)) for edge in (y, y + h))
        if x1 > x0 and y1 > y0:
            found.append((label, score, x0, y0, x1 - x0, y1 - y0))
    return found


def on_image(points: Iterable[Point], area: NDArray[np.float32]) -> list[Point]:
    """Points in shares of the canvas -> in shares of the image; one beside the image is below 0 or above 1."""
    left, top, wide, high = (float(part) for part in area)
    if not wide or not high:  # the rows that fill up a batch have no area
        return []
    return [(label, score, (x - left) / wide, (y - top) / high) for label, score, x, y in points]


def distinct(
    places: NDArray[np.float32], scores: NDArray[np.float32], labels: NDArray[np.int64], overlap: float
) -> list[Box]:
    """Boxes that do not overlap a better one: greedy non-maximum suppression, whatever their labels.

    Args:
        places: ``[N, 4]``: left, top, width, height.
        scores: ``[N]``.
        labels: ``[N]``.
        overlap: intersection over union beyond which only the box of the higher score is kept.

    Returns:
        The most certain first.
    """
    order = list(np.argsort(-scores, kind="stable"))
    kept: list[int] = []
    for one in order:
        if all(_overlap(places[one], places[other]) <= overlap for other in kept):
            kept.append(int(one))
    return [(int(labels[k]), float(scores[k]), *_four(places[k])) for k in kept]


def _four(place: NDArray[np.float32]) -> tuple[float, float, float, float]:
    left, top, wide, high = (float(part) for part in place)
    return left, top, wide, high


def _overlap(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Intersection over union."""
    wide = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    high = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    if wide <= 0 or high <= 0:
        return 0.0
    both = float(wide * high)
    return both / (float(one[2] * one[3] + other[2] * other[3]) - both)
