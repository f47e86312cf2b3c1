"""Boxes are lists of structs in shares of the image, whatever borders the model's canvas had."""

import hashlib
from pathlib import Path

import pytest
import yaml

from resources.models.entries import CATALOGUE
from tests.conftest import Dataset
from tests.models import tiny


@pytest.fixture
def detector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """NudeNet's entry of the catalogue over a small detector with two labels."""
    models, weights = tmp_path / "own" / "models", tmp_path / "weights"
    models.mkdir(parents=True)
    weights.mkdir()
    tiny.detector(weights)
    said = yaml.safe_load((CATALOGUE / "nudenet.yaml").read_text())
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in weights.iterdir()}
    said["attributes"] |= {"weights": {"uri": str(weights), "files": files}, "parameters": 10}
    said["attributes"]["preprocessing"]["size"] = 64
    said["attributes"]["outputs"][0]["labels"] = ["left", "corner"]
    (models / "found.yaml").write_text(yaml.safe_dump(said))
    monkeypatch.setenv("AROT_PROJECT", str(tmp_path / "own"))
    return "found"


def test_boxes_of_a_table_are_shares_of_the_image(dataset: Dataset, detector: str) -> None:
    dataset.run()
    found = dataset.metrics(detector)[detector]
    assert found.computed > 1 and not found.failures
    rows = dataset.sql(
        "select width, height, boxes from d.found join d.samples using (sample_id) where d.found.status = 'ok'"
    )
    assert len(rows) == found.computed
    for width, height, boxes in rows:
        assert width > height, "the borders are below the image"
        left, *others = boxes
        assert left["label"] == "left" and left["score"] == pytest.approx(0.9)
        assert [left[k] for k in ("left", "top", "width", "height", "area")] == pytest.approx([0, 0, 0.5, 1, 0.5])
        kept = int(64 * height / width)  # rows of the canvas that are image
        corner = max(0.0, (kept - 32) / kept)
        assert [b["label"] for b in others] == (["corner"] if corner else []), "the other one overlaps a better one"
        assert all(b["height"] == pytest.approx(corner, abs=1e-6) for b in others)
    assert dataset.sql("select count(*) from d.found where list_max(list_transform(boxes, lambda b: b.area)) >= 0.5")[
        0
    ][0]
