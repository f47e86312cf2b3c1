"""Every column of the metric ``cv2`` against a plain NumPy, OpenCV or scikit-image definition, on images of any size."""

import csv
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2 as opencv
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from arot_assets.media.image.decode import decode
from arot_assets.media.image.view import Image
from arot_assets.metrics.catalogue.cv2 import cv2
from tests.tiers import draws

DEGRADED = Path(__file__).parents[1] / "data" / "degraded"
PHOTOS = sorted(DEGRADED.glob("*__original.jpg"))
RGB = NDArray[np.uint8]


def measure(rgb: RGB) -> dict[str, float]:
    assert cv2.compute is not None
    return dict(cv2.compute(Image(rgb)))


def load(path: Path) -> RGB:
    return decode(path.read_bytes())


@st.composite
def pictures(draw: st.DrawFn) -> RGB:
    """Noise, smoothed noise, few levels, flat areas and bars; from 1 x 1 to 70 x 150, and lines wider than one chunk."""
    height, width = draw(
        st.one_of(
            st.tuples(st.integers(1, 4), st.integers(1, 4)),
            st.tuples(st.integers(1, 70), st.integers(1, 150)),
            st.sampled_from([(1, 4000), (4000, 1), (2, 2), (3, 2049), (2, 4097), (9, 9), (5, 64), (6, 65)]),
        )
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    picture = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    kind = draw(st.sampled_from(["noise", "smooth", "levels", "flat", "gray", "bars", "extremes"]))
    if kind == "smooth":
        picture = opencv.GaussianBlur(picture, (0, 0), draw(st.sampled_from([0.6, 1.2, 3.0])))
        picture = np.clip((picture.astype(float) - 128) * 3 + 128, 0, 255).astype(np.uint8)
    elif kind == "levels":
        picture = picture // 64 * 64
    elif kind == "flat":
        picture[:] = picture[0, 0]
    elif kind == "gray":
        picture[:] = picture[:, :, :1]
    elif kind == "bars":
        picture[: height // 4] = 3
        picture[:, width - width // 3 :] = 250
    elif kind == "extremes":
        picture = np.where(picture > 127, 255, 0).astype(np.uint8)
    return np.ascontiguousarray(picture).reshape(height, width, 3)


def gray_of(rgb: RGB) -> NDArray[np.int64]:
    r, g, b = np.moveaxis(rgb.astype(np.int64), 2, 0)
    return (9798 * r + 19235 * g + 3735 * b + 2**14) >> 15


def lbp_with_ties_as_one(gray: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Uniform LBP values, and where a diagonal point ties exactly with its centre."""
    padded = np.pad(gray, 1)
    height, width = gray.shape

    def at(dy: int, dx: int) -> NDArray[np.int64]:
        return padded[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width] - gray

    circle = [(0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1)]
    values = [
        at(dy, dx) if 0 in (dy, dx) else 70711 * at(dy, dx) + 29289 * (at(dy, 0) + at(0, dx)) for dy, dx in circle
    ]
    ties = np.any([values[k] == 0 for k in (1, 3, 5, 7)], axis=0)
    bits = np.array([v >= 0 for v in values])
    changes = (bits != np.roll(bits, 1, axis=0)).sum(axis=0)
    return np.where(changes <= 2, bits.sum(axis=0), 9), ties


def area_average(gray: NDArray[np.int64], rows: int, columns: int) -> NDArray[np.float64]:
    def weights(size: int, cells: int) -> NDArray[np.float64]:
        edges = np.arange(cells + 1) * size / cells
        x = np.arange(size)
        overlap = np.minimum(edges[1:, None], x + 1) - np.maximum(edges[:-1, None], x)
        return np.clip(overlap, 0, None) * cells / size

    return weights(gray.shape[0], rows) @ gray @ weights(gray.shape[1], columns).T


def inner(gray: NDArray, mask: list[list[int]]) -> NDArray:
    """Correlation with a 3 x 3 mask, without the border."""
    height, width = gray.shape
    return sum(mask[i][j] * gray[i : height - 2 + i, j : width - 2 + j] for i in range(3) for j in range(3))  # type: ignore[return-value]


def classic_columns(rgb: RGB) -> dict[str, float]:
    """The eight columns as procslib defines them, on RGB in the right order."""
    gray = gray_of(rgb)
    hsv_value = rgb.max(axis=2).astype(float)
    chroma = hsv_value - rgb.min(axis=2)
    scale = np.rint(255 * 4096 / np.maximum(hsv_value, 1))
    mirrored = np.pad(gray, 1, mode="reflect")
    laplacian = inner(mirrored, [[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    cdf = np.bincount(gray.reshape(-1), minlength=256).cumsum() / gray.size
    return {
        "edge_density": opencv.Canny(gray.astype(np.uint8), 100, 200).astype(float).sum() / gray.size,
        "focus_measure": laplacian.astype(float).var(),
        "noise_level": laplacian.astype(float).std(),
        "texture_score": lbp_with_ties_as_one(gray)[0].astype(float).var(),
        "saturation": np.floor((chroma * scale + 2048) / 4096).mean(),
        "contrast": gray.astype(float).std(),
        "brightness": gray.mean(),
        "avg_dynamic_range": float(np.searchsorted(cdf, 0.95 - 1e-12) - np.searchsorted(cdf, 0.05 - 1e-12)),
    }


def further_columns(rgb: RGB) -> dict[str, float]:
    gray = gray_of(rgb)
    height, width = gray.shape
    r, g, b = np.moveaxis(rgb.astype(float), 2, 0)
    rg, yb = r - g, (r + g) / 2 - b
    shares = np.bincount(gray.reshape(-1)) / gray.size
    shares = shares[shares > 0]
    noise = sharpness = 0.0
    if min(height, width) > 2:
        noise = math.sqrt(math.pi / 2) / 6 * np.abs(inner(gray, [[1, -2, 1], [-2, 4, -2], [1, -2, 1]])).mean()
    ratio = min(1, 512 / max(height, width))
    small = area_average(gray, max(1, round(height * ratio)), max(1, round(width * ratio)))
    if min(small.shape) > 2:
        sharpness = math.sqrt((inner(small, [[0, 1, 0], [1, -4, 1], [0, 1, 0]]) ** 2).mean())
    on, off = [], []
    for steps in (np.abs(np.diff(gray, axis=1)).T, np.abs(np.diff(gray, axis=0))):
        for k, line in enumerate(steps):
            (on if k % 8 == 7 else off).append(line)
    blocky = float(np.concatenate(on).mean() - np.concatenate(off).mean()) if on else 0.0
    return {
        "noise_sigma": noise,
        "sharpness": sharpness,
        "colourfulness": math.hypot(rg.std(), yb.std()) + 0.3 * math.hypot(rg.mean(), yb.mean()),
        "entropy": abs(float((shares * np.log2(shares)).sum())),
        "clipped_black": (gray <= 2).mean(),
        "clipped_white": (gray >= 253).mean(),
        "blockiness": blocky,
        "is_grayscale": bool((np.ptp(rgb, axis=2) > 8).mean() <= 1e-4),
        "border_top": plain_lines(gray),
        "border_bottom": plain_lines(gray[::-1]),
        "border_left": plain_lines(gray.T),
        "border_right": plain_lines(gray.T[::-1]),
    }


def plain_lines(gray: NDArray[np.int64]) -> float:
    lines = 0
    while lines < len(gray) and np.ptp(gray[: lines + 1]) <= 16:
        lines += 1
    return lines / len(gray)


def assert_equal(rgb: RGB) -> None:
    got, wanted = measure(rgb), classic_columns(rgb) | further_columns(rgb)
    assert set(got) == {c.name for c in cv2.columns}
    tolerance = {"sharpness": 0.15}  # cells are rounded to 1/64 of a level
    for column in cv2.columns:
        value = got[column.name]
        assert value == pytest.approx(wanted[column.name], rel=1e-9, abs=tolerance.get(column.name, 1e-6)), column.name
        assert math.isfinite(value)
        assert column.low is None or value >= column.low, column.name
        assert column.high is None or value <= column.high, column.name


@settings(max_examples=draws(150), deadline=None)
@given(pictures())
def test_every_column_equals_its_plain_definition_on_any_picture(rgb: RGB) -> None:
    assert_equal(rgb)


@pytest.mark.parametrize("path", PHOTOS, ids=lambda p: p.stem)
def test_every_column_equals_its_plain_definition_on_photos(path: Path) -> None:
    assert_equal(load(path))


def test_sharpness_equals_its_definition_on_a_picture_that_must_be_shrunk() -> None:
    assert_equal(opencv.resize(load(PHOTOS[0]), (1501, 977), interpolation=opencv.INTER_CUBIC))


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1), (2, 2)])
def test_measures_without_the_neighbours_they_need_are_zero(size: tuple[int, int]) -> None:
    row = measure(np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8))
    assert row["noise_sigma"] == row["sharpness"] == 0


@pytest.mark.parametrize(
    ("colour", "brightness"), [((255, 0, 0), 76), ((0, 255, 0), 150), ((0, 0, 255), 29)], ids=["red", "green", "blue"]
)
def test_pure_colours_have_the_brightness_of_their_channel(colour: tuple[int, int, int], brightness: int) -> None:
    row = measure(np.full((32, 48, 3), colour, np.uint8))
    assert row["brightness"] == brightness
    assert row["saturation"] == 255


@pytest.mark.parametrize("path", PHOTOS[:6], ids=lambda p: p.stem)
def test_texture_differs_from_scikit_image_only_by_its_rounding_of_exact_ties(path: Path) -> None:
    from skimage.feature import local_binary_pattern

    gray = gray_of(load(path))
    ours, ties = lbp_with_ties_as_one(gray)
    theirs = local_binary_pattern(gray.astype(np.uint8), 8, 1, "uniform")
    assert not ((ours != theirs) & ~ties).any()
    assert ours.var() == pytest.approx(theirs.var(), rel=0.023)


@pytest.mark.parametrize(
    ("kind", "column", "sign"),
    [
        ("blur", "sharpness", -1),
        ("blur", "focus_measure", -1),
        ("rescale", "sharpness", -1),
        ("noise", "noise_sigma", 1),
        ("jpeg", "blockiness", 1),
    ],
)
def test_measure_follows_the_degradation_that_it_is_for(kind: str, column: str, sign: int) -> None:
    rows = list(csv.DictReader((DEGRADED / "truth.csv").read_text().splitlines()))
    originals = {r["original"] for r in rows}
    assert len(originals) == 12
    for original in originals:
        worse = sorted(
            (r for r in rows if r["original"] == original and r["kind"] == kind), key=lambda r: int(r["severity_rank"])
        )
        files = [original, *(r["file"] for r in worse)]
        values = [sign * measure(load(DEGRADED.parent / f))[column] for f in files]
        assert values == sorted(values) and len(set(values)) == len(values), (original, values)


def test_sharpness_stays_when_a_large_picture_is_halved() -> None:
    large = opencv.resize(load(PHOTOS[0]), None, fx=6, fy=6, interpolation=opencv.INTER_CUBIC)
    half = opencv.resize(large, None, fx=0.5, fy=0.5, interpolation=opencv.INTER_AREA)
    before, after = measure(large), measure(half)
    assert after["sharpness"] == pytest.approx(before["sharpness"], rel=0.05)
    assert after["focus_measure"] > 2 * before["focus_measure"]


def test_letterbox_and_pillarbox_are_measured_as_shares() -> None:
    picture = opencv.resize(load(PHOTOS[0]), (200, 100))
    boxed = opencv.copyMakeBorder(picture, 20, 30, 50, 0, opencv.BORDER_CONSTANT, value=(0, 0, 0))
    row = measure(boxed)
    assert [row[f"border_{s}"] for s in ("top", "bottom", "left", "right")] == pytest.approx([20 / 150, 0.2, 0.2, 0])


def test_gray_picture_is_grayscale_and_a_tinted_one_is_not() -> None:
    gray = np.repeat(load(PHOTOS[0])[:, :, :1], 3, axis=2)
    assert measure(gray)["is_grayscale"] is True
    assert measure(np.minimum(gray, [255, 230, 180]).astype(np.uint8))["is_grayscale"] is False


@pytest.mark.parametrize(("apart", "grayscale"), [(8, True), (9, False)])
def test_channels_more_than_eight_levels_apart_are_colour(apart: int, grayscale: bool) -> None:
    assert measure(np.full((20, 20, 3), (100, 100, 100 + apart), np.uint8))["is_grayscale"] is grayscale


@pytest.mark.parametrize("colours", [[(0, 0, 255), (255, 255, 0)], [(0, 0, 0), (255, 255, 255)], [(0, 0, 255)]])
def test_largest_possible_sums_of_a_wide_picture_do_not_overflow(colours: list[tuple[int, int, int]]) -> None:
    y, x = np.indices((3, 20_011))
    assert_equal(np.array(colours, np.uint8)[(y + x) % len(colours)])


def test_four_threads_give_the_values_of_one() -> None:
    images = [load(p) for p in PHOTOS] * 4
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(measure, images)) == [measure(i) for i in images]


def test_picture_that_may_not_be_written_to_is_measured_and_stays_as_it_is() -> None:
    rgb = load(PHOTOS[1])
    before = rgb.copy()
    rgb.flags.writeable = False
    image = Image(rgb)
    assert cv2.compute is not None
    assert cv2.compute(image) == measure(before)
    assert np.array_equal(rgb, before)
    assert np.array_equal(image.gray, opencv.cvtColor(before, opencv.COLOR_RGB2GRAY))
