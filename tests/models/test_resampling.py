"""Resizing gives Pillow's pixels, every one, for every size and filter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from resources.models.entry import Preprocessing
from resources.models.preprocessing import preprocess
from resources.models.resampling import CHUNK, Filter, resize
from tests.tiers import draws

SIDES = st.integers(1, 300)


@settings(max_examples=draws(150))
@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from(["bicubic", "bilinear", "lanczos", "box"]), st.integers(0, 9))
def test_resizing_gives_the_pixels_of_pillow(
    high: int, wide: int, height: int, width: int, kind: Filter, seed: int
) -> None:
    rgb = np.random.default_rng(seed).integers(0, 256, (high, wide, 3), np.uint8)
    wanted = Image.fromarray(rgb).resize((width, height), Image.Resampling[kind.upper()])
    assert np.array_equal(resize(rgb, height, width, kind), np.asarray(wanted))


@pytest.mark.parametrize("size", [(1, 4000), (4000, 1), (900, 2 * CHUNK), (2 * CHUNK, 30)])
def test_extreme_shapes_too(size: tuple[int, int]) -> None:
    rgb = np.random.default_rng(0).integers(0, 2, (*size, 3), np.uint8) * 255
    wanted = Image.fromarray(rgb).resize((64, 48), Image.Resampling.LANCZOS)
    assert np.array_equal(resize(rgb, 48, 64, "lanczos"), np.asarray(wanted))


@settings(max_examples=draws(60))
@given(SIDES, SIDES, st.integers(1, 64), st.integers(0, 9))
def test_padding_is_resizing_the_whole_canvas(high: int, wide: int, size: int, seed: int) -> None:
    rgb = np.random.default_rng(seed).integers(0, 256, (high, wide, 3), np.uint8)
    side = max(high, wide)
    canvas = Image.new("RGB", (side, side), (255, 128, 0))
    canvas.paste(Image.fromarray(rgb), ((side - wide) // 2, (side - high) // 2))
    how = Preprocessing(size, "pad", dtype="uint8", layout="NHWC", colour=(255, 128, 0))
    wanted = canvas.resize((size, size), Image.Resampling.BICUBIC)
    assert np.array_equal(preprocess(rgb, how), np.asarray(wanted))
