"""How a gray level differs from its eight neighbours: Laplacian, Immerkaer's noise mask, local binary patterns.

Belongs here: sums over 3 x 3 neighbourhoods, as exact integers. Does not belong here: measures of single pixels
(``kernels.py``), edges (``canny.py``), what the sums mean (``catalogue/cv2.py``). Only workers import this module.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy import int16, int32, int64, uint8, uint16, uint32
from numpy.typing import NDArray

from resources.lanes import (
    OPTIONS,
    add,
    bit_or,
    bit_xor,
    high_half,
    magnitude,
    mul,
    ones_of,
    shift_left,
    shift_right,
    sub,
)

Bytes = NDArray[np.uint8]
Words = NDArray[np.int16]
Counts = NDArray[np.int64]

CHUNK = 2048  # pixels summed at once: that many squares of a Laplacian (at most 1020) still fit 32 bits


@njit(**OPTIONS)
def _second_differences(above: Bytes, row: Bytes, below: Bytes, laplacian: Words, pattern: Words) -> None:
    """Inner pixels: the Laplacian (4 neighbours) and |Immerkaer's mask|, the difference of two Laplacians."""
    for x in range(1, row.size - 1):
        near = add(add(int16(above[x]), int16(below[x])), add(int16(row[x - 1]), int16(row[x + 1])))
        far = add(add(int16(above[x - 1]), int16(above[x + 1])), add(int16(below[x - 1]), int16(below[x + 1])))
        centre = shift_left(int16(row[x]), int16(2))
        laplacian[x] = sub(near, centre)
        pattern[x] = magnitude(sub(add(far, centre), add(near, near)))


@njit(**OPTIONS)
def _reduce(laplacian: Words, pattern: Words) -> Any:
    """Sum, sum of squares, sum of magnitudes, over at most CHUNK pixels."""
    total, squares, magnitudes = int32(0), uint32(0), int32(0)
    for x in range(laplacian.size):
        value = int32(laplacian[x])
        total = add(total, value)
        squares = add(squares, uint32(mul(value, value)))
        magnitudes = add(magnitudes, int32(pattern[x]))
    return total, squares, magnitudes


@njit(**OPTIONS)
def _laplacian_at(above: Bytes, row: Bytes, below: Bytes, x: int) -> Any:
    """The Laplacian in the first or last column; beyond the border the image is mirrored (reflect-101)."""
    before = x - 1 if x > 0 else min(1, row.size - 1)
    after = x + 1 if x + 1 < row.size else max(row.size - 2, 0)
    return int16(int64(above[x]) + int64(below[x]) + int64(row[before]) + int64(row[after]) - 4 * int64(row[x]))


@njit(**OPTIONS)
def _lbp_bits(
    centre: int,
    east: int,
    north_east: int,
    north: int,
    north_west: int,
    west: int,
    south_west: int,
    south: int,
    south_east: int,
) -> Any:
    """Bit k: is the point at k * 45 degrees on the unit circle at least as bright as the centre?

    A diagonal point lies between pixels; bilinear interpolation with a = 0.70711 makes it ``>= centre`` exactly when
    ``70711 D + 29289 (H + V) >= 0``, D, H, V being the diagonal, horizontal and vertical neighbour minus the centre.
    |H + V| <= 510, where ``floor((H + V) * 29289 / 70711)`` is ``(H + V) * 27146 >> 16``.
    """
    ratio, zero = int16(27146), int16(0)
    e, n, w, s = sub(east, centre), sub(north, centre), sub(west, centre), sub(south, centre)
    bits = uint8(1) if e >= zero else uint8(0)
    bits = bit_or(bits, uint8(2) if sub(centre, north_east) <= high_half(add(n, e), ratio) else uint8(0))
    bits = bit_or(bits, uint8(4) if n >= zero else uint8(0))
    bits = bit_or(bits, uint8(8) if sub(centre, north_west) <= high_half(add(n, w), ratio) else uint8(0))
    bits = bit_or(bits, uint8(16) if w >= zero else uint8(0))
    bits = bit_or(bits, uint8(32) if sub(centre, south_west) <= high_half(add(s, w), ratio) else uint8(0))
    bits = bit_or(bits, uint8(64) if s >= zero else uint8(0))
    return bit_or(bits, uint8(128) if sub(centre, south_east) <= high_half(add(s, e), ratio) else uint8(0))


@njit(**OPTIONS)
def _lbp_inner(above: Bytes, row: Bytes, below: Bytes, codes: Bytes) -> None:
    for x in range(1, row.size - 1):
        codes[x] = _lbp_bits(
            int16(row[x]), int16(row[x + 1]), int16(above[x + 1]), int16(above[x]), int16(above[x - 1]),
            int16(row[x - 1]), int16(below[x - 1]), int16(below[x]), int16(below[x + 1]),
        )  # fmt: skip


@njit(**OPTIONS)
def _lbp_at(above: Bytes, row: Bytes, below: Bytes, x: int) -> Any:
    """The code in the first or last column; beyond the border the image is black, as in scikit-image."""
    none = int16(0)
    first, last = x == 0, x == row.size - 1
    return _lbp_bits(
        int16(row[x]),
        none if last else int16(row[x + 1]), none if last else int16(above[x + 1]), int16(above[x]),
        none if first else int16(above[x - 1]), none if first else int16(row[x - 1]),
        none if first else int16(below[x - 1]), int16(below[x]), none if last else int16(below[x + 1]),
    )  # fmt: skip


@njit(**OPTIONS)
def _lbp_sums(codes: Bytes) -> Any:
    """Sums of the uniform value (number of ones, 9 if the circle changes more than twice) and of its square."""
    total, squares = int64(0), int64(0)
    for start in range(0, codes.size, 512):  # 512 * 9 * 9 fits 16 bits
        block = codes[start : min(start + 512, codes.size)]
        part, part2 = uint16(0), uint16(0)
        for x in range(block.size):
            code = block[x]
            turned = bit_or(shift_left(code, uint8(1)), shift_right(code, uint8(7)))
            value = uint16(ones_of(code) if ones_of(bit_xor(code, turned)) <= uint8(2) else uint8(9))
            part = add(part, value)
            part2 = add(part2, mul(value, value))
        total += int64(part)
        squares += int64(part2)
    return total, squares


@njit(**OPTIONS)
def _texture_row(gray: Bytes, y: int, black: Bytes, differences: Words, codes: Bytes, totals: Counts) -> None:
    """Adds row ``y`` of ``gray`` to ``totals``. ``black`` is a row of zeros."""
    height, width = gray.shape
    row = gray[y]
    above = gray[y - 1 if y > 0 else min(1, height - 1)]
    below = gray[y + 1 if y + 1 < height else max(height - 2, 0)]
    laplacian, pattern = differences[0], differences[1]
    _second_differences(above, row, below, laplacian, pattern)
    for x in (0, width - 1):
        laplacian[x] = _laplacian_at(above, row, below, x)
        pattern[x] = int16(0)
    inner = 0 < y < height - 1
    for start in range(0, width, CHUNK):
        stop = min(start + CHUNK, width)
        total, squares, magnitudes = _reduce(laplacian[start:stop], pattern[start:stop])
        totals[0] += total
        totals[1] += squares
        totals[2] += magnitudes if inner else 0
    above = above if y > 0 else black
    below = below if y + 1 < height else black
    _lbp_inner(above, row, below, codes)
    codes[0] = _lbp_at(above, row, below, 0)
    codes[width - 1] = _lbp_at(above, row, below, width - 1)
    values, squared = _lbp_sums(codes)
    totals[3] += values
    totals[4] += squared


@njit(**OPTIONS)
def texture_sums(gray: Bytes) -> Counts:
    """Walk over ``gray``, uint8 [H, W], C-contiguous, H, W >= 1.

    Returns:
        int64 [5]: sums of OpenCV's Laplacian (ksize 1, reflect-101 border), of its square, of |Immerkaer's mask| over
        the (H-2)(W-2) inner pixels, of the uniform LBP value (0-9) and of its square.
    """
    height, width = gray.shape
    totals, black = np.zeros(5, int64), np.zeros(width, uint8)
    differences, codes = np.zeros((2, width), int16), np.empty(width, uint8)
    for y in range(height):
        _texture_row(gray, y, black, differences, codes, totals)
    return totals


@njit(**OPTIONS)
def laplacian_energy(cells: Counts, scale: float) -> float:
    """Mean square of the Laplacian over the inner cells, 0 without any.

    Args:
        cells: int64 [H, W], C-contiguous.
        scale: what makes gray levels (0-255) of the cells; they are rounded to 1/64 of a level.

    Returns:
        In gray levels squared.
    """
    height, width = cells.shape
    levels = np.empty((3, width), int64)
    total = int64(0)
    for y in range(height):
        newest = levels[y % 3]
        for x in range(width):
            newest[x] = int64(cells[y, x] * (scale * 64.0) + 0.5)
        if y >= 2:
            above, row = levels[(y + 1) % 3], levels[(y + 2) % 3]
            for x in range(1, width - 1):
                value = above[x] + newest[x] + row[x - 1] + row[x + 1] - 4 * row[x]
                total += value * value
    return total / (64.0 * 64.0 * max((height - 2) * (width - 2), 1)) if height > 2 and width > 2 else 0.0
