"""Metric ``phash``: a 64-bit perceptual hash that survives resizing, recompression and brightness changes.

The algorithm, exact to the bit on every machine because all of it is integer arithmetic:

1. gray levels by BT.601 (OpenCV's rounding);
2. exact area average of the whole image, whatever its shape, to 32 x 32 cells, rounded to 1/256 of a level;
3. the 8 x 8 lowest coefficients of their two-dimensional DCT-II (orthonormal, cosines rounded to 2**-14);
4. bit ``8 u + v`` (0 the lowest) tells whether coefficient ``(u, v)`` (u vertical, v horizontal frequency) is above the
   median of the 63 coefficients without ``(0, 0)``. Bit 0 would only hold the mean brightness: it is always 0.

``mirrored`` is the hash of the image flipped left to right: its coefficients are the same with the sign of odd v turned.
Two images are near duplicates when ``bit_count(xor(a.phash, b.phash)) <= 6``, or 10 to find more; a mirrored copy when
``bit_count(xor(a.mirrored, b.phash))`` is. An image of one level has the hash 0: compare such hashes with care.
"""

from functools import cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from arot_assets.media.image.view import Image
from arot_assets.metrics.metric import Column, Row, image_metric

CELLS = 32
KEPT = 8
FRACTION = 256  # parts of a gray level
COSINE = 1 << 14


@image_metric(
    version="1",
    columns=[
        Column(
            "phash",
            pa.uint64(),
            "64-bit DCT perceptual hash; near duplicates differ in at most 6-10 bits. Gray levels (`cv2.COLOR_RGB2GRAY`) are "
            "averaged by area to 32 x 32 equal cells, rounded to 1/256 of a level, half up; of their orthonormal DCT-II, its "
            "cosines rounded to 2^-14, bit 8 u + v (0 the lowest) tells whether coefficient (u, v), u the vertical and v the "
            "horizontal frequency, 0-7, is above the median of the 63 without (0, 0), whose bit is 0",
        ),
        Column("mirrored", pa.uint64(), "the same hash of the image flipped left to right"),
    ],
)
def phash(image: Image) -> Row:
    """Perceptual hash (64-bit DCT) of the image and of its mirror image, for finding near duplicates."""
    from arot_assets.metrics import kernels

    kernels.warm_up(kernels.shrink)
    pixels = image.height * image.width
    cells = kernels.shrink(image.gray, CELLS, CELLS)
    levels = (cells * FRACTION + pixels // 2) // pixels
    basis = _basis()
    low = basis @ levels @ basis.T  # below 2**54
    flipped = low.copy()
    flipped[:, 1::2] *= -1
    return {"phash": _hash(low), "mirrored": _hash(flipped)}


def _hash(low: NDArray[np.int64]) -> int:
    coefficients = low.reshape(-1)[1:]
    above = coefficients > np.partition(coefficients, coefficients.size // 2)[coefficients.size // 2]
    return int(np.packbits(np.concatenate([[False], above]), bitorder="little").view("<u8")[0])


@cache
def _basis() -> NDArray[np.int64]:
    """int64 [8, 32]: orthonormal up to one factor, cosines times 2**14."""
    u, x = np.arange(KEPT)[:, None], np.arange(CELLS)[None, :]
    cosines = np.cos(np.pi * (2 * x + 1) * u / (2 * CELLS)) * np.where(u == 0, np.sqrt(0.5), 1.0)
    return np.asarray(np.rint(cosines * COSINE), np.int64)
