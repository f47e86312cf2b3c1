"""A model that cannot be used ends its own tables only; models that do not fit together get a pass each."""

import gc
import hashlib
import shutil
import weakref
from dataclasses import replace
from pathlib import Path

import pytest

from resources.models import Models
from resources.models.entries import CATALOGUE
from resources.models.entry import ModelEntry
from resources.models.runner import Runner
from tests.conftest import Dataset

BROKEN = """
type: arot_assets.components.Model
attributes:
  family: timm
  weights: {uri: nowhere, files: {model.safetensors: '%s'}}
  outputs: [{kind: embedding, size: 4, meaning: nothing}]
  parameters: 4
  licence: MIT
  reference: none
  options: {architecture: tf_efficientnet_lite0}
""" % ("0" * 64)


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A model of the project whose weights are not there."""
    (tmp_path / "own" / "models").mkdir(parents=True)
    (tmp_path / "own" / "models" / "lost.yaml").write_text(BROKEN)
    monkeypatch.setenv("AROT_PROJECT", str(tmp_path / "own"))
    return "lost"


def test_it_is_told_before_any_image_is_decoded_and_the_other_tables_are_finished(
    dataset: Dataset, broken: str, decodes: list[int]
) -> None:
    dataset.run()
    assert dataset.metrics(broken)[broken].rows == 0 and decodes == []
    found = dataset.metrics("phash", "embedding", broken)
    assert found["phash"].computed == found["embedding"].computed > 0
    assert found[broken].rows == 0
    assert not dataset.sql("select 1 from information_schema.tables where table_name = 'lost'")
    assert dataset.sql("select count(*) from d.embedding where status = 'ok'")[0][0] == found["embedding"].computed


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("lost", "nowhere"),
        ("other", "the entry pins"),
        ("pickle", "cannot be read as tensors alone"),
        ("large", "raise resources.models.memory_gb"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_no_image_is_decoded_for_it(
    kind: str, said: str, dataset: Dataset, broken: str, decodes: list[int], tmp_path: Path
) -> None:
    import torch

    file = tmp_path / "own" / "model.pth"
    torch.save({"weight": torch.nn.Linear(1, 1)}, file)
    pinned = hashlib.sha256(file.read_bytes()).hexdigest() if kind in ("pickle", "large") else "0" * 64
    entry = BROKEN.replace("model.safetensors", "model.pth").replace("0" * 64, pinned)
    entry = entry if kind == "lost" else entry.replace("uri: nowhere", f"uri: {file.parent}")
    entry = entry.replace("parameters: 4", "parameters: 1000000000000000") if kind == "large" else entry
    (tmp_path / "own" / "models" / "lost.yaml").write_text(entry)
    dataset.run()
    result = dataset.metrics(broken)[broken]
    assert result.rows == 0 and decodes == []
    assert said in result.error and "\n" not in result.error


@pytest.fixture
def equals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three models of the project, each with the real weights of ``efficientnet_lite0``: 18.6 MB in memory."""
    names = ["first", "second", "third"]
    (tmp_path / "own" / "models").mkdir(parents=True)
    for name in names:
        shutil.copyfile(CATALOGUE / "efficientnet_lite0.yaml", tmp_path / "own" / "models" / f"{name}.yaml")
    monkeypatch.setenv("AROT_PROJECT", str(tmp_path / "own"))
    return names


def test_the_model_that_was_used_longest_ago_makes_room(equals: list[str]) -> None:
    models = Models(device="cpu", memory_gb=0.045)  # of two
    first, second = models.get("first"), weakref.ref(models.get("second"))
    assert models.get("first") is first
    third = models.get("third")
    gc.collect()
    assert second() is None
    assert models.get("first") is first and models.get("third") is third
    assert models.groups(equals[::-1]) == [["third"], ["first", "second"]], "what is loaded comes first"
    assert replace(models, memory_gb=0.02).groups(equals) == [["first"], ["third"], ["second"]]
    assert replace(models, batch_size=3, memory_gb=0.02).groups(equals) == [["first"], ["second"], ["third"]]
    assert replace(models, memory_gb=0.06).groups(equals) == [equals]


LOADED: list[weakref.ref[Runner]] = []
TOGETHER: list[int] = []


class Watched(Models):
    """Tells how many models there are when another one is loaded."""

    def load(self, entry: ModelEntry) -> Runner:
        gc.collect()
        TOGETHER.append(sum(one() is not None for one in LOADED))
        runner = super().load(entry)
        LOADED.append(weakref.ref(runner))
        return runner


def test_models_that_do_not_fit_together_are_never_there_together(dataset: Dataset, equals: list[str]) -> None:
    dataset.run()
    TOGETHER.clear()
    dataset.resources = replace(dataset.resources, made_models=Watched(device="cpu", batch_size=2, memory_gb=0.025))
    found = dataset.metrics("phash", *equals)
    assert len({found[name].computed for name in ("phash", *equals)}) == 1 and found["phash"].computed > 0
    assert not any(result.error for result in found.values())
    assert set(TOGETHER) == {0}
    assert len(dataset.shards()) == 3 and len(TOGETHER) == 3 + 2 + 2, (
        "a shard begins with the model that the last one ended with"
    )
    ((different,),) = dataset.sql(
        "select count(*) from d.first join d.third using (sample_id) where first.vector <> third.vector"
    )
    assert different == 0
