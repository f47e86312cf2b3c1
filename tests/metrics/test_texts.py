"""Texts meet stored image embeddings: prompts as labels, captions as a score, search by a text. No image is decoded for them."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import yaml

from arot_assets.metrics.registry import get_metric
from arot_assets.metrics.rows import build_rows
from arot_assets.report.similar import SearchError, query_of_text, search, table_for_text
from resources.models.entries import CATALOGUE, find_entry
from resources.models.entry import ModelError
from resources.models.prompts import prompts_of
from tests.conftest import Dataset
from tests.models import tiny


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small CLIP of open_clip with both towers."""
    folder = tmp_path_factory.mktemp("clip")
    tiny.open_clip(folder, quick_gelu=True)
    return folder


@pytest.fixture
def clip(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose `clip_l14` is that small one; the entries over it are the catalogue's."""
    models = tmp_path / "own" / "models"
    models.mkdir(parents=True)
    said = yaml.safe_load((CATALOGUE / "clip_l14.yaml").read_text())
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in weights.iterdir()}
    said["attributes"] |= {"weights": {"uri": str(weights), "files": files}, "parameters": 1000}
    said["attributes"]["outputs"][0]["size"] = 16
    (models / "clip_l14.yaml").write_text(yaml.safe_dump(said))
    monkeypatch.setenv("AROT_PROJECT", str(tmp_path / "own"))
    monkeypatch.setenv("AROT_MODELS", str(tmp_path / "cache"))
    return models


def test_prompts_captions_and_search_share_the_space_of_stored_embeddings(dataset: Dataset, clip: Path) -> None:
    for picture in sorted(dataset.source.rglob("*.jpg"))[:2]:
        picture.with_suffix(".txt").write_text(f"A photo that is called {picture.stem}.")
    dataset.run()
    dataset.metrics("clip_l14")
    resources = dataset.resources
    metrics = [get_metric("medium_prompts"), get_metric("caption_similarity")]
    for shard in dataset.shards():
        for metric in metrics:
            result = build_rows(resources.warehouse, resources.models, "d", shard, [metric])[metric.name]
            assert result.computed and not result.error and not result.failures
            assert result.model == {"device": "cpu", "engine": "torch", "precision": "float32"}
    runner = resources.models.get("clip_l14")
    entry = find_entry("medium_prompts")

    def unit(vectors: np.ndarray) -> np.ndarray:
        return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)

    labels = unit(np.stack([unit(runner.encode_text(texts)).mean(0) for texts in prompts_of(entry)]))
    rows = dataset.sql(
        "select e.vector, p.p_photo, p.p_text, s.caption, c.score from d.clip_l14 e join d.medium_prompts p using (sample_id) "
        "join d.caption_similarity c using (sample_id) join d.samples s using (sample_id) where e.status = 'ok'"
    )
    assert any(caption for *_, caption, _ in rows)
    for vector, photo, text, caption, score in rows:
        numbers = 100 * labels @ unit(np.asarray(vector, np.float32))
        wanted = np.exp(numbers - numbers.max())
        np.testing.assert_allclose([photo, text], (wanted / wanted.sum())[[0, 3]], atol=1e-4)
        if not caption:
            assert score is None
        else:
            fit = unit(runner.encode_text([caption])[0]) @ unit(np.asarray(vector, np.float32))
            assert score == pytest.approx(float(fit), abs=1e-4)
    assert table_for_text(resources, "d", None) == "clip_l14"
    found, answer = search(resources, "d", "clip_l14", query_of_text(resources, "d", "clip_l14", "a red car"), 3)
    cosines = [float(unit(runner.encode_text(["a red car"])[0]) @ unit(np.asarray(v, np.float32))) for v, *_ in rows]
    assert [one.similarity for one in found] == pytest.approx(sorted(cosines, reverse=True)[:3], abs=1e-3)
    assert answer.compared == len(rows)


def test_prompts_are_part_of_the_version_and_their_embeddings_are_kept(clip: Path, dataset: Dataset) -> None:
    models = dataset.resources.models
    before = models.fingerprint("medium_prompts")
    said = yaml.safe_load((CATALOGUE / "medium_prompts.yaml").read_text())
    said["attributes"]["options"]["prompts"]["photo"] = "a snapshot"
    (clip / "medium_prompts.yaml").write_text(yaml.safe_dump(said))
    assert models.fingerprint("medium_prompts") != before
    assert prompts_of(find_entry("medium_prompts"))[0] == [
        "a snapshot",
        "an image that is a snapshot",
        "a snapshot of something",
    ]
    said["attributes"]["options"]["templates"] = ["a photo"]
    (clip / "bad.yaml").write_text(yaml.safe_dump(said))
    with pytest.raises(ModelError, match=r"the template 'a photo' needs \{\} once"):
        prompts_of(find_entry("bad"))


def test_search_by_text_says_which_embeddings_can_answer(dataset: Dataset) -> None:
    dataset.run()
    with pytest.raises(SearchError, match=r"no embeddings of a model with a text tower.*siglip2_so400m"):
        table_for_text(dataset.resources, "d", None)
