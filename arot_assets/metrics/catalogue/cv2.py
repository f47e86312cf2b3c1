"""Metric ``cv2``: what the pixels alone tell about an image: exposure, colour, detail, noise, compression, borders.

The first eight columns are the classic ones of ``metrics-cv2`` (same definitions, on RGB in the right order); the others are
better measures of what those are used for. All are computed at full resolution, in one decode; the loops and their exact
integer sums are in ``metrics/kernels.py``, the meaning of the sums is here.
"""

import math
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from arot_assets.media.image.view import Image
from arot_assets.metrics.metric import Column, Row, image_metric

if TYPE_CHECKING:
    from arot_assets.metrics.kernels import Sums

CLIP = 2  # gray levels from the end of the scale that count as clipped: JPEG leaves ripples of this size
WORKING_SIDE = 512  # pixels: the smallest size that image generators are trained at
BORDER_RANGE = 16  # gray levels within a line of a border, and between the lines of one: twice the ripple of JPEG q75
GRAY_SHARE = 1e-4  # of the pixels may be coloured in a grayscale image

_EIGHT = (
    Column("edge_density", pa.float32(), "share of edge pixels times 255 (Canny 100/200 of OpenCV), 0-255", 0, 255),
    Column("focus_measure", pa.float32(), "variance of the Laplacian over all pixels: `cv2.Laplacian(gray, cv2.CV_64F).var()`, "
           "of gray levels as `cv2.COLOR_RGB2GRAY` rounds them: the four neighbours minus 4 times the pixel, with the picture "
           "mirrored beyond its border without repeating the outermost pixels; gray levels squared; falls with blur and with "
           "size", 0, 1020**2),
    Column("noise_level", pa.float32(), "standard deviation of the same Laplacian, gray levels: the root of focus_measure; "
           "for noise see noise_sigma", 0, 1020),
    Column("texture_score", pa.float32(), "variance of the local binary pattern (8 points, radius 1, uniform; values 0-9). "
           "Exact integer arithmetic: a tie with the centre counts as 1 (not darker). scikit-image's floats round the ties of "
           "diagonal points either way: its value differs by up to 2.3 % on photos", 0, 20.25),
    Column("saturation", pa.float32(), "mean S of HSV as OpenCV rounds it, 0-255", 0, 255),
    Column("contrast", pa.float32(), "standard deviation of the gray levels, 0-127.5", 0, 127.5),
    Column("brightness", pa.float32(), "mean gray level (BT.601), 0-255", 0, 255),
    Column("avg_dynamic_range", pa.float32(), "gray levels between the 5th and the 95th percentile, 0-255", 0, 255),
)  # fmt: skip
_MORE = (
    Column("noise_sigma", pa.float32(), "standard deviation of the noise, gray levels (Immerkaer 1996); fine texture counts "
           "as noise; 0 below 3 x 3 pixels", 0, 427),
    Column("sharpness", pa.float32(), "root mean square of the Laplacian (the four neighbours minus 4 times the pixel) after "
           "averaging by area down to a long side of 512 pixels (the other rounded to whole pixels, the averages not rounded), "
           "over what is left without its outermost rows and columns, whose neighbours are not all there; gray levels. Copies of "
           "one image between 512 and 1024 pixels differ: by a fifth as a "
           "rule, by 27 % at most on our examples, since averaging by a ratio that is not whole blurs more; compare images of "
           "one size. Below 512 pixels nothing is averaged and the value depends on the size; 0 below 3 x 3 pixels", 0, 1020),
    Column("colourfulness", pa.float32(), "Hasler and Suesstrunk 2003: 0 gray, 15 slightly, 45 averagely, 82 highly, "
           "above 109 extremely colourful", 0, 300),
    Column("entropy", pa.float32(), "Shannon entropy of the gray histogram, bits, 0-8", 0, 8),
    Column("clipped_black", pa.float32(), "share of pixels with a gray level of 0-2, 0-1", 0, 1),
    Column("clipped_white", pa.float32(), "share of pixels with a gray level of 253-255, 0-1", 0, 1),
    Column("blockiness", pa.float32(), "how much larger steps between neighbouring pixels are on the borders of the 8 x 8 "
           "blocks of JPEG than elsewhere, gray levels (mean on borders minus mean elsewhere); about 0 without blocks",
           -255, 255),
    Column("is_grayscale", pa.bool_(), "whether at most 1 pixel in 10,000 has channels more than 8 levels apart"),
    *(
        Column(f"border_{side}", pa.float32(), f"share of the {of} that a plain bar at the {side} covers (letterbox, margin), "
               "0-1; an image of one level is all border: 1", 0, 1)
        for side, of in (("top", "height"), ("bottom", "height"), ("left", "width"), ("right", "width"))
    ),
)  # fmt: skip


@image_metric(version="1", columns=(*_EIGHT, *_MORE))
def cv2(image: Image) -> Row:
    """Exposure, colour, detail, noise, compression and borders, from the pixels alone (the classic OpenCV metrics and better
    ones).

    Defined for every size from 1 x 1: a measure that needs neighbours is 0 if there are none.
    """
    from arot_assets.metrics import canny, kernels, textures

    kernels.warm_up(*kernels.KERNELS)
    gray = np.empty((image.height, image.width), np.uint8)
    sums = kernels.scan(image.rgb, gray)
    image.gray = gray  # other metrics of this decode need it as well
    pixels = gray.size
    laplacian, laplacian2, immerkaer, lbp, lbp2 = map(int, textures.texture_sums(gray))
    focus = _variance(laplacian, laplacian2, pixels)
    saturation, coloured = int(sums.colours[0]), int(sums.colours[1])
    inner = max(image.height - 2, 0) * max(image.width - 2, 0)
    top, bottom = _bars(sums.row_range)
    left, right = _bars(sums.column_range)
    return {
        "edge_density": 255 * int(canny.count_edges(gray)) / pixels,
        "focus_measure": focus,
        "noise_level": math.sqrt(focus),
        "texture_score": _variance(lbp, lbp2, pixels),
        "saturation": saturation / pixels,
        **_exposure(sums.histogram),
        "noise_sigma": math.sqrt(math.pi / 2) * immerkaer / (6 * inner) if inner else 0.0,
        "sharpness": _sharpness(gray),
        "colourfulness": _colourfulness(sums, pixels),
        "blockiness": _blockiness(sums.steps, image.height, image.width),
        "is_grayscale": coloured <= GRAY_SHARE * pixels,
        "border_top": top,
        "border_bottom": bottom,
        "border_left": left,
        "border_right": right,
    }


def _variance(total: int, squares: int, count: int) -> float:
    """Population variance, from exact integer sums: no cancellation."""
    return (count * squares - total * total) / count**2


def _exposure(histogram: NDArray[np.int64]) -> dict[str, float]:
    """The measures that the gray histogram alone gives."""
    pixels = int(histogram.sum())
    levels = np.arange(256)
    below = histogram.cumsum()
    low, high = (int(np.argmax(100 * below >= percent * pixels)) for percent in (5, 95))
    total, squares = int(histogram @ levels), int(histogram @ (levels * levels))
    shares = histogram[histogram > 0] / pixels
    return {
        "contrast": math.sqrt(_variance(total, squares, pixels)),
        "brightness": total / pixels,
        "avg_dynamic_range": float(high - low),
        "entropy": max(0.0, float(-(shares * np.log2(shares)).sum())),
        "clipped_black": float(histogram[: CLIP + 1].sum() / pixels),
        "clipped_white": float(histogram[-CLIP - 1 :].sum() / pixels),
    }


def _sharpness(gray: NDArray[np.uint8]) -> float:
    """Detail at a fixed working size, so that copies of different sizes compare roughly; see the column's text."""
    from arot_assets.metrics import kernels, textures

    height, width = gray.shape
    ratio = min(1.0, WORKING_SIDE / max(height, width))
    cells = kernels.shrink(gray, max(1, round(height * ratio)), max(1, round(width * ratio)))
    return math.sqrt(textures.laplacian_energy(cells, 1.0 / (height * width)))


def _colourfulness(sums: "Sums", pixels: int) -> float:
    """Spread and distance from gray in the opponent colours rg = R - G and yb = (R + G) / 2 - B."""
    rg, rg2, yb, yb2 = (int(s) for s in sums.colours[2:])  # yb is doubled: an integer
    spread = math.sqrt(_variance(rg, rg2, pixels) + _variance(yb, yb2, pixels) / 4)
    distance = math.hypot(rg / pixels, yb / 2 / pixels)
    return spread + 0.3 * distance


def _blockiness(steps: NDArray[np.int64], height: int, width: int) -> float:
    """Mean step across the borders of 8 x 8 blocks minus the mean of the other steps; 0 below 9 pixels a side."""
    on = np.arange(8) == 7
    pairs = np.array(
        [
            [len(range(k, width - 1, 8)) * height for k in range(8)],
            [len(range(k, height - 1, 8)) * width for k in range(8)],
        ]
    )
    across, within = pairs[:, on].sum(), pairs[:, ~on].sum()
    if across == 0:
        return 0.0
    return float(steps[:, on].sum() / across - steps[:, ~on].sum() / within)


def _bars(extremes: NDArray[np.uint8]) -> tuple[float, float]:
    """Shares of the lines, from the first and from the last on, that are plain and like the outermost line.

    Args:
        extremes: uint8 [2, N], darkest and brightest level of each line.
    """
    return _bar(extremes), _bar(extremes[:, ::-1])


def _bar(extremes: NDArray[np.uint8]) -> float:
    lowest, highest = np.minimum.accumulate(extremes[0]), np.maximum.accumulate(extremes[1])
    outside = highest.astype(int) - lowest > BORDER_RANGE
    return float(np.argmax(outside) / outside.size) if outside.any() else 1.0
