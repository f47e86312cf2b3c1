"""What the columns say of themselves is enough to compute them again, with NumPy and OpenCV alone."""

import math

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from arot_assets.media.image.decode import decode
from arot_assets.media.image.view import Image
from arot_assets.metrics.registry import get_metric
from tests.conftest import DATA

RGB = NDArray[np.uint8]
PICTURES = sorted((DATA / "degraded").glob("*__original.jpg"))[:6]
SIZES = [(1, 1), (1, 7), (5, 1), (2, 2), (3, 3), (31, 33), (64, 640), (700, 300)]


def described(metric: str, column: str) -> str:
    return next(c.description for c in get_metric(metric).columns if c.name == column)


def measured(metric: str, rgb: RGB) -> dict[str, float]:
    compute = get_metric(metric).compute
    assert compute is not None
    return dict(compute(Image(rgb)))


def gray_of(rgb: RGB) -> RGB:
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)  # type: ignore[return-value]


def pictures() -> list[RGB]:
    random = np.random.default_rng(7)
    noise = [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in SIZES]
    return [*noise, *(decode(path.read_bytes()) for path in PICTURES)]


def cell_weights(cells: int, pixels: int) -> NDArray[np.int64]:
    """How much of each pixel lies in each of some equal cells, in units that make every cell ``pixels`` large."""
    cell, pixel = np.arange(cells)[:, None], np.arange(pixels)[None, :]
    overlap = np.minimum((cell + 1) * pixels, (pixel + 1) * cells) - np.maximum(cell * pixels, pixel * cells)
    return np.maximum(overlap, 0)


def test_focus_measure_is_the_expression_that_its_description_gives() -> None:
    text = described("cv2", "focus_measure")
    expression = text.split("`")[1]
    for rgb in pictures():
        value = eval(expression, {"cv2": cv2, "gray": gray_of(rgb)})
        found = measured("cv2", rgb)
        assert found["focus_measure"] == pytest.approx(value, rel=1e-9, abs=1e-9)
        assert found["noise_level"] == pytest.approx(math.sqrt(value), rel=1e-9, abs=1e-9)
        padded = np.pad(
            gray_of(rgb).astype(float), 1, mode="reflect"
        )  # in words: mirrored, outermost pixels not repeated
        four = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
        assert (four - 4 * padded[1:-1, 1:-1]).var() == pytest.approx(value, rel=1e-9, abs=1e-9)


def test_sharpness_leaves_the_outermost_cells_out() -> None:
    for rgb in pictures():
        gray = gray_of(rgb).astype(np.int64)
        ratio = min(1, 512 / max(gray.shape))
        rows, columns = (max(1, round(side * ratio)) for side in gray.shape)
        cells = cell_weights(rows, gray.shape[0]) @ gray @ cell_weights(columns, gray.shape[1]).T / gray.size
        value = 0.0
        if min(cells.shape) > 2:
            four = cells[:-2, 1:-1] + cells[2:, 1:-1] + cells[1:-1, :-2] + cells[1:-1, 2:]
            value = math.sqrt(((four - 4 * cells[1:-1, 1:-1]) ** 2).mean())
        assert measured("cv2", rgb)["sharpness"] == pytest.approx(
            value, abs=0.15
        )  # cells are rounded to 1/64 of a level


def test_phash_is_what_its_description_says_to_the_bit() -> None:
    for rgb in pictures():
        gray = gray_of(rgb).astype(np.int64)
        cells = cell_weights(32, gray.shape[0]) @ gray @ cell_weights(32, gray.shape[1]).T
        levels = np.floor_divide(cells * 256 * 2 + gray.size, 2 * gray.size)  # rounded half up
        frequency, place = np.arange(8)[:, None], np.arange(32)[None, :]
        cosines = np.cos(np.pi * (2 * place + 1) * frequency / 64)
        cosines[0] *= math.sqrt(0.5)
        basis = np.rint(cosines * 2**14).astype(np.int64)
        coefficients = basis @ levels @ basis.T
        middle = sorted(coefficients.ravel()[1:])[31]
        bits = sum(
            1 << 8 * u + v for u in range(8) for v in range(8) if (u, v) != (0, 0) and coefficients[u, v] > middle
        )
        assert measured("phash", rgb)["phash"] == bits
