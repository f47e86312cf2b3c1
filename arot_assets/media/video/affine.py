"""The motion of a whole picture from the motion of its cells: a robust affine fit, compiled.

Belongs here: the fit. Does not belong here: where the cells' motion comes from, and what the camera did (``motion.py``). Only
workers import this module: numba is heavy.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from arot_assets.media.video.kernels import OPTIONS

ROUNDS = 5
"""Rounds of the robust fit."""
SOFTNESS = 0.25
"""Cells of residual from which on a cell loses weight."""


@njit(**OPTIONS)
def _median(values: NDArray[np.float32]) -> float:
    """The median of lengths, to 1/64; 16 and more count as 16. A histogram compiles in a fraction of the time of a
    sort."""
    counts = np.zeros(1025, np.int64)
    for value in values.ravel():
        counts[min(1024, int(value * 64))] += 1
    seen = 0
    for k in range(1025):
        seen += counts[k]
        if 2 * seen >= values.size:
            return (k + 0.5) / 64
    return 16.0


@njit(**OPTIONS)
def _solve(a: NDArray[np.float64], b: NDArray[np.float64], fit: NDArray[np.float64]) -> None:
    """Fill ``fit [2, 3]`` with the solution of ``a x = b``: ``a`` is symmetric, of which the upper triangle is
    given."""
    for k in range(3):
        a[k, k] += 1e-6
    a00, a01, a02, a11, a12, a22 = a[0, 0], a[0, 1], a[0, 2], a[1, 1], a[1, 2], a[2, 2]
    c00, c01, c02 = a11 * a22 - a12 * a12, a02 * a12 - a01 * a22, a01 * a12 - a02 * a11
    c11, c12, c22 = a00 * a22 - a02 * a02, a01 * a02 - a00 * a12, a00 * a11 - a01 * a01
    determinant = a00 * c00 + a01 * c01 + a02 * c02
    for c in range(2):
        x, y, z = b[0, c], b[1, c], b[2, c]
        fit[c, 0] = (c00 * x + c01 * y + c02 * z) / determinant
        fit[c, 1] = (c01 * x + c11 * y + c12 * z) / determinant
        fit[c, 2] = (c02 * x + c12 * y + c22 * z) / determinant


@njit(**OPTIONS)
def affine(
    flow: NDArray[np.float32],
    texture: NDArray[np.float32],
    stride: int,
    rest: NDArray[np.float32],
    weights: NDArray[np.float32],
) -> NDArray[np.float64]:
    """The affine motion of most of a flow field, by iteratively reweighted least squares.

    Args:
        flow: ``float32 [h, w, 2]``, in cells; of every ``stride``-th cell.
        texture: ``float32 [h, w]``, weights 0-1.
        stride: cells from one to the next.
        rest: ``float32 [h, w]``, filled here with the length of what is left, in cells.
        weights: ``float32 [h, w]``, filled here with the robust weight of each, 0-1.

    Returns:
        ``float64 [2, 3]``: the linear part, and the shift of the centre in cells.
    """
    rows, columns = texture.shape
    weights[:] = 1
    fit = np.zeros((2, 3))
    for _ in range(ROUNDS):
        a = np.zeros((3, 3))
        b = np.zeros((3, 2))
        for r in range(rows):
            y = (r - (rows - 1) / 2) * stride
            for k in range(columns):
                x = (k - (columns - 1) / 2) * stride
                w = (texture[r, k] + 1e-3) * weights[r, k]
                a[0, 0] += w * x * x
                a[0, 1] += w * x * y
                a[0, 2] += w * x
                a[1, 1] += w * y * y
                a[1, 2] += w * y
                a[2, 2] += w
                for c in range(2):
                    b[0, c] += w * x * flow[r, k, c]
                    b[1, c] += w * y * flow[r, k, c]
                    b[2, c] += w * flow[r, k, c]
        _solve(a, b, fit)
        for r in range(rows):
            y = (r - (rows - 1) / 2) * stride
            for k in range(columns):
                x = (k - (columns - 1) / 2) * stride
                u = flow[r, k, 0] - (fit[0, 0] * x + fit[0, 1] * y + fit[0, 2])
                v = flow[r, k, 1] - (fit[1, 0] * x + fit[1, 1] * y + fit[1, 2])
                rest[r, k] = np.sqrt(u * u + v * v)
        scale = max(SOFTNESS, 1.5 * _median(rest))
        for r in range(rows):
            for k in range(columns):
                share = rest[r, k] / scale
                weights[r, k] = 1 / (1 + share * share) ** 2
    return fit
