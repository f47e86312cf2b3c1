"""A model that cannot be used ends its own tables only; models that do not fit together get a pass each."""

from pathlib import Path

import pytest

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


def test_the_other_tables_of_the_run_are_finished(dataset: Dataset, broken: str) -> None:
    dataset.run()
    found = dataset.metrics("phash", "embedding", broken)
    assert found["phash"].computed == found["embedding"].computed > 0
    assert found[broken].rows == 0
    assert not dataset.sql("select 1 from information_schema.tables where table_name = 'lost'")
    assert dataset.sql("select count(*) from d.embedding where status = 'ok'")[0][0] == found["embedding"].computed
