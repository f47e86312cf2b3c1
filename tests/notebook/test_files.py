"""Every kind of file comes and goes through the notebook functions on every scheme, and what is broken says so."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

from resources import notebook as nb
from resources.storage import StorageError
from tests.conftest import DATA
from tests.notebook.values import FRAME, picture

FAULTS = DATA / "faults"
ROWS = [{"n": 1, "deep": {"x": [1, 2]}}, {"n": 2, "deep": None}]
VALUES: list[tuple[str, Any]] = [
    ("a.csv", FRAME),
    ("a.csv.gz", FRAME),
    ("a.tsv", FRAME),
    ("a.parquet", FRAME),
    ("a.cdc.parquet", FRAME),
    ("a.json", {"naïve": [1, 2.5, None, True]}),
    ("a.json.gz", ROWS),
    ("a.jsonl", ROWS),
    ("a.jsonl.gz", ROWS),
    ("a.txt", ["first", "", "naïve"]),
    ("a.md", ["# Title", "text"]),
    ("a.yaml", {"b": [1, "two"], "a": {"c": None}}),
    ("a.toml", {"name": "x", "table": {"n": [1, 2]}}),
    ("a.npy", np.arange(6, dtype=np.float32).reshape(2, 3)),
    ("a.safetensors", {"w": np.ones((2, 3), np.float32)}),
    ("a.png", picture()),
    ("b.png", picture("RGBA")),
    ("a.webp", picture()),
    ("a.jpg", picture()),
    ("a.tiff", picture()),
    ("a.bmp", picture()),
    ("a.gif", picture()),
    ("a.avif", picture()),
    ("a.heic", picture()),
]


@pytest.mark.parametrize(("name", "value"), VALUES, ids=[name for name, _ in VALUES])
def test_every_kind_of_file_can_be_saved_and_loaded_everywhere(root: str, name: str, value: Any) -> None:
    lossless = {"a.webp": {"lossless": True}}.get(name, {})
    uri = nb.saves(value, f"{root}/{name}", **lossless)
    back = nb.loads(uri)
    if isinstance(value, pd.DataFrame):
        pd.testing.assert_frame_equal(back, value)
    elif isinstance(value, np.ndarray):
        np.testing.assert_array_equal(back, value)
    elif isinstance(value, Image.Image):
        assert back.size == value.size
        if name.endswith(("png", "tiff", "bmp", "webp")):
            np.testing.assert_array_equal(np.asarray(back), np.asarray(value))
    elif name.endswith("safetensors"):
        np.testing.assert_array_equal(back["w"], value["w"])
    else:
        assert back == value


def test_tables_come_and_go_as_pandas_polars_and_arrow(root: str) -> None:
    import polars as pl

    for name in ("a.parquet", "a.csv", "a.jsonl", "a.json"):
        uri = nb.saves(pl.DataFrame({"n": [1, 2], "word": ["x", "y"]}), f"{root}/{name}")
        assert nb.loads(uri, as_="arrow").to_pylist() == [{"n": 1, "word": "x"}, {"n": 2, "word": "y"}]
        assert isinstance(nb.loads(uri, as_="polars"), pl.DataFrame)
        assert isinstance(nb.loads(uri, as_="pandas"), pd.DataFrame)
    nb.saves([{"a": 1}, {"b": "x"}], f"{root}/ragged.parquet")
    assert nb.loads(f"{root}/ragged.parquet", as_="arrow").to_pylist() == [{"a": 1, "b": None}, {"a": None, "b": "x"}]


def test_of_a_parquet_file_only_the_asked_columns_are_fetched(root: str) -> None:
    table = pa.table({"small": np.arange(1000), "large": [os.urandom(2000) for _ in range(1000)]})
    uri = nb.saves(table, f"{root}/wide.parquet")
    got = nb.loads(uri, columns=["small"], filters=[("small", "<", 5)], as_="arrow")
    assert got.to_pydict() == {"small": [0, 1, 2, 3, 4]}


def test_with_content_defined_chunks_most_bytes_stay_when_rows_are_put_in_front(root: str) -> None:
    random = np.random.default_rng(0)
    words = [f"{n} {random.integers(0, 1000)} a text that packs" for n in range(200_000)]

    def kept(**options: Any) -> float:
        """Share of the old file's bytes that the new one has too, by samples of them."""
        old = nb.saves({"word": words}, f"{root}/old.cdc.parquet", **options)
        new = nb.saves({"word": [f"new {n}" for n in range(777)] + words}, f"{root}/new.cdc.parquet", **options)
        before, after = (nb.default_storage().read_bytes(uri) for uri in (old, new))
        samples = [before[at : at + 100] for at in range(0, len(before) - 100, len(before) // 50)]
        return sum(sample in after for sample in samples) / len(samples)

    options = {"use_content_defined_chunking": {"min_chunk_size": 16_384, "max_chunk_size": 65_536}}
    without = kept(use_content_defined_chunking=False)
    assert kept(**options) > 0.7 > without
    assert kept() > without + 0.2, "`.cdc.parquet` asks for it by its name"


def test_a_value_that_a_kind_of_file_cannot_hold_is_one_clear_error_and_no_file(root: str) -> None:
    wrong: list[tuple[Any, str, str]] = [
        ({"a": 1}, "a.csv", "pass a list for each key"),
        (float("nan"), "a.json", "use None"),
        ([{"a": 1}, {"a": "x"}], "a.parquet", "column 'a'"),
        (picture("RGBA"), "a.jpg", "convert"),
        (np.zeros((3, 3)), "a.png", "uint8"),
        ("text", "a.jsonl", "cannot be written as lines"),
        ({"a": None}, "a.toml", "NoneType"),
        ([1, 2], "a.txt", "list of strings"),
        ("x", "a.docx", "extension"),
    ]
    for value, name, said in wrong:
        with pytest.raises(StorageError, match=said) as error:
            nb.saves(value, f"{root}/{name}")
        assert error.value.kind == "format"
        assert not nb.default_storage().exists(f"{root}/{name}")


def test_a_wrong_option_is_named_with_the_right_ones(root: str) -> None:
    uri = nb.saves(FRAME, f"{root}/a.csv")
    with pytest.raises(TypeError, match="no option 'sep'; it has delimiter"):
        nb.loads(uri, sep=";")
    with pytest.raises(TypeError, match="no option 'sep'"):
        nb.concurrent_loads([uri], progress=False, sep=";")


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(StorageError, match="pickle"):
        nb.loads(tmp_path / "a.npy")


@pytest.mark.parametrize("name", ["truncated_half.jpg", "truncated_tail.jpg", "truncated.png", "damaged_idat.png"])
def test_a_truncated_image_fails_when_it_is_loaded(root: str, name: str) -> None:
    nb.default_storage().write(f"{root}/{name}", (FAULTS / name).read_bytes())
    with pytest.raises(StorageError) as error:
        nb.loads(f"{root}/{name}")
    assert error.value.kind == "format" and name in str(error.value)


@pytest.mark.parametrize("name", ["html_error_page.jpg", "zero_byte.jpg", "bomb_60000x60000.png", "mp4_named.jpg"])
def test_what_is_no_image_says_so(name: str) -> None:
    with pytest.raises(StorageError) as error:
        nb.loads(FAULTS / name)
    assert error.value.kind == "format"


def test_images_are_turned_as_their_exif_says(root: str) -> None:
    upright = nb.loads(FAULTS / "exif_orientation_1.jpg")
    for n in range(2, 9):
        uri = f"{root}/{n}.jpg"
        nb.default_storage().write(uri, (FAULTS / f"exif_orientation_{n}.jpg").read_bytes())
        turned = nb.loads(uri)
        assert turned.size == upright.size
        assert np.abs(np.asarray(turned, float) - np.asarray(upright, float)).mean() < 6
        again = nb.loads(nb.saves(turned, f"{root}/again.png"))
        assert again.size == upright.size


def test_gray_of_16_bits_and_hidden_colours_look_right_as_arrays() -> None:
    gray = nb.loads(FAULTS / "gray16.png")
    expected = np.asarray(gray, np.uint16) >> 8
    np.testing.assert_array_equal(nb.loads(FAULTS / "gray16.png", as_="numpy"), np.stack([expected] * 3, axis=-1))
    hidden = nb.loads(FAULTS / "rgba_hidden_colour.png")
    alpha = np.asarray(hidden.convert("RGBA"))[..., 3]
    assert (nb.loads(FAULTS / "rgba_hidden_colour.png", as_="numpy")[alpha == 0] == 255).all()
