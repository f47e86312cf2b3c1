"""What the libraries that users read with make of an export: N of N, each with its own caption and pixels."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Dataset
from tests.exports.training import SUBSET, Training, place


@pytest.fixture
def training(dataset: Dataset, tmp_path: Path) -> Training:
    """Twelve photos, and a picture in another format."""
    Image.effect_noise((200, 100), 40).convert("RGB").save(dataset.source / "noise.png")
    dataset.run()
    return Training(dataset, tmp_path / "project")


def pixels(picture: Any) -> tuple[tuple[int, int], int]:
    """Size and sum of a decoded picture."""
    return picture.size, int(np.asarray(picture.convert("RGB")).sum(dtype=np.int64))


def wanted(folder: Path) -> dict[str, tuple[tuple[int, int], int]]:
    """Stem -> what its file decodes to."""
    return {p.stem: pixels(Image.open(p)) for p in (folder / "images").iterdir() if p.suffix in (".jpg", ".png")}


def test_datasets_reads_the_layout_hf(training: Training, tmp_path: Path) -> None:
    import datasets

    folder, captions = place(training.export(layout="hf", columns=["size"])), training.rows()
    for by in ({"path": "imagefolder", "data_dir": str(folder)}, {"path": str(folder)}):
        found = datasets.load_dataset(**by, split="train", cache_dir=str(tmp_path / f"cache-{len(by)}"))
        rows = {r["text"]: (pixels(r["image"]), r["size"]) for r in found}
        known = wanted(folder)
        sizes = dict(training.dataset.sql("select sample_id, size from chosen"))
        assert rows == {captions[i][1]: (known[i], sizes[i]) for i in captions} and len(rows) == 13


@pytest.mark.parametrize("layout", ["hf", "webdataset"])
def test_datasets_takes_an_export_of_one_picture_for_a_picture(training: Training, tmp_path: Path, layout: str) -> None:
    """Its records are Parquet and JSON, and more files than there are pictures."""
    import datasets

    training.select(SUBSET.replace("= 'ok'", "= 'ok' and samples.uri like '%noise%'"))
    folder = place(training.export(layout=layout))
    (row,) = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    ((_, caption),) = training.rows().values()
    assert caption in row.values()
    assert pixels(row["image" if layout == "hf" else "jpg"])[0] == (200, 100)


def test_webdataset_and_datasets_read_the_layout_webdataset(training: Training, tmp_path: Path) -> None:
    """The picture in another format is encoded as the others are: readers expect one type in all samples."""
    import datasets
    import webdataset

    done, captions = training.export(layout="webdataset", columns=["size"]), training.rows()
    tars = sorted(str(p) for p in (place(done) / "images").iterdir())
    known = wanted(place(training.export(layout="hf", rules={}, media="safe", columns=["size"])))
    rows = list(webdataset.WebDataset(tars, shardshuffle=False))
    assert {r["__key__"]: r["txt"].decode() for r in rows} == {i: c for i, (_, c) in captions.items()} and len(
        rows
    ) == 13
    same = {r["__key__"] for r in rows if pixels(Image.open(io.BytesIO(r["jpg"]))) == known[r["__key__"]]}
    assert len(same) == 12  # all but the one that is PNG elsewhere
    found = datasets.load_dataset(str(place(done) / "images"), split="train", streaming=True)
    assert {r["__key__"]: (r["txt"], r["json"]["width"]) for r in found} == {
        i: (captions[i][1], known[i][0][0]) for i in captions
    }


def test_pandas_reads_the_layout_simpletuner_parquet(training: Training) -> None:
    import pandas

    folder, captions = place(training.export(layout="simpletuner_parquet")), training.rows()
    rows = pandas.read_parquet(folder / "images.parquet")
    known = wanted(folder)
    assert {Path(r.filename).stem: (r.caption, (r.width, r.height)) for r in rows.itertuples()} == {
        i: (captions[i][1], known[i][0]) for i in captions
    }
