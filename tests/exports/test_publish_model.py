"""Published models: stock libraries load them from the Hub and give the same numbers; cards say what was measured."""

import json
import os
import subprocess
import venv
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.entry import digest_of, entry_facts
from arot_assets.classifiers.evaluate import evaluate
from arot_assets.classifiers.evaluation import Calibration
from arot_assets.classifiers.promotion import Decision, Pointer, classifier_file, note, now
from arot_assets.classifiers.tasks import Predictions
from arot_assets.classifiers.trainers import FittedModel, Job, backbone, heads
from arot_assets.exports.model_repository import EXAMPLE_OF_HEAD, publish_model
from resources.defaults import Resources
from resources.models import Models
from resources.storage import Storage
from resources.storage.hub.settings import HubSettings
from resources.tables import Tables
from resources.warehouse import Warehouse
from tests.classifiers import easy
from tests.classifiers.made import Kept, head_job
from tests.models import tiny
from tests.servers.hub import Hub

PIXELS = {"inputs": "pixels", "backbone": "base"}
REST = np.arange(400, 500)


@pytest.fixture
def there(hub: Hub, tmp_path: Path) -> Iterator[Resources]:
    """Resources whose Hub is on loopback."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with hub.as_default(tmp_path / "home", hub.token):
        storage = Storage(hub=HubSettings(endpoint=hub.endpoint))
        tables = Tables(store=str(tmp_path / "store"), storage=storage)
        yield Resources(storage, tables, Warehouse(tables=tables), Models(device="cpu", storage=storage))
    torch.set_num_threads(before)


def store(
    resources: Resources, declaration: ClassifierDeclaration, job: Job, fitted: FittedModel, folder: Path
) -> None:
    """Keep a trained model as a training does, and let it score."""
    task, rows = job.task, easy.TEST if job.pixels is not None else REST
    facts = entry_facts(declaration, task, fitted.export(folder, 1.0), folder, "", "Apache-2.0")
    digest, name = digest_of(facts), declaration.name
    truth = job.targets.values[rows]
    found = task.predictions(fitted.logits(rows))
    evaluation = evaluate(
        task,
        [str(row) for row in rows],
        truth,
        found,
        [str(row) for row in rows],
        slices={"size": ["small" if row % 3 else "large" for row in rows]},
        baselines={"majority": Predictions(np.full((len(rows), len(task.classes)), 0.5, np.float32), None)},
        calibration=Calibration(1.0, 0.1, 0.1, None, ()),
        draws=50,
    )
    about = {
        "classifier": name,
        "dataset": "demo",
        "description": "Whether a photo is red.",
        "task": task.kind,
        "loss": task.loss,
        "classes": list(task.classes),
        "inputs": ["e.vector"],
        "input_versions": {"e": "v1"},
        "inputs_digest": "i",
        "labels_digest": "l",
        "samples": {"train": 28, "val": 6, "test": 6},
        "recipe": "linear-probe",
        "recipe_source": "tests",
        "chosen": dict(fitted.chosen),
        "temperature": 1.0,
        "not_promoted": "",
        "created_at": now(),
        "digest": digest,
    }
    tables = resources.tables
    for file in facts["files"]:
        tables.write_bytes((folder / file).read_bytes(), classifier_file(name, digest, file))
    for file, content in {"entry.json": facts, "about.json": about, "evaluation.json": evaluation.as_json()}.items():
        tables.write_bytes(json.dumps(content).encode(), classifier_file(name, digest, file))
    note(tables, name, Pointer(digest, "i", task.classes), Decision(now(), digest, "promoted", "it passed"))


def elsewhere(hub: Hub, folder: Path, packages: tuple[str, ...], code: str) -> np.ndarray:
    """What a process prints in an environment that has these packages and what they need, and nothing else."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "AROT"))}
    environment |= hub.environment(folder / "elsewhere", hub.token)
    python = environment_of(folder / "venv", packages)
    bare = "import importlib.util\nassert not any(map(importlib.util.find_spec, ('arot_assets', 'resources', 'dagster')))\n"
    done = subprocess.run(
        [python, "-I", "-c", bare + code],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return np.array(json.loads(done.stdout.strip().splitlines()[-1]))


def environment_of(folder: Path, packages: tuple[str, ...]) -> Path:
    """A new virtual environment: links to the installed packages of these names and to all that they need. Gives its Python."""
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    wanted, seen = list(packages), set[str]()
    while wanted:
        name = canonicalize_name(wanted.pop())
        if name in seen:
            continue
        seen.add(name)
        found = distribution(name)
        needs = [Requirement(text) for text in found.requires or ()]
        wanted += [one.name for one in needs if one.marker is None or one.marker.evaluate({"extra": ""})]
        for top in {path.parts[0] for path in found.files or ()} - {"..", "__pycache__"}:
            link = site / top
            if not link.exists():
                link.symlink_to(Path(str(found.locate_file(top))).resolve())
    return folder / "bin" / "python"


@pytest.mark.parametrize("family", ["timm", "transformers_image"])
def test_backbone_is_loaded_by_its_library_alone(family: str, there: Resources, hub: Hub, tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (tiny.timm_convnext if family == "timm" else tiny.bare_dinov2)(base)
    job = easy.job(family, base, Kept(), epochs=1)
    fitted = backbone.train(job)
    fields = {"name": "red", "dataset": "demo", "labels": {"from_folder": 1}, "recipe": "convnext-finetune", **PIXELS}
    (tmp_path / "made").mkdir()
    store(there, ClassifierDeclaration.model_validate(fields), job, fitted, tmp_path / "made")
    done = publish_model(there, "red", "owner/red", onnx=family == "timm", private=False)
    assert done.changed and {"README.md", "config.json", "model.safetensors"} <= set(done.files)
    assert ("model.onnx" in done.files) == (family == "timm"), "an ONNX file is compared before it is published"
    if family != "timm":
        assert not publish_model(there, "red", "owner/red").changed

    assert job.pixels is not None
    inputs = np.stack([fitted.net.prepare(job.pixels(int(row))) for row in easy.TEST])
    np.save(tmp_path / "inputs.npy", inputs)
    load = (
        'import timm\nmodel = timm.create_model("hf-hub:owner/red", pretrained=True)\nrun = model\n'
        if family == "timm"
        else "from transformers import AutoModelForImageClassification\n"
        'model = AutoModelForImageClassification.from_pretrained("owner/red")\nrun = lambda x: model(pixel_values=x).logits\n'
    )
    packages = ("timm",) if family == "timm" else ("transformers", "torch")
    read = f"import json, numpy, torch\nx = torch.from_numpy(numpy.load({str(tmp_path / 'inputs.npy')!r}))\n"
    said = elsewhere(
        hub, tmp_path, packages, f"{read}{load}model.eval()\nwith torch.no_grad(): print(json.dumps(run(x).tolist()))"
    )
    np.testing.assert_allclose(said, fitted.logits(easy.TEST), atol=1e-5)


def test_head_is_used_with_its_example_alone_and_its_card_says_what_was_measured(
    there: Resources, hub: Hub, tmp_path: Path
) -> None:
    job = head_job("classification", "cross_entropy", hidden=[16], normalise=[True])
    fitted = heads.train(job)
    fields = {"name": "red", "dataset": "demo", "labels": {"from_folder": 1}, "inputs": ["e"], "recipe": "mlp-head"}
    (tmp_path / "made").mkdir()
    store(there, ClassifierDeclaration.model_validate(fields), job, fitted, tmp_path / "made")
    publish_model(there, "red", "owner/red-head", onnx=True)
    repository = hub.repositories["model", "owner/red-head"]
    stored = repository.commits[repository.branches["main"]].files
    files = {
        path: hub.contents.read(stored[path]) for path in ("head.safetensors", "head.json", "example.py", "README.md")
    }
    assert len([line for line in EXAMPLE_OF_HEAD.splitlines() if line]) <= 24
    kept = tmp_path / "downloaded"
    kept.mkdir()
    for path, data in files.items():
        (kept / path).write_bytes(data)
    np.save(kept / "v.npy", job.vectors["e.vector"][REST])
    code = (
        f"import runpy, sys\nsys.argv = ['x', {str(kept / 'v.npy')!r}]\nrunpy.run_path({str(kept / 'example.py')!r})\n"
    )
    elsewhere(hub, kept, ("torch", "safetensors", "numpy"), code + "import json, numpy\nprint(json.dumps(1))")
    np.testing.assert_allclose(np.load(kept / "logits.npy"), fitted.logits(REST), atol=1e-4)
    card = files["README.md"].decode()
    assert "license: apache-2.0" in card and "majority" in card and "95 % intervals" in card
    assert str(tmp_path) not in card
