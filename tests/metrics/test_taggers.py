"""A tagger's table has probabilities of ids; what the ids mean is written beside it, before the first row."""

import hashlib
from pathlib import Path

import pytest
import yaml

from arot_assets.metrics.registry import get_metric
from arot_assets.metrics.sharing import loaded_models
from resources.models.entries import CATALOGUE
from resources.tables import TagsRef
from tests.conftest import Dataset
from tests.models import tiny


@pytest.fixture
def tagger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a project's entry: the WD tagger of the catalogue in ONNX, over weights in a folder."""
    models = tmp_path / "own" / "models"
    models.mkdir(parents=True)
    weights = tmp_path / "weights"
    weights.mkdir()
    tiny.pixel_reader(weights, 448, "NHWC", {"output": "Sigmoid"})
    tiny.wd_tags(weights)
    said = yaml.safe_load((CATALOGUE / "wd_eva02_large_onnx.yaml").read_text())
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in weights.iterdir()}
    said["attributes"] |= {"weights": {"uri": str(weights), "files": files}, "parameters": 1000}
    said["attributes"]["outputs"][0]["count"] = 12
    (models / "wd.yaml").write_text(yaml.safe_dump(said))
    monkeypatch.setenv("AROT_PROJECT", str(tmp_path / "own"))
    return models / "wd.yaml"


def test_thresholds_of_a_new_taggers_table_are_sql(dataset: Dataset, tagger: Path) -> None:
    dataset.run()
    found = dataset.metrics("wd")["wd"]
    assert found.computed > 0 and not found.error
    assert dataset.sql("select name, category, threshold from tags.wd where id in (0, 3, 8) order by id") == [
        ("general", "rating", None),
        ("1girl", "general", pytest.approx(0.5296)),
        ("hatsune_miku", "character", pytest.approx(0.85)),
    ]
    (least,) = dataset.sql("select min(least(list_min(probabilities), 1)) from d.wd where status = 'ok'")
    assert least[0] >= 0.05
    every, none = (
        dataset.sql(
            f"select count(*), max(len(tags)) from tags_above('d', 'wd', min_general := {t}, min_character := {t})"
        )
        for t in (0.0, 1.1)
    )
    assert every[0][0] == none[0][0] == found.computed and every[0][1] == 9 and none[0][1] == 0


def test_a_list_of_other_tags_ends_the_table_before_any_row(dataset: Dataset, tagger: Path) -> None:
    said = yaml.safe_load(tagger.read_text())
    said["attributes"]["outputs"][0]["tags"]["column"] = "label"
    tagger.write_text(yaml.safe_dump(said))
    resources = dataset.resources
    metrics = [get_metric("wd"), get_metric("phash")]
    with loaded_models(resources.models, metrics, resources.tables) as (loaded, failed):
        assert not loaded and list(failed) == ["wd"]
    assert "selected_tags.csv is no list of tags as its entry says" in failed["wd"]
    assert not resources.tables.exists(TagsRef("wd"))
