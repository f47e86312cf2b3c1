"""Files of TensorFlow Lite: numbers of 8 bits in and out, points of the picture, and what is refused."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.models import Models
from resources.models.entries import find_entry
from resources.models.entry import ModelError, Preprocessing, Store
from resources.models.families.tflite import as_meant, as_stored, interpreter
from resources.models.placed import on_image, placed

INT8 = {"dtype": np.int8, "quantization": (1 / 255, -128)}
UINT8 = {"dtype": np.uint8, "quantization": (0.0126, 130)}


def test_levels_of_0_to_1_are_levels_less_128_where_the_file_says_so() -> None:
    levels = np.arange(256, dtype=np.float32)
    np.testing.assert_array_equal(as_stored(levels / 255, INT8), levels - 128)
    np.testing.assert_allclose(as_meant(as_stored(levels / 255, INT8), INT8), levels / 255, atol=1e-6)


@given(st.floats(-1.5, 1.5, width=32))
def test_a_number_is_stored_as_the_nearest_of_the_file(value: float) -> None:
    stored = as_stored(np.array([value], np.float32), UINT8)
    assert stored.dtype == np.uint8
    assert abs(float(as_meant(stored, UINT8)[0]) - value) <= 0.0126 / 2 + 1e-6


def test_numbers_beyond_the_range_of_the_file_are_its_ends_and_levels_stay_levels() -> None:
    np.testing.assert_array_equal(as_stored(np.array([-9.0, 9.0], np.float32), UINT8), [0, 255])
    levels = np.array([0, 7, 255], np.uint8)
    np.testing.assert_array_equal(as_stored(levels, UINT8), levels)


@given(st.integers(1, 300), st.integers(1, 300), st.floats(0, 1), st.floats(0, 1))
def test_a_point_of_the_picture_is_found_again_whatever_the_borders(
    height: int, width: int, x: float, y: float
) -> None:
    how = Preprocessing(64, "letterbox", interpolation="bilinear", layout="NHWC", dtype="uint8")
    area = placed(np.zeros((height, width, 3), np.uint8), how)["area"]
    left, top, wide, high = (float(part) for part in area)
    ((label, score, found_x, found_y),) = on_image([(3, 0.5, left + x * wide, top + y * high)], area)
    assert (label, score) == (3, 0.5) and abs(found_x - x) < 1e-4 and abs(found_y - y) < 1e-4


def test_a_point_beside_the_picture_is_outside_of_0_to_1() -> None:
    area = np.array([0.25, 0, 0.5, 1], np.float32)
    assert [point[2:] for point in on_image([(0, 1.0, 0.0, 0.5), (1, 1.0, 1.0, 0.5)], area)] == [
        (-0.5, 0.5),
        (1.5, 0.5),
    ]


def test_without_litert_its_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(ModelError, match=r"model 'pose' is run by LiteRT: `pip install 'arot\[litert\]'`"):
        interpreter(find_entry("pose"), tmp_path / "pose.tflite", 1)


def test_a_file_that_is_no_network_is_one_error(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
    (tmp_path / "x.tflite").write_bytes(b"this is no flatbuffer")
    with pytest.raises(ModelError, match=r"model 'pose': LiteRT cannot load x.tflite: ") as told:
        interpreter(find_entry("pose"), tmp_path / "x.tflite", 1)
    assert "\n" not in str(told.value)


def test_an_entry_without_preprocessing_says_what_it_needs(tmp_path: Path) -> None:
    import hashlib

    (tmp_path / "x.tflite").write_bytes(b"")
    pinned = Store(str(tmp_path), {"x.tflite": hashlib.sha256(b"").hexdigest()})
    entry = replace(find_entry("person_mask"), preprocessing=None, weights=pinned)
    with pytest.raises(ModelError, match="state `preprocessing` with a fixed size"):
        Models(device="cpu").load(entry)
