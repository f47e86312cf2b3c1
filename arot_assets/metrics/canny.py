"""Canny's edge detector with the thresholds 100 and 200, as a count: how many pixels are edges.

Belongs here: Sobel, thinning and hysteresis, pixel for pixel those of OpenCV's ``Canny(gray, 100, 200)`` (aperture 3,
|dx| + |dy|). Does not belong here: other measures of the gray levels (``kernels.py``). Only workers import this module.

It is compiled here because OpenCV's takes three to five times as long on photos: it branches on every pixel
(``bench/RESULTS.md``). Three rows of gradients stay in the first cache; the thinned maxima become one bit a pixel, so that
hysteresis handles 64 pixels at once: a row takes over its weak pixels next to strong ones, and rows are swept until none
gains.
"""

import numpy as np
from numba import njit
from numpy import int16, int64, uint8, uint64
from numpy.typing import NDArray

from resources.lanes import (
    OPTIONS,
    add,
    bit_and,
    bit_or,
    bit_xor,
    choose,
    exceeds,
    high_half,
    magnitude,
    ones_of,
    shift_left,
    shift_right_signed,
    sub,
)

Bytes = NDArray[np.uint8]
Words = NDArray[np.int16]
Bits = NDArray[np.uint64]


@njit(**OPTIONS)
def _gradient(above: Bytes, row: Bytes, below: Bytes, dx: Words, dy: Words, size: Words) -> None:
    """Sobel 3x3 of inner pixels, and |dx| + |dy|; ``size`` has one more column at each side."""
    for x in range(1, row.size - 1):
        east = add(add(int16(above[x + 1]), int16(below[x + 1])), shift_left(int16(row[x + 1]), int16(1)))
        west = add(add(int16(above[x - 1]), int16(below[x - 1])), shift_left(int16(row[x - 1]), int16(1)))
        corners = add(sub(int16(below[x - 1]), int16(above[x - 1])), sub(int16(below[x + 1]), int16(above[x + 1])))
        dx[x] = sub(east, west)
        dy[x] = add(corners, shift_left(sub(int16(below[x]), int16(above[x])), int16(1)))
        size[x + 1] = add(magnitude(dx[x]), magnitude(dy[x]))


@njit(**OPTIONS)
def _gradient_at(above: Bytes, row: Bytes, below: Bytes, x: int, dx: Words, dy: Words, size: Words) -> None:
    """Sobel in the first or last column; the border is replicated."""
    w, e = max(x - 1, 0), min(x + 1, row.size - 1)
    gx = int64(above[e]) + 2 * int64(row[e]) + int64(below[e]) - int64(above[w]) - 2 * int64(row[w]) - int64(below[w])
    gy = (
        int64(below[w])
        + 2 * int64(below[x])
        + int64(below[e])
        - int64(above[w])
        - 2 * int64(above[x])
        - int64(above[e])
    )
    dx[x], dy[x], size[x + 1] = int16(gx), int16(gy), int16(abs(gx) + abs(gy))


@njit(**OPTIONS)
def _thin(dx: Words, dy: Words, before: Words, size: Words, after: Words, marks: Bytes) -> None:
    """Non-maximum suppression: 0, 1 (a maximum above 100) or 3 (above 200 as well).

    The sector is OpenCV's: ``|dy| * 2^15`` against ``|dx| * 13573`` (tan 22.5) and ``|dx| * (13573 + 2^16)``. All in masks
    of 16 bits: truth values of one bit keep LLVM from vectorizing this loop for AVX2, where it is then 18 times slower.
    """
    for x in range(dx.size):
        here = size[x + 1]
        least = add(here, int16(1))  # exceeds(least, y) is here >= y
        ax, ay = magnitude(dx[x]), magnitude(dy[x])
        flat = high_half(add(ax, ax), int16(13573))
        across = bit_and(exceeds(here, size[x]), exceeds(least, size[x + 2]))
        along = bit_and(exceeds(here, before[x + 1]), exceeds(least, after[x + 1]))
        falling = bit_and(exceeds(here, before[x]), exceeds(here, after[x + 2]))
        rising = bit_and(exceeds(here, before[x + 2]), exceeds(here, after[x]))
        opposed = shift_right_signed(bit_xor(dx[x], dy[x]), int16(15))
        steep = exceeds(ay, add(flat, add(ax, ax)))
        keep = choose(exceeds(ay, flat), choose(steep, along, choose(opposed, rising, falling)), across)
        weak, strong = bit_and(exceeds(here, int16(100)), int16(1)), bit_and(exceeds(here, int16(200)), int16(2))
        marks[x] = uint8(bit_and(keep, bit_or(weak, strong)))


@njit(**OPTIONS)
def _pack(marks: Bytes, weak: Bits, strong: Bits) -> None:
    """64 marks into 64 bits of ``weak`` (bit 0 of the mark) and ``strong`` (bit 1)."""
    words = marks.view(uint64)
    ones, gather = uint64(0x0101010101010101), uint64(0x0102040810204080)
    for i in range(weak.size):
        low, high = uint64(0), uint64(0)
        for k in range(8):
            eight = words[8 * i + k]
            if eight != uint64(0):
                low |= (((eight & ones) * gather) >> uint64(56)) << uint64(8 * k)
                high |= ((((eight >> uint64(1)) & ones) * gather) >> uint64(56)) << uint64(8 * k)
        weak[i], strong[i] = low, high


@njit(**OPTIONS)
def _spread(seed: np.uint64, allowed: np.uint64) -> np.uint64:
    """Grow ``seed`` along runs of ``allowed`` bits, both ways, within a word."""
    up, down, open_up, open_down = seed, seed, allowed, allowed
    for shift in (uint64(1), uint64(2), uint64(4), uint64(8), uint64(16), uint64(32)):
        up |= open_up & (up << shift)
        down |= open_down & (down >> shift)
        open_up &= open_up << shift
        open_down &= open_down >> shift
    return up | down


@njit(**OPTIONS)
def _grow_row(above: Bits, row: Bits, below: Bits, weak: Bits, near: Bits) -> bool:
    """Let a row take over its weak pixels next to strong ones; True if it gained any.

    The first and last word of every row are empty. Runs grow within their word: a gain asks for another call.
    """
    for i in range(row.size):
        near[i] = above[i] | row[i] | below[i]
    gained = uint64(0)
    for i in range(1, row.size - 1):
        here = near[i]
        reach = here | (here << uint64(1)) | (here >> uint64(1))
        reach |= (near[i - 1] >> uint64(63)) | (near[i + 1] << uint64(63))
        grown = _spread(reach & weak[i], weak[i])
        gained |= grown ^ row[i]
        row[i] = grown
    return gained != uint64(0)


@njit(**OPTIONS)
def _hysteresis(strong: Bits, weak: Bits) -> np.int64:
    """Keep the weak pixels that are 8-connected to a strong one; returns how many pixels are edges.

    Sweeps down and up over the rows that may still gain, until none does. Both arrays have an empty border.
    """
    height = weak.shape[0] - 2
    stale = np.ones(height + 2, np.bool_)
    near = np.empty(weak.shape[1], uint64)
    more, downward = True, True
    while more:
        more = False
        for k in range(1, height + 1):
            y = k if downward else height + 1 - k
            if stale[y]:
                stale[y] = _grow_row(strong[y - 1], strong[y], strong[y + 1], weak[y], near)
                if stale[y]:
                    more = stale[y - 1] = stale[y + 1] = True
        downward = not downward
    count = int64(0)
    for y in range(1, height + 1):
        for i in range(strong.shape[1]):
            count += int64(ones_of(strong[y, i]))
    return count


@njit(**OPTIONS)
def _thin_row(dx: Words, dy: Words, sizes: Words, y: int, marks: Bytes, weak: Bits, strong: Bits) -> None:
    """Thin row ``y``, whose gradients and neighbours lie in rings of 2 and 3 rows, and pack it."""
    size = sizes[y % 3]
    if size.max() <= int16(100):
        return
    width = dx.shape[1]
    _thin(dx[y % 2], dy[y % 2], sizes[(y + 2) % 3], size, sizes[(y + 1) % 3], marks[:width])
    _pack(marks, weak[y + 1, 1:-1], strong[y + 1, 1:-1])


@njit(**OPTIONS)
def count_edges(gray: Bytes) -> np.int64:
    """How many pixels of ``gray`` (uint8 [H, W], C-contiguous, H, W >= 1) OpenCV's ``Canny(gray, 100, 200)`` marks."""
    height, width = gray.shape
    words = (width + 63) // 64
    weak = np.zeros((height + 2, words + 2), uint64)
    strong = np.zeros((height + 2, words + 2), uint64)
    marks = np.zeros(64 * words, uint8)
    dx, dy = np.zeros((2, width), int16), np.zeros((2, width), int16)
    sizes = np.zeros((3, width + 2), int16)  # beyond the border there is no gradient
    for y in range(height):
        above, row, below = gray[max(y - 1, 0)], gray[y], gray[min(y + 1, height - 1)]
        size = sizes[y % 3]
        _gradient(above, row, below, dx[y % 2], dy[y % 2], size)
        _gradient_at(above, row, below, 0, dx[y % 2], dy[y % 2], size)
        _gradient_at(above, row, below, width - 1, dx[y % 2], dy[y % 2], size)
        if y > 0:
            _thin_row(dx, dy, sizes, y - 1, marks, weak, strong)
    sizes[height % 3] = int16(0)
    _thin_row(dx, dy, sizes, height - 1, marks, weak, strong)
    return _hysteresis(strong, weak)
