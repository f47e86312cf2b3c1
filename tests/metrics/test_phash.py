"""The perceptual hash: near duplicates are near, other images are not, and the bits are the documented ones."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from arot_assets.media.image.decode import decode
from arot_assets.media.image.view import Image
from arot_assets.metrics.catalogue.phash import phash
from tests.tiers import draws

NEAR = Path(__file__).parents[1] / "data" / "near_duplicates"
ORIGINALS = sorted(NEAR.glob("*__original.*"))


def hashes(rgb: NDArray[np.uint8]) -> tuple[int, int]:
    assert phash.compute is not None
    row = phash.compute(Image(rgb))
    return row["phash"], row["mirrored"]


def load(path: Path) -> NDArray[np.uint8]:
    return decode(path.read_bytes())


def distance(a: int, b: int) -> int:
    return (a ^ b).bit_count()


def variants(relation: str) -> list[tuple[Path, Path]]:
    pairs = [
        r["file_b"] for r in csv.DictReader((NEAR / "truth.csv").read_text().splitlines()) if r["relation"] == relation
    ]
    found = [NEAR.parent / p for p in pairs]
    return [(next(NEAR.glob(p.name.split("__")[0] + "__original.*")), p) for p in found]


@pytest.mark.parametrize("relation", ["half_size", "jpeg_q30", "bright10"])
def test_resized_recompressed_and_brightened_copies_are_near(relation: str) -> None:
    pairs = variants(relation)
    assert len(pairs) == 12
    distances = [distance(hashes(load(a))[0], hashes(load(b))[0]) for a, b in pairs]
    assert max(distances) <= 10
    assert sum(d <= 6 for d in distances) >= 11


def test_mirrored_copy_is_near_the_mirrored_hash() -> None:
    pairs = variants("mirrored")
    assert len(pairs) == 12
    assert max(distance(hashes(load(a))[1], hashes(load(b))[0]) for a, b in pairs) <= 6


def test_different_pictures_are_far() -> None:
    values = [hashes(load(p))[0] for p in ORIGINALS]
    assert len(values) == 12
    assert min(distance(a, b) for i, a in enumerate(values) for b in values[:i]) > 10


@settings(max_examples=draws(60), deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 2**32 - 1))
def test_mirrored_is_the_hash_of_the_flipped_picture_for_any_size(height: int, width: int, seed: int) -> None:
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    plain, mirrored = hashes(rgb)
    assert hashes(np.ascontiguousarray(rgb[:, ::-1])) == (mirrored, plain)


@pytest.mark.parametrize("path", ORIGINALS, ids=lambda p: p.stem)
def test_bits_are_the_documented_ones(path: Path) -> None:
    rgb = load(path)
    gray = Image(rgb).gray.astype(float)

    def averages(size: int) -> NDArray[np.float64]:
        edges = np.arange(33) * size / 32
        x = np.arange(size)
        return np.clip(np.minimum(edges[1:, None], x + 1) - np.maximum(edges[:-1, None], x), 0, None) * 32 / size

    cells = averages(gray.shape[0]) @ gray @ averages(gray.shape[1]).T
    u = np.arange(8)[:, None]
    basis = np.cos(np.pi * (2 * np.arange(32) + 1) * u / 64) * np.where(u == 0, 0.5**0.5, 1)
    low = (basis @ cells @ basis.T).reshape(-1)
    margin = np.abs(low - np.median(low[1:]))
    bits = low > np.median(low[1:])
    value = hashes(rgb)[0]
    for k in range(1, 64):
        if margin[k] > 0.2:  # closer to the median, the rounding of the cells decides
            assert bool(value >> k & 1) == bits[k], k
    assert value & 1 == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1), (2, 2), (31, 33)])
def test_picture_of_one_level_has_the_hash_zero_at_any_size(size: tuple[int, int]) -> None:
    assert hashes(np.full((*size, 3), 93, np.uint8)) == (0, 0)
