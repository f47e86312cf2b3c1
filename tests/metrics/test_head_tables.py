"""Heads of the model catalogue as tables: a YAML entry is enough, nothing is decoded, a faulty head ends its own table only."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import yaml

from arot_assets.metrics.registry import get_metric
from arot_assets.project import init_project
from resources.models.entry import ModelEntry
from resources.models.families.head import reference_of_vectors
from tests.conftest import Dataset
from tests.resources.test_heads import stack, write_head

DIMENSIONS = 1280


@pytest.fixture
def heads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, ModelEntry]:
    """A project with three heads over the default embedding: a score, an ordinal scale, and one over other vectors."""
    init_project(tmp_path / "p")
    monkeypatch.setenv("AROT_PROJECT", str(tmp_path / "p"))
    ordinal = {"kind": "ordinal", "labels": ["bad", "fair", "good"], "values": [0, 1, 2], "meaning": "quality"}
    weights = tmp_path / "weights"
    made = {
        "beauty": write_head(weights, "beauty", stack(DIMENSIONS, 1), normalise=True),
        "quality": write_head(weights, "quality", stack(DIMENSIONS, 32, 3), ordinal, activation="relu"),
        "narrow": write_head(weights, "narrow", stack(16, 1)),
    }
    (tmp_path / "p" / "models").mkdir(exist_ok=True)
    for name, entry in made.items():
        said = {k: v for k, v in asdict(entry).items() if k != "name" and v is not None}
        said["weights"]["files"] = dict(said["weights"]["files"])
        text = yaml.safe_dump({"type": "arot_assets.components.Model", "attributes": yaml.safe_load(_plain(said))})
        (tmp_path / "p" / "models" / f"{name}.yaml").write_text(text)
    return made


def _plain(said: object) -> str:
    import json

    return json.dumps(said)


def test_entry_alone_makes_a_table_of_scores_from_stored_vectors(
    dataset: Dataset, heads: dict[str, ModelEntry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset.run("embedding")
    for file in dataset.source.rglob("*.jpg"):
        file.unlink()
    found = dataset.metrics("beauty", "quality")
    assert (found["beauty"].computed, found["quality"].computed) == (12, 12)
    assert found["beauty"].model == {"device": "cpu", "engine": "torch", "precision": "float32"}
    rows = dataset.sql(
        "select vector, beauty.score, quality.score, p_bad + p_fair + p_good from d.embedding join d.beauty using (sample_id) "
        "join d.quality using (sample_id)"
    )
    vectors = np.array([row[0] for row in rows], np.float32)
    beauty = reference_of_vectors(heads["beauty"], tmp_path / "weights")(vectors)[:, 0]
    np.testing.assert_allclose([row[1] for row in rows], beauty, atol=1e-4)
    logits = reference_of_vectors(heads["quality"], tmp_path / "weights")(vectors)
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    np.testing.assert_allclose([row[2] for row in rows], shares @ [0, 1, 2], atol=1e-4)
    np.testing.assert_allclose([row[3] for row in rows], 1, atol=1e-5)
    assert dataset.metrics("beauty")["beauty"].computed == 0


def test_heads_that_miss_the_same_rows_read_the_vectors_once(
    dataset: Dataset, heads: dict[str, ModelEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    from arot_assets.metrics.rows import build_rows
    from resources.models.heads import Heads

    dataset.run("embedding")
    seen: list[list[str]] = []
    real = Heads.predict

    def counting(self: Heads, vectors: np.ndarray) -> dict[str, np.ndarray]:
        seen.append(self.names)
        return real(self, vectors)

    monkeypatch.setattr(Heads, "predict", counting)
    r = dataset.resources
    both = [get_metric("beauty"), get_metric("quality")]
    build_rows(r.warehouse, r.models, "d", "00000", both[:1])
    build_rows(r.warehouse, r.models, "d", "00000", both)
    build_rows(r.warehouse, r.models, "d", "00001", both)
    build_rows(r.warehouse, r.models, "d", "00001", both)
    assert seen == [["beauty"], ["quality"], ["beauty", "quality"]]


def test_faulty_head_ends_its_own_table_only(dataset: Dataset, heads: dict[str, ModelEntry], tmp_path: Path) -> None:
    from arot_assets.metrics.rows import build_rows

    dataset.run("embedding")
    (tmp_path / "weights" / "quality.safetensors").write_bytes(b"other")
    r = dataset.resources
    three = [get_metric(name) for name in ("narrow", "quality", "beauty")]
    found = build_rows(r.warehouse, r.models, "d", "00000", three[1:])
    assert "quality" in found["quality"].error and found["beauty"].rows == 5
    found = build_rows(r.warehouse, r.models, "d", "00001", three[:1])
    assert "take vectors of 16 dimensions, and the stored ones have 1280" in found["narrow"].error
    assert r.tables.shards("d", "beauty") == ["00000"] and r.tables.shards("d", "narrow") == []
