"""Compiled loops over planes: shrinking them to the working grid, and what tells one frame from the one before.

Belongs here: functions from pixel arrays to numbers, compiled by numba, without the GIL. Does not belong here: what the
numbers mean (``statistics.py``), decoding. Only workers import this module: numba is heavy.

A plane is passed as the decoder's whole buffer ``[rows, line size]`` with the width beside it: a sliced view would not
be vectorised. Differences of bytes are taken as int32, because numba's ``int(uint8)`` is unsigned.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "boundscheck": False, "error_model": "numpy"}
CHANGED = 12
"""Gray levels by which a cell must change to count as changed."""
BLOCK = 8
"""Cells of a side of the blocks of which the worst counts; pixels of a side of what codecs transform."""


@njit(**OPTIONS)
def shrink(plane: NDArray[Any], width: int, out: NDArray[np.float32]) -> None:
    """Means of boxes.

    Args:
        plane: ``uint8 | uint16 [H, line size]``.
        width: columns that hold pixels.
        out: ``float32 [h, w]``, filled here; ``h <= H``, ``w <= width``.
    """
    height, stride = plane.shape
    rows, columns = out.shape
    box = width // columns  # every box has so many columns or one more; without a branch for it this is 1.6 x as fast
    lefts, more = np.empty(columns, np.int64), np.empty(columns, np.uint32)
    for k in range(columns):
        lefts[k] = k * width // columns
        more[k] = (k + 1) * width // columns - lefts[k] - box
    sums, totals = np.zeros(stride + 1, np.uint32), np.empty(columns, np.uint32)
    for r in range(rows):
        top, bottom = r * height // rows, (r + 1) * height // rows
        for x in range(stride):
            sums[x] = np.uint32(plane[top, x])
        for y in range(top + 1, bottom):
            for x in range(stride):
                sums[x] += np.uint32(plane[y, x])
        for k in range(columns):
            left = np.uint64(lefts[k])  # unsigned: numba looks whether any other index counts from the end
            total = sums[left + np.uint64(box)] * more[k]
            for x in range(np.uint64(box)):
                total += sums[left + x]
            totals[k] = total
        for k in range(columns):
            out[r, k] = np.float32(totals[k] / np.float64((box + np.int64(more[k])) * (bottom - top)))


@njit(**OPTIONS)
def to_bytes(
    values: NDArray[np.float32],
    low: np.float32,
    extent: np.float32,
    span: np.float32,
    zero: np.float32,
    out: NDArray[np.uint8],
) -> None:
    """Fill ``out`` (``uint8 [h, w]``) with ``(values - low) / extent * span + zero``, rounded half to even, in 0-255."""
    rows, columns = values.shape
    for y in range(rows):
        for x in range(columns):
            value = np.rint((values[y, x] - low) / extent * span + zero)
            out[y, x] = np.uint8(min(max(value, np.float32(0)), np.float32(255)))


@njit(**OPTIONS)
def levels(now: NDArray[np.uint8], histogram: NDArray[np.int64], out: NDArray[np.float64]) -> None:
    """Mean, standard deviation, 2nd and 98th percentile of a grid ``uint8 [h, w]`` in ``out`` (``float64 [4]``), and how
    often it has each level in ``histogram`` (``int64 [256]``)."""
    histogram[:] = 0
    flat = now.ravel()
    for k in range(flat.size):
        histogram[flat[k]] += 1
    total, square = 0.0, 0.0
    for level in range(256):
        total += level * histogram[level]
        square += level * level * histogram[level]
    mean = total / flat.size
    out[0] = mean
    out[1] = np.sqrt(max(square / flat.size - mean * mean, 0.0))
    low, high = 0.02 * flat.size, 0.98 * flat.size
    seen = 0
    out[2], out[3] = 255.0, 255.0
    for level in range(256):
        before = seen
        seen += histogram[level]
        if before <= low < seen:
            out[2] = level
        if before <= high < seen:
            out[3] = level


@njit(**OPTIONS)
def compare(
    now: NDArray[np.uint8],
    before: NDArray[np.uint8],
    histogram: NDArray[np.int64],
    histogram_before: NDArray[np.int64],
    out: NDArray[np.float64],
) -> None:
    """What changed between two grids of luma.

    Args:
        now: ``uint8 [h, w]``, up to 32,768 cells wide.
        before: the same shape.
        histogram: ``int64 [256]``, how often ``now`` has each level.
        histogram_before: that of ``before``.
        out: ``float64 [5]``, filled here: mean absolute difference; share of cells that changed by more than
            ``CHANGED``; the largest mean difference of a block; half the L1 distance of the histograms of 64 levels;
            the correlation.
    """
    rows, columns = now.shape
    total, changed, both = np.int64(0), np.int64(0), np.int64(0)
    differences = np.zeros(columns, np.int32)  # of the rows of a block
    worst = np.int32(0)
    for y in range(rows):
        of_row, products = np.int32(0), np.int32(0)
        for x in range(columns):
            a, b = np.int32(now[y, x]), np.int32(before[y, x])
            d = abs(a - b)
            differences[x] += d
            of_row += np.int32(d > CHANGED)
            products += a * b
        changed += of_row
        both += products
        whole = y % BLOCK == BLOCK - 1
        if whole:
            for k in range(columns // BLOCK):
                worst = max(worst, differences[k * BLOCK : (k + 1) * BLOCK].sum())
        if whole or y == rows - 1:
            for x in range(columns):
                total += differences[x]
                differences[x] = 0
    n = rows * columns
    s1, s2, q1, q2, distance = np.int64(0), np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for level in range(0, 256, 4):
        apart = np.int64(0)
        for k in range(level, level + 4):
            s1 += k * histogram[k]
            s2 += k * histogram_before[k]
            q1 += k * k * histogram[k]
            q2 += k * k * histogram_before[k]
            apart += histogram[k] - histogram_before[k]
        distance += abs(apart)
    v1, v2 = q1 / n - (s1 / n) ** 2, q2 / n - (s2 / n) ** 2
    covariance = both / n - (s1 / n) * (s2 / n)
    out[0] = total / n
    out[1] = changed / n
    out[2] = worst / (BLOCK * BLOCK)
    out[3] = distance / (2 * n)
    if v1 < 1.0 or v2 < 1.0:  # a flat picture resembles only a flat picture of its level
        out[4] = 1.0 if v1 < 1.0 and v2 < 1.0 and abs(s1 - s2) / n < CHANGED else 0.0
    else:
        out[4] = covariance / np.sqrt(v1 * v2)


@njit(**OPTIONS)
def difference(now: NDArray[np.uint8], before: NDArray[np.uint8]) -> float:
    """The mean absolute difference of two grids ``uint8 [h, w]``."""
    a, b = now.ravel(), before.ravel()
    total = np.int64(0)
    for k in range(a.size):
        total += abs(np.int32(a[k]) - np.int32(b[k]))
    return float(total / a.size)


@njit(**OPTIONS)
def combing(plane: NDArray[Any], width: int) -> float:
    """Energy from line to line over that from line to second line of a plane ``[H, line size]``: above 1 where fields
    differ."""
    one, two = 0.0, 0.0
    for y in range(plane.shape[0] - 2):
        near, far = np.int64(0), np.int64(0)
        for x in range(width):
            a, b, c = np.int32(plane[y, x]), np.int32(plane[y + 1, x]), np.int32(plane[y + 2, x])
            near += (a - b) * (a - b)
            far += (a - c) * (a - c)
        one += near
        two += far
    return one / two if two > 0 else 0.0


@njit(**OPTIONS)
def blurring(plane: NDArray[Any], width: int) -> float:
    """The mean absolute Laplacian of a plane ``[H, line size]``: the less, the more blurred."""
    total = np.int64(0)
    rows = plane.shape[0] - 2
    for y in range(1, rows + 1):
        for x in range(1, width - 1):
            total += abs(
                4 * np.int32(plane[y, x])
                - np.int32(plane[y - 1, x])
                - np.int32(plane[y + 1, x])
                - np.int32(plane[y, x - 1])
                - np.int32(plane[y, x + 1])
            )
    return total / max(1, rows * (width - 2))


@njit(**OPTIONS)
def block_steps(plane: NDArray[Any], width: int) -> float:
    """How much larger steps between neighbouring pixels of a plane ``[H, line size]`` are on the borders of blocks of 8 x 8
    than elsewhere: mean there minus mean elsewhere, in its levels; about 0 without blocks."""
    on, off = np.int64(0), np.int64(0)
    height = plane.shape[0]
    sums = np.zeros(width - 1, np.int64)
    for y in range(height):
        for x in range(width - 1):
            sums[x] += abs(np.int32(plane[y, x + 1]) - np.int32(plane[y, x]))
    n_on, n_off = np.int64(0), np.int64(0)
    for x in range(width - 1):
        if x % BLOCK == BLOCK - 1:
            on += sums[x]
            n_on += height
        else:
            off += sums[x]
            n_off += height
    for y in range(height - 1):
        total = np.int64(0)
        for x in range(width):
            total += abs(np.int32(plane[y + 1, x]) - np.int32(plane[y, x]))
        if y % BLOCK == BLOCK - 1:
            on += total
            n_on += width
        else:
            off += total
            n_off += width
    return on / n_on - off / n_off if n_on > 0 and n_off > 0 else 0.0


@njit(**OPTIONS)
def filtered(
    samples: NDArray[np.float32], filters: NDArray[np.float64], state: NDArray[np.float64], out: NDArray[np.float32]
) -> None:
    """Sound behind filters of second order, one after the other.

    Args:
        samples: ``float32 [channels, n]``.
        filters: ``float64 [filters, 5]``: b0, b1, b2, a1, a2 each.
        state: ``float64 [channels, filters, 2]`` of the samples before, brought up to date here; zeros at the beginning.
        out: ``float32 [channels, n]``, filled here.
    """
    for c in range(samples.shape[0]):
        for k in range(samples.shape[1]):
            value = np.float64(samples[c, k])
            for f in range(filters.shape[0]):
                result = filters[f, 0] * value + state[c, f, 0]
                state[c, f, 0] = filters[f, 1] * value - filters[f, 3] * result + state[c, f, 1]
                state[c, f, 1] = filters[f, 2] * value - filters[f, 4] * result
                value = result
            out[c, k] = np.float32(value)


@njit(**OPTIONS)
def line_ranges(
    plane: NDArray[Any], width: int, limit: int, rows: NDArray[np.int32], columns: NDArray[np.int32]
) -> None:
    """Count the pixels above a level in each row and column of a plane ``[H, line size]``; the larger count of all
    calls is kept.

    Args:
        plane: luma.
        width: columns that hold pixels.
        limit: the level up to which a pixel is dark.
        rows: ``int32 [H]``.
        columns: ``int32 [width]``.
    """
    height = plane.shape[0]
    counts = np.zeros(width, np.int32)
    for y in range(height):
        bright = np.int32(0)
        for x in range(width):
            over = np.int32(plane[y, x] > limit)
            bright += over
            counts[x] += over
        rows[y] = max(rows[y], bright)
    for x in range(width):
        columns[x] = max(columns[x], counts[x])
