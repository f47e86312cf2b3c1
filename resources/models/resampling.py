"""Resizing as Pillow does it, bit for bit, without Pillow's copies and without the GIL.

Belongs here: the arithmetic of Pillow's ``Image.resize`` on 8-bit RGB (``Resample.c`` of Pillow 13): weights in fixed point with
22 bits, one direction after the other, rounded to 8 bits in between. Does not belong here: which size and filter a model wants
(``preprocessing.py``). Only workers import this module: numba is heavy.

Pillow copies an image into 4 bytes a pixel, and walks each row with one multiplication at a time. Here the rows of an image
turned on its side are added up as vectors, which is the same sum. Up to Pillow 12 rows always came first: its last bit differs
for images that lose far more height than width.
"""

import math
import threading
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
from numba import njit, types
from numpy import int32, uint8
from numpy.typing import NDArray

from resources.lanes import OPTIONS, add, mul, shift_right_signed

Pixels = NDArray[np.uint8]
Filter = Literal["bicubic", "bilinear", "lanczos", "box"]
Table: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]
BITS = 22
"""Of the fraction of a weight: 8 bits are the level's, 2 are left for sums beyond the range."""
CHUNK = 4096
"""Sums that are kept at once: they stay in the first cache."""


def resize(rgb: Pixels, height: int, width: int, kind: Filter) -> Pixels:
    """What ``PIL.Image.fromarray(rgb).resize((width, height), kind)`` gives. Thread-safe.

    Args:
        rgb: ``uint8 [H, W, 3]``.
        height: of the result, at least 1.
        width: likewise.
        kind: a Pillow filter; antialiased, as Pillow's are.

    Returns:
        ``uint8 [height, width, 3]``.
    """
    high, wide = rgb.shape[:2]
    if high > height and high - height > 2 * (wide - width):
        return to_width(to_height(rgb, height, kind), width, kind)
    if wide == width or high == height:
        return to_height(to_width(rgb, width, kind), height, kind)
    starts, counts, _ = table_of_weights(high, height, kind)
    first, last = int(starts[0]), int(starts[-1] + counts[-1])  # an enlarged image may use fewer rows than it has
    return to_height(to_width(rgb[first:last], width, kind), height, kind, first, high)


def to_width(rgb: Pixels, width: int, kind: Filter) -> Pixels:
    """``uint8 [H, W, 3]`` -> ``uint8 [H, width, 3]``: each row by itself."""
    import cv2

    if rgb.shape[1] == width:
        return rgb
    turned = cv2.transpose(rgb)
    return cv2.transpose(to_height(turned, width, kind))  # type: ignore[arg-type, return-value]


def to_height(rgb: Pixels, height: int, kind: Filter, first: int = 0, high: int = 0) -> Pixels:
    """``uint8 [H, W, 3]`` -> ``uint8 [height, W, 3]``: each column by itself.

    Args:
        rgb: the image, or those of its rows that are used.
        height: of the result.
        kind: see ``resize``.
        first: the row of the image that ``rgb`` begins with.
        high: the height of the image; 0: of ``rgb``.
    """
    high = high or rgb.shape[0]
    if high == height:
        return rgb
    _compiled()
    starts, counts, weights = table_of_weights(high, height, kind)
    rows = np.ascontiguousarray(rgb).reshape(rgb.shape[0], -1)
    return _down(rows, first, starts, counts, weights).reshape(height, rgb.shape[1], 3)


@lru_cache(maxsize=256)
def table_of_weights(size: int, wanted: int, kind: Filter) -> Table:
    """For each of ``wanted`` pixels: its first source pixel, how many, and their weights in fixed point.

    Compiled: images of many sizes need many tables, and Python would have one thread at a time compute one.
    """
    _compiled()
    reach, number = _FILTERS[kind]
    longest = math.ceil(reach * max(size / wanted, 1.0)) * 2 + 1
    starts, counts = np.zeros(wanted, np.int64), np.zeros(wanted, np.int64)
    weights = np.zeros((wanted, longest), np.int32)
    _fill(starts, counts, weights, size, number, reach)
    for array in (starts, counts, weights):
        array.flags.writeable = False
    return starts, counts, weights


_FILTERS: dict[str, tuple[float, int]] = {
    "bicubic": (2.0, 0),
    "bilinear": (1.0, 1),
    "lanczos": (3.0, 2),
    "box": (0.5, 3),
}
"""Filter -> how far it reaches, in pixels of the smaller image, and its number below."""


@njit(**OPTIONS)
def _share(x: float, number: int) -> float:
    """The height of a filter at ``x``, by Pillow's operations."""
    if number == 0:
        x = abs(x)
        if x < 1.0:
            return (1.5 * x - 2.5) * x * x + 1
        return (((x - 5) * x + 8) * x - 4) * -0.5 if x < 2.0 else 0.0
    if number == 1:
        return 1.0 - abs(x) if abs(x) < 1.0 else 0.0
    if number == 2:
        return _sinc(x) * _sinc(x / 3) if -3.0 <= x < 3.0 else 0.0
    return 1.0 if -0.5 < x <= 0.5 else 0.0


@njit(**OPTIONS)
def _sinc(x: float) -> float:
    return 1.0 if x == 0.0 else math.sin(x * math.pi) / (x * math.pi)


@njit(**OPTIONS)
def _fill(
    starts: NDArray[np.int64],
    counts: NDArray[np.int64],
    weights: NDArray[np.int32],
    size: int,
    number: int,
    reach: float,
) -> None:
    """Every operation in Pillow's order, because sums of floating-point numbers depend on it."""
    scale = size / starts.size
    stretch = max(scale, 1.0)
    support = reach * stretch
    found = np.zeros(weights.shape[1], np.float64)
    for place in range(starts.size):
        centre = (place + 0.5) * scale
        start = max(0, int(centre - support + 0.5))
        count = min(size, int(centre + support + 0.5)) - start
        total = 0.0
        for n in range(count):
            found[n] = _share((n + start - centre + 0.5) * (1.0 / stretch), number)
            total += found[n]
        starts[place], counts[place] = start, count
        for n in range(count):
            share = found[n] / total if total != 0.0 else found[n]
            weights[place, n] = int((-0.5 if share < 0 else 0.5) + share * (1 << BITS))


@njit(**OPTIONS)
def _level(total: int32) -> uint8:
    level = shift_right_signed(total, int32(BITS))
    return uint8(0) if level < int32(0) else uint8(255) if level > int32(255) else uint8(level)


@njit(**OPTIONS)
def _down(
    pixels: Pixels, first: int, starts: NDArray[np.int64], counts: NDArray[np.int64], weights: NDArray[np.int32]
) -> Pixels:
    """Weighted sums of rows: ``uint8 [H, N]``, whose row 0 is ``first`` -> ``uint8 [height, N]``."""
    wide, height = pixels.shape[1], starts.size
    found = np.empty((height, wide), uint8)
    totals = np.empty(CHUNK, int32)
    for left in range(0, wide, CHUNK):
        size = min(CHUNK, wide - left)
        for place in range(height):
            for x in range(size):
                totals[x] = int32(1 << (BITS - 1))
            for n in range(counts[place]):
                weight = weights[place, n]
                row = pixels[starts[place] + n - first, left : left + size]
                for x in range(size):
                    totals[x] = add(totals[x], mul(int32(row[x]), weight))
            line = found[place, left : left + size]
            for x in range(size):
                line[x] = _level(totals[x])
    return found


_READ = types.Array(types.uint8, 2, "C", readonly=True)
_TABLE = (
    types.Array(types.int64, 1, "C", readonly=True),
    types.Array(types.int64, 1, "C", readonly=True),
    types.Array(types.int32, 2, "C", readonly=True),
)
_FILL = (
    types.Array(types.int64, 1, "C"),
    types.Array(types.int64, 1, "C"),
    types.Array(types.int32, 2, "C"),
    types.int64,
    types.int64,
    types.float64,
)
_lock = threading.Lock()
_ready = threading.Event()


def _compiled() -> None:
    """Compile the loops, or load them from numba's cache beside this file; later calls return at once."""
    if _ready.is_set():
        return
    with _lock:
        if not _ready.is_set():
            _fill.compile(_FILL)
            _down.compile((_READ, types.int64, *_TABLE))
            _ready.set()
