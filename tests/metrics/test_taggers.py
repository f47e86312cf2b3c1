"""A tagger's table has probabilities of ids; what the ids mean is written beside it, before the first row."""

import hashlib
from pathlib import Path

import pytest
import torch
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


@pytest.fixture
def ram_plus(tmp_path: Path, tagger: Path) -> str:
    """A small RAM++ of the published layout beside the other tagger: the real words, and random weights that are sure of some."""
    weights = tmp_path / "ram"
    weights.mkdir()
    tiny.ram_plus(weights, tags=4585, texts=2)
    (file,) = weights.iterdir()
    checkpoint = torch.load(file, weights_only=True)
    checkpoint["model"]["fc.weight"] *= 20
    checkpoint["model"]["fc.bias"] += 9.6
    torch.save(checkpoint, file)
    said = yaml.safe_load((CATALOGUE / "ram_plus.yaml").read_text())
    files = {file.name: hashlib.sha256(file.read_bytes()).hexdigest()}
    said["attributes"] |= {"weights": {"uri": str(weights), "files": files}, "parameters": 30_000, "options": tiny.RAM}
    said["attributes"]["preprocessing"]["size"] = 64
    (tagger.parent / "ram_plus.yaml").write_text(yaml.safe_dump(said))
    return "ram_plus"


def test_words_of_ram_plus_are_those_that_reach_their_own_thresholds(dataset: Dataset, ram_plus: str) -> None:
    dataset.run()
    found = dataset.metrics(ram_plus, "wd")
    assert found[ram_plus].computed > 0 and not found[ram_plus].error
    said = dataset.sql("from tags_above('d', 'ram_plus') order by sample_id")
    rows = dataset.sql("select sample_id, tags, probabilities from d.ram_plus where status = 'ok' order by 1")
    words = dataset.sql("select name, threshold from tags.ram_plus order by id")
    assert len(words) == 4585 and dict(words)["nebula"] == pytest.approx(0.45)
    own = [{words[i][0] for i, p in zip(ids, scores, strict=True) if p >= words[i][1]} for _, ids, scores in rows]
    assert [(sample, set(tags)) for sample, tags in said] == [(row[0], of) for row, of in zip(rows, own, strict=True)]
    least = min(threshold for _, threshold in words)
    counts = [(len(of), sum(p >= least for p in scores)) for of, (_, _, scores) in zip(own, rows, strict=True)]
    assert any(0 < some < more for some, more in counts), "one threshold for all would give other words"
    captions = dataset.sql("select caption_of_tags(tags) from tags_above('d', 'ram_plus') order by sample_id")
    assert captions == [(", ".join(tags),) for _, tags in said]
    agreement = "select tag_agreement(a.tags, b.tags) from tags_above('d', 'ram_plus') a join tags_above('d', 'wd') b using (sample_id)"
    assert [0 <= share < 1 for (share,) in dataset.sql(agreement)] == [True] * len(rows)


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
