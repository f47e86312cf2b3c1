"""Code of a repository runs only where an entry declares it, and only the code whose hash it pins."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from arot_assets.cli.main import main
from resources.models import ModelError, Models
from resources.models.entries import find_entry
from resources.models.which_family import family_of
from tests.models import tiny
from tests.models.test_families import LEVELS
from tests.models.test_weights import rewrite
from tests.servers.hub import Hub

Publish = Callable[..., dict[str, Any]]
QUALITY = {"family": "transformers_image", "outputs": [LEVELS], "trust_remote_code": True}
CONFIGURATION = """
from transformers import ViTConfig


class OwnConfig(ViTConfig):
    model_type = "own_vit"
"""
MODELING = """
from transformers import ViTForImageClassification

from .configuration_own import OwnConfig


class OwnModel(ViTForImageClassification):
    config_class = OwnConfig

    def forward(self, pixel_values=None, **said):
        found = super().forward(pixel_values=pixel_values, **said)
        found.logits = found.logits + 100
        return found
"""
CLASSES = {"AutoConfig": "configuration_own.OwnConfig", "AutoModelForImageClassification": "modeling_own.OwnModel"}


def own_classifier(folder: Path, classes: dict[str, str] = CLASSES, modeling: str = MODELING, extra: str = "") -> None:
    """A classifier whose class is the repository's own: it adds 100 to each logit."""
    tiny.vit_classifier(folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"auto_map": classes, "model_type": "own_vit", "architectures": ["OwnModel"]}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "configuration_own.py").write_text(CONFIGURATION)
    (folder / "modeling_own.py").write_text(modeling)
    if extra:
        (folder / "extra.py").write_text(extra)


def test_declared_code_runs_with_the_files_that_are_pinned(
    models: Models, published: Publish, caplog: pytest.LogCaptureFixture
) -> None:
    said = published("quality", own_classifier, **QUALITY)["weights"]
    model = models.get("quality")
    rgb = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    assert (model.predict([model.prepare(rgb)])["logits"] > 90).all()
    runs = f"runs code of test/quality at {said['revision']}"
    assert [text for text in caplog.messages if runs in text and "modeling_own.py" in text]
    listed = CliRunner().invoke(main, ["models"]).output
    assert "runs code of" in listed and "test/quality at" in listed, "cells are narrow: in several lines"
    assert runs in CliRunner().invoke(main, ["models", "show", "quality"]).output


def test_its_reference_runs_the_same_code(models: Models, published: Publish) -> None:
    published("quality", own_classifier, **QUALITY)
    entry = find_entry("quality")
    rgb = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    theirs = family_of(entry).reference(entry, models.files.verified(entry))(Image.fromarray(rgb))["logits"]
    model = models.get("quality")
    assert np.abs(theirs - model.predict([model.prepare(rgb)])["logits"]).max() < 1e-3 < 90 < theirs.min()


def test_code_is_part_of_the_fingerprint(models: Models, published: Publish, project: Path) -> None:
    published("quality", own_classifier, **QUALITY)
    with_code = models.fingerprint("quality")
    rewrite(project, "quality", lambda entry: entry.update(trust_remote_code=False))
    assert models.fingerprint("quality") != with_code
    with pytest.raises(ModelError, match=r"needs code of its own, which is not run unless .*`trust_remote_code: true`"):
        models.get("quality")


def swap(entry: dict[str, Any]) -> None:
    """Files of a folder in place of those of the Hub."""
    entry["weights"] = {"uri": "weights", "files": entry["weights"]["files"]}


BROKEN = ["a branch", "a tag", "no pin", "no code", "no hash of the model", "no hash of an import"]
BROKEN += ["another hash", "an empty hash", "another family", "another place"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda entry: entry["weights"].update(revision="main"), "revision 'main' of test/quality is not a commit"),
        (lambda entry: entry["weights"].update(revision="v1.0"), "revision 'v1.0' of test/quality is not a commit"),
        (lambda entry: entry["weights"].update(files={}), "no file of its weights is named, so nothing is pinned"),
        (
            lambda entry: [entry["weights"]["files"].pop(f) for f in ("modeling_own.py", "configuration_own.py")],
            "none of its files is Python, so no code is pinned",
        ),
        (
            lambda entry: entry["weights"]["files"].pop("modeling_own.py"),
            "config.json takes modeling_own.OwnModel from modeling_own.py, which is not among `files`",
        ),
        (
            lambda entry: entry["weights"]["files"].pop("configuration_own.py"),
            r"modeling_own.py imports .configuration_own \(line 4\), which is not among `files`",
        ),
        (lambda entry: entry["weights"]["files"].update({"modeling_own.py": "0" * 64}), "modeling_own.py has SHA-256"),
        (lambda entry: entry["weights"]["files"].update({"modeling_own.py": ""}), "has no SHA-256"),
        (lambda entry: entry.update(family="timm"), "the family timm runs no code of a repository"),
        (swap, "only code of the Hub is run"),
    ],
    ids=BROKEN,
)
def test_code_that_is_not_pinned_is_one_error_and_nothing_runs(
    models: Models, published: Publish, project: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    alarm = "raise SystemExit('it was run')\n"
    published("quality", lambda folder: own_classifier(folder, modeling=MODELING + alarm), **QUALITY)
    rewrite(project, "quality", change)
    with pytest.raises(ModelError, match=said) as told:
        models.get("quality")
    assert "\n" not in str(told.value)


def test_code_in_another_repository_is_refused_by_its_name(models: Models, published: Publish, hub: Hub) -> None:
    elsewhere = CLASSES | {"AutoModelForImageClassification": "other/code--modeling_own.OwnModel"}
    published("quality", lambda folder: own_classifier(folder, classes=elsewhere), **QUALITY)
    with pytest.raises(ModelError, match=r"takes modeling_own.OwnModel from another repository, other/code"):
        models.get("quality")
    assert not [path for path in hub.requests if "other/code" in str(path)]


def test_code_that_is_changed_on_this_machine_is_not_run(models: Models, published: Publish) -> None:
    published("quality", own_classifier, **QUALITY)
    file = models.files.verified(find_entry("quality")) / "modeling_own.py"
    file.write_text(MODELING.replace("100", "200"))
    with pytest.raises(ModelError, match=r"modeling_own.py has SHA-256 .*the entry pins"):
        models.get("quality")


def test_other_code_of_the_repository_is_neither_fetched_nor_there_to_be_imported(
    models: Models, published: Publish, project: Path
) -> None:
    beside = "raise SystemExit('it was run')\n"
    looks = MODELING + "\nimport pathlib\nFOUND = sorted(p.name for p in pathlib.Path(__file__).parent.glob('*.py'))\n"
    published("quality", lambda folder: own_classifier(folder, modeling=looks, extra=beside), **QUALITY)
    rewrite(project, "quality", lambda entry: entry["weights"]["files"].pop("extra.py"))
    models.files.verified(find_entry("quality"))
    assert not (models.files.find(find_entry("quality")) or Path()).joinpath("extra.py").exists()
    models.get("quality")
    found = [module for name, module in sys.modules.items() if name.endswith(".modeling_own")][-1]
    assert [name for name in found.FOUND if name != "__init__.py"] == ["configuration_own.py", "modeling_own.py"]


def test_code_that_fails_is_one_error(models: Models, published: Publish) -> None:
    published("quality", lambda folder: own_classifier(folder, modeling="1 / 0\n" + MODELING), **QUALITY)
    with pytest.raises(ModelError, match=r"cannot load it: division by zero"):
        models.get("quality")


def test_pin_writes_the_hashes_of_the_code(models: Models, published: Publish, project: Path) -> None:
    said = published("quality", own_classifier, **QUALITY)["weights"]
    rewrite(project, "quality", lambda entry: entry["weights"].update(revision="main", files={}))
    assert CliRunner().invoke(main, ["models", "pin", "quality"]).exit_code == 0
    entry = find_entry("quality")
    assert entry.trust_remote_code and entry.weights.release == said["revision"]
    assert entry.code == {path: said["files"][path] for path in ("configuration_own.py", "modeling_own.py")}
