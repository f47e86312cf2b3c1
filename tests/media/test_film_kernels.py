"""The compiled loops and shortcuts of films give what plain NumPy gives, to the last bit.

Belongs here: each against its formula. Does not belong here: what films make of them (``test_hostile_films.py``).
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arot_assets.media.video.kernels import BLOCK, CHANGED, compare, levels, shrink, to_bytes
from arot_assets.media.video.motion import _median_exceeds, _percentile

SEEDS = st.integers(0, 2**32 - 1)


@given(SEEDS, st.integers(1, 60), st.integers(1, 90), st.integers(0, 40), st.sampled_from(["u1", "<u2"]))
def test_boxes_are_means_of_the_pixels_that_hold_pictures(seed: int, height: int, width: int, pad: int, kind: str):
    random = np.random.default_rng(seed)
    plane = random.integers(0, np.iinfo(kind).max, (height, width + pad)).astype(kind)
    rows, columns = random.integers(1, height + 1), random.integers(1, width + 1)
    found = np.empty((rows, columns), np.float32)
    shrink(plane, width, found)
    for r in range(rows):
        for c in range(columns):
            box = plane[
                r * height // rows : (r + 1) * height // rows, c * width // columns : (c + 1) * width // columns
            ]
            assert found[r, c] == np.float32(box.astype(np.int64).sum() / box.size)


@given(SEEDS)
def test_levels_are_stretched_rounded_and_clipped_as_numpy_does(seed: int):
    values = np.random.default_rng(seed).uniform(-20, 280, (9, 13)).astype(np.float32)
    found = np.empty(values.shape, np.uint8)
    to_bytes(values, np.float32(16), np.float32(219), np.float32(255), np.float32(0), found)
    stretched = (values - np.float32(16)) / np.float32(219) * np.float32(255)
    assert (found == np.clip(np.rint(stretched), 0, 255).astype(np.uint8)).all()


@given(SEEDS, st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3, 1000]))
def test_medians_and_percentiles_are_those_of_numpy(seed: int, height: int, width: int, different: int):
    random = np.random.default_rng(seed)
    values = (random.integers(0, different, (height, width)) / different).astype(np.float32)
    middle = np.sort(values.ravel())[[(values.size - 1) // 2, values.size // 2]].astype(np.float64)
    for at in (*middle, *np.nextafter(middle, -1), *np.nextafter(middle, 2), middle.mean(), middle @ [0.9, 0.1]):
        assert _median_exceeds(values, at) == (float(np.median(values)) > at)
    for percent in (0, 50, 90, 95, 100):
        assert _percentile(values, percent) == pytest.approx(float(np.percentile(values, percent)), abs=0)


@given(SEEDS, st.integers(8, 40), st.integers(8, 40), st.sampled_from([0.2, 20, 90]))
def test_a_change_is_told_as_numpy_tells_it(seed: int, height: int, width: int, spread: float):
    random = np.random.default_rng(seed)
    before, now = random.normal(120, spread, (2, height, width)).clip(0, 255).astype(np.uint8)
    found, histograms = np.zeros(5), np.zeros((2, 256), np.int64)
    for grid, histogram in zip((now, before), histograms, strict=True):
        levels(grid, histogram, np.zeros(4))
        assert (histogram == np.bincount(grid.ravel(), minlength=256)).all()
    compare(now, before, *histograms, found)
    apart = abs(now.astype(int) - before)
    blocks = apart[: height // BLOCK * BLOCK, : width // BLOCK * BLOCK]
    blocks = blocks.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK).mean((1, 3))
    coarse = histograms.reshape(2, 64, 4).sum(2)
    assert found[:4].tolist() == [
        apart.sum() / apart.size,
        (apart > CHANGED).sum() / apart.size,
        blocks.max(),
        abs(coarse[0] - coarse[1]).sum() / (2 * apart.size),
    ]
    if spread > 1:
        assert found[4] == pytest.approx(np.corrcoef(now.ravel(), before.ravel())[0, 1], abs=1e-9)
