"""Compiled loops over pixels: the sums that the metrics ``cv2`` and ``phash`` are made of, in one walk over the rows.

Belongs here: functions from pixel arrays to exact integer sums, compiled by numba, running without the GIL and in
several threads at once. Does not belong here: Canny (``canny.py``), the Laplacian and local binary patterns
(``textures.py``), and what the sums mean (``catalogue/cv2.py``, ``catalogue/phash.py``).
Only workers import this module: numba is heavy.

Each row of the image is split into planes that stay in the first cache and every measure reads them there, with
arithmetic on 8, 16 and 32 bits (``lanes.py``). The sums of one row fit 32 bits, the totals of an image are 64 bits wide
and exact: the order of the work can't change a value.
"""

import logging
import threading
import time
from collections import namedtuple
from typing import Any

import numpy as np
from numba import njit, types
from numpy import float32, int16, int32, int64, uint8, uint32
from numpy.typing import NDArray

from arot_assets.metrics import canny, textures
from resources.lanes import (
    OPTIONS,
    add,
    mul,
    shift_right,
    shift_right_signed,
    sub,
)
from resources.memory import release_loaded

log = logging.getLogger(__name__)

Bytes = NDArray[np.uint8]
Counts = NDArray[np.int64]

CHROMA = 8  # channels that differ by no more than this look gray: JPEG and scanners leave as much on a gray page
CHUNK = 2048  # pixels handled at once: three planes of them stay in the first cache, and sums of squares fit 32 bits

Sums = namedtuple("Sums", "histogram colours steps row_range column_range")
"""What ``scan`` finds in an image of H x W pixels; every number is an exact integer (int64).

histogram [256]: pixels of each gray level.
colours [6]: sum of S (0-255, OpenCV's HSV); pixels whose channels differ by more than ``CHROMA``; sums of R-G, of its
    square, of R+G-2B, of its square.
steps [2, 8]: sums of |difference| to the right and to the lower neighbour, by column or row modulo 8.
row_range uint8 [2, H], column_range uint8 [2, W]: darkest and brightest gray level of each row and column.
"""


@njit(**OPTIONS)
def _split(pixels: Bytes, red: Bytes, green: Bytes, blue: Bytes) -> None:
    for x in range(red.size):
        red[x] = pixels[3 * x]
        green[x] = pixels[3 * x + 1]
        blue[x] = pixels[3 * x + 2]


@njit(**OPTIONS)
def _luma(red: Bytes, green: Bytes, blue: Bytes, gray: Bytes) -> None:
    """BT.601 in 15 bits, the coefficients and rounding of OpenCV's RGB2GRAY."""
    for x in range(gray.size):
        weighted = add(mul(uint32(red[x]), uint32(9798)), mul(uint32(green[x]), uint32(19235)))
        gray[x] = uint8(
            shift_right(add(add(weighted, mul(uint32(blue[x]), uint32(3735))), uint32(1 << 14)), uint32(15))
        )


@njit(**OPTIONS)
def _saturation(red: Bytes, green: Bytes, blue: Bytes) -> Any:
    """Sum of S, and the number of coloured pixels. OpenCV's S is ``(chroma * round(255 * 4096 / value) + 2048) >> 12``."""
    total = int32(0)
    coloured = int32(0)
    for x in range(red.size):
        value = max(max(red[x], green[x]), blue[x])
        chroma = sub(value, min(min(red[x], green[x]), blue[x]))
        scale = int32(np.rint(float32(255 << 12) / float32(int32(max(value, uint8(1))))))
        total = add(total, shift_right_signed(add(mul(int32(chroma), scale), int32(2048)), int32(12)))
        coloured = add(coloured, int32(chroma > uint8(CHROMA)))
    return total, coloured


@njit(**OPTIONS)
def _opponents(red: Bytes, green: Bytes, blue: Bytes) -> Any:
    """Sums of R-G and R+G-2B and of their squares, over at most CHUNK pixels."""
    rg, rg2, yb, yb2 = int32(0), int32(0), int32(0), int32(0)
    for x in range(red.size):
        r, g, b = int16(red[x]), int16(green[x]), int16(blue[x])
        first = sub(r, g)
        second = sub(add(r, g), add(b, b))
        rg = add(rg, int32(first))
        rg2 = add(rg2, mul(int32(first), int32(first)))
        yb = add(yb, int32(second))
        yb2 = add(yb2, mul(int32(second), int32(second)))
    return rg, rg2, yb, yb2


@njit(**OPTIONS)
def _count(gray: Bytes, histogram: Counts) -> None:
    """Four histograms in turn, so that equal neighbours don't wait for each other."""
    for x in range(gray.size // 4):
        histogram[0, gray[4 * x]] += 1
        histogram[1, gray[4 * x + 1]] += 1
        histogram[2, gray[4 * x + 2]] += 1
        histogram[3, gray[4 * x + 3]] += 1
    for x in range(gray.size // 4 * 4, gray.size):
        histogram[0, gray[x]] += 1


@njit(**OPTIONS)
def _row_range(gray: Bytes) -> Any:
    low, high = uint8(255), uint8(0)
    for x in range(gray.size):
        low = min(low, gray[x])
        high = max(high, gray[x])
    return low, high


@njit(**OPTIONS)
def _widen(gray: Bytes, low: Bytes, high: Bytes) -> None:
    for x in range(gray.size):
        low[x] = min(low[x], gray[x])
        high[x] = max(high[x], gray[x])


@njit(**OPTIONS)
def _steps(above: Bytes, gray: Bytes) -> Any:
    """Sum of |difference| of two rows."""
    total = int32(0)
    for x in range(gray.size):
        total = add(total, int32(sub(max(above[x], gray[x]), min(above[x], gray[x]))))
    return total


@njit(**OPTIONS)
def _side_steps(gray: Bytes, columns: NDArray[np.uint32]) -> None:
    """Add |difference| to the right neighbour to each column's sum."""
    for x in range(gray.size - 1):
        columns[x] = add(columns[x], uint32(sub(max(gray[x], gray[x + 1]), min(gray[x], gray[x + 1]))))


@njit(**OPTIONS)
def _colour_row(pixels: Bytes, gray: Bytes, planes: Bytes, totals: Counts) -> None:
    """One row of RGB: fills ``gray`` and adds to ``totals``, the colours of ``Sums``."""
    for start in range(0, gray.size, CHUNK):
        stop = min(start + CHUNK, gray.size)
        red, green, blue = planes[0, : stop - start], planes[1, : stop - start], planes[2, : stop - start]
        _split(pixels[3 * start : 3 * stop], red, green, blue)
        _luma(red, green, blue, gray[start:stop])
        saturation, coloured = _saturation(red, green, blue)
        rg, rg2, yb, yb2 = _opponents(red, green, blue)
        totals[0] += saturation
        totals[1] += coloured
        totals[2] += rg
        totals[3] += rg2
        totals[4] += yb
        totals[5] += yb2


@njit(**OPTIONS)
def scan(rgb: Bytes, gray: Bytes) -> Sums:
    """One walk over an image.

    Args:
        rgb: uint8 [H, W, 3] RGB, C-contiguous, H, W >= 1.
        gray: uint8 [H, W], C-contiguous; filled with the luma by BT.601, bit-equal to OpenCV's RGB2GRAY.
    """
    height, width = gray.shape
    planes, side_steps = np.empty((3, CHUNK), uint8), np.zeros(width, uint32)
    histogram, colours, steps = np.zeros((4, 256), int64), np.zeros(6, int64), np.zeros((2, 8), int64)
    row_range, column_range = np.empty((2, height), uint8), np.empty((2, width), uint8)
    column_range[0], column_range[1] = uint8(255), uint8(0)
    for y in range(height):
        row = gray[y]
        _colour_row(rgb[y].reshape(-1), row, planes, colours)
        _count(row, histogram)
        row_range[0, y], row_range[1, y] = _row_range(row)
        _widen(row, column_range[0], column_range[1])
        _side_steps(row, side_steps)
        if y > 0:
            steps[1, (y - 1) % 8] += _steps(gray[y - 1], row)
    for x in range(width):
        steps[0, x % 8] += int64(side_steps[x])
    return Sums(histogram.sum(axis=0), colours, steps, row_range, column_range)


@njit(**OPTIONS)
def _weigh(gray: Bytes, weight: int, sums: NDArray[np.uint32]) -> None:
    for x in range(gray.size):
        sums[x] = add(sums[x], mul(uint32(gray[x]), uint32(weight)))


@njit(**OPTIONS)
def shrink(gray: Bytes, rows: int, columns: int) -> Counts:
    """Exact area averages: the image cut into ``rows`` x ``columns`` equal cells, pixels on a border counted in part.

    Args:
        gray: uint8 [H, W], C-contiguous, H < 2**24.
        rows: cells from top to bottom; may exceed H.
        columns: cells from left to right; may exceed W.

    Returns:
        int64 [rows, columns]: the mean gray level of each cell times H * W.
    """
    height, width = gray.shape
    cells = np.empty((rows, columns), int64)
    upto = np.zeros(width + 1, int64)  # sum of the columns left of x
    edges = np.arange(1, columns + 1) * width // columns  # the column that the right border of cell i cuts …
    parts = np.arange(1, columns + 1) * width - edges * columns  # … and how much of it lies left of the border
    for j in range(rows):  # in units of 1 / rows of a pixel, cell j is [j * height, (j + 1) * height)
        sums = np.zeros(width + 1, uint32)
        begin, end = j * height, (j + 1) * height
        for y in range(begin // rows, (end + rows - 1) // rows):
            _weigh(gray[y], min(end, (y + 1) * rows) - max(begin, y * rows), sums[:width])
        for x in range(width):
            upto[x + 1] = upto[x] + int64(sums[x])
        before = int64(0)
        for i in range(columns):
            here = upto[edges[i]] * columns + int64(sums[edges[i]]) * parts[i]
            cells[j, i] = here - before
            before = here
    return cells


_READ = types.Array(types.uint8, 2, "C", readonly=True)
KERNELS = {
    scan: (types.Array(types.uint8, 3, "C", readonly=True), types.Array(types.uint8, 2, "C")),
    shrink: (_READ, types.int64, types.int64),
    textures.texture_sums: (_READ,),
    textures.laplacian_energy: (types.Array(types.int64, 2, "C"), types.float64),
    canny.count_edges: (_READ,),
}
"""What metrics call, and what each takes."""
_lock = threading.Lock()
_ready: set[Any] = set()


def warm_up(*kernels: Any) -> None:
    """Compile kernels, or load them from numba's cache beside this file; later calls return at once.

    All of them take about 20 s the first time after an install or a change of the code (a log line says so), then well under
    1 s; a metric asks for those that it calls.
    """
    if _ready.issuperset(kernels):
        return
    with _lock:
        if _ready.issuperset(kernels):
            return
        started = time.monotonic()
        notice = threading.Timer(1.5, log.info, ["compiling the image kernels: once after an install, about 20 s"])
        notice.daemon = True
        notice.start()
        try:
            for kernel in kernels:
                if kernel not in _ready:
                    kernel.compile(KERNELS[kernel])
                    kernel.disable_compile()
        finally:
            notice.cancel()
        release_loaded()  # the compiler has done its work
        _ready.update(kernels)
        log.debug("image kernels ready after %.1f s", time.monotonic() - started)
