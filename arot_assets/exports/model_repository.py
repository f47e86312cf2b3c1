"""A trained model as a repository on the Hugging Face Hub that stock libraries load.

Belongs here: its files, the conversion to ONNX, the commit. Does not belong here: its card (``model_card.py``), training.

A backbone has the layout of its library: ``timm.create_model("hf-hub:…")``, or ``AutoModelForImageClassification``. A head has
its tensors, ``head.json`` that says what they are computed from, and an example of 20 lines that needs torch and safetensors
alone.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from arot_assets.classifiers.entry import load_entry
from arot_assets.classifiers.evaluation import Evaluation
from arot_assets.classifiers.promotion import classifier_file, current, read_json
from arot_assets.exports.errors import ExportError
from arot_assets.exports.model_card import model_card
from arot_assets.metrics.registry import get_metric, known_metrics
from resources.models.entries import find_entry
from resources.models.entry import ModelEntry
from resources.models.network import Placement
from resources.scratch import WorkingFolder
from resources.storage.hub import commits
from resources.storage.hub.address import parse

if TYPE_CHECKING:
    import torch

    from resources.defaults import Resources

CARD, HEAD, EXAMPLE, ONNX = "README.md", "head.json", "example.py", "model.onnx"
OPSET = 18
PARITY = 1e-4
"""Largest difference of logits between the module and its ONNX file."""
EXAMPLE_OF_HEAD = '''"""Scores of stored embeddings: python example.py VECTORS.npy"""
import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

folder = Path(__file__).parent
about, tensors = json.loads((folder / "head.json").read_text()), load_file(folder / "head.safetensors")
x = torch.from_numpy(np.load(sys.argv[1])).float()
x = torch.nn.functional.normalize(x, dim=1) if about["normalise"] else x
linear = sorted((n for n in tensors if n.endswith("weight") and tensors[n].ndim == 2), key=lambda n: int(n.split(".")[0]))
activation = {"none": lambda v: v, "relu": torch.relu, "gelu": torch.nn.functional.gelu, "silu": torch.nn.functional.silu}
for name in linear:
    place = int(name.split(".")[0])
    x = torch.nn.functional.linear(x, tensors[name], tensors[f"{place}.bias"])
    if f"{place + 1}.weight" in tensors and tensors[f"{place + 1}.weight"].ndim == 1:
        x = torch.nn.functional.layer_norm(x, x.shape[-1:], tensors[f"{place + 1}.weight"], tensors[f"{place + 1}.bias"])
    x = activation[about["activation"]](x) if name != linear[-1] else x
np.save("logits.npy", x.numpy())
print(json.dumps({"labels": about["labels"], "logits": x[:3].tolist()}))
'''


@dataclass(frozen=True)
class PublishedModel:
    """What a publication of a model did.

    Attributes:
        digest: of the model.
        commit: that holds it.
        changed: False if the repository had it already.
        files: that the model consists of.
    """

    digest: str
    commit: str
    changed: bool
    files: tuple[str, ...]


def publish_model(
    resources: "Resources", name: str, repo: str, digest: str = "", *, private: bool = True, onnx: bool = False
) -> PublishedModel:
    """Publish a model of a classifier, in one commit.

    Args:
        resources: reach the store and the Hub.
        name: the classifier.
        repo: ``owner/name``; created if it does not exist.
        digest: of the model; empty for the one that scores.
        private: whether a repository that is created is private.
        onnx: whether an ONNX file is added; it is compared with the module before anything is published.

    Raises:
        ExportError: there is no such model, or its ONNX file says something else.
        StorageError: no token, no permission, or the Hub cannot be reached.
    """
    from resources.storage.hub.backend import HubBackend

    pointer = current(resources.tables, name)
    if not digest and pointer is None:
        raise ExportError(f"classifier '{name}' has no model that scores; `arot promote {name}` makes one")
    wanted = digest or (pointer.digest if pointer else "")
    with WorkingFolder("model") as folder:
        files = model_files(resources, name, wanted, folder, repo, onnx=onnx)
        client = resources.storage.using(HubBackend).client
        address = parse(f"hf://models/{repo}")
        commits.ensure_repo(client, address, private)
        commit, changed = commits.commit(client, address, f"Publish model {wanted} of {name}", lambda _: (files, []))
    return PublishedModel(wanted, commit, changed, tuple(sorted(files)))


def model_files(
    resources: "Resources", name: str, digest: str, folder: Path, repo: str, *, onnx: bool = False
) -> dict[str, bytes]:
    """The files of the repository, by path.

    Args:
        resources: reach the store.
        name: the classifier.
        digest: of the model.
        folder: an empty local folder.
        repo: as the card names it.
        onnx: whether there is an ONNX file.

    Raises:
        ExportError: its ONNX file says something else than the module.
    """
    tables = resources.tables
    entry = load_entry(tables, name, digest)
    about = read_json(tables, name, digest, "about.json")
    evaluation = Evaluation.from_json(read_json(tables, name, digest, "evaluation.json"))
    files = {path: tables.read_bytes(classifier_file(name, digest, path)) for path in entry.weights.files}
    for path, data in files.items():
        (folder / path).write_bytes(data)
    if entry.family == "head":
        files[HEAD] = json.dumps(head_facts(entry, about), indent=2).encode()
        files[EXAMPLE] = EXAMPLE_OF_HEAD.encode()
    if onnx:
        files[ONNX] = as_onnx(entry, folder)
    files[CARD] = model_card(entry, about, evaluation, repo, sorted(files)).encode()
    return files


def head_facts(entry: ModelEntry, about: Mapping[str, Any]) -> dict[str, Any]:
    """What somebody needs to use a head: what it is computed from, and what its numbers mean."""
    table = entry.takes.split(".")[0]
    model = get_metric(table).model if table in known_metrics() else None
    base = find_entry(model) if model else None
    return {
        "embedding": base.public_name if base else entry.takes,
        "embedding_revision": base.weights.release if base else "",
        "embedding_files": dict(base.weights.files) if base else {},
        "embedding_version": entry.options.get("trained_on", ""),
        "normalise": bool(entry.options.get("normalise", False)),
        "activation": entry.options.get("activation", "none"),
        "task": about["task"],
        "loss": about["loss"],
        "labels": about["classes"] or ["score"],
        "temperature": about["temperature"],
        "calibrated": "the logits are divided by the temperature already",
    }


def as_onnx(entry: ModelEntry, folder: Path) -> bytes:
    """The model as an ONNX file with any number of samples; compared with torch on awkward inputs.

    Args:
        entry: of the model.
        folder: has its files.

    Raises:
        ExportError: the numbers differ by more than ``PARITY``.
    """
    import torch

    module, inputs = _module(entry, folder)
    file = folder / ONNX
    example = torch.from_numpy(inputs[:2])
    torch.onnx.export(
        module,
        (example,),
        str(file),
        input_names=["input"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("samples")},),
        opset_version=OPSET,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    from onnxruntime import InferenceSession

    session = InferenceSession(str(file), providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        expected = module(torch.from_numpy(inputs)).numpy()
    for batch in (inputs, inputs[:1]):
        found = session.run(None, {"input": batch})[0]
        worst = float(np.abs(found - expected[: len(batch)]).max())
        if not worst <= PARITY * max(1.0, float(np.abs(expected).max())):
            raise ExportError(
                f"model '{entry.name}': its ONNX file differs from the module by {worst:.2g}; nothing is published"
            )
    return file.read_bytes()


def _module(entry: ModelEntry, folder: Path) -> "tuple[torch.nn.Module, np.ndarray]":
    """The module, and a few inputs: noise, black, white, a gradient."""
    import torch

    random = np.random.default_rng(0)
    if entry.family == "head":
        from resources.models.families.head import read_head

        head = read_head(entry, folder)
        module: torch.nn.Module = _HeadModule.of(head)
        shape: tuple[int, ...] = (head.dimensions,)
    elif entry.family == "timm":
        import timm

        module = timm.create_model(f"local-dir:{folder}", pretrained=True)
        assert entry.preprocessing is not None
        shape = (3, *entry.preprocessing.height_width)
    else:
        from transformers import AutoModelForImageClassification

        from resources.models.families import transformers_image

        network = transformers_image.load(entry, folder, Placement("cpu", "float32", "torch", 1))
        assert network.input_shape is not None
        shape = network.input_shape
        module = _Logits.of(AutoModelForImageClassification.from_pretrained(folder))
    ramp = np.linspace(-2, 2, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    plain = [np.full(shape, level, np.float32) for level in (-2.0, 2.0)]
    noise = [random.normal(size=shape).astype(np.float32) for _ in range(3)]
    return module.eval(), np.stack([*noise, *plain, ramp])


class _Logits:
    """Makes a module of a transformers model that gives its logits alone."""

    @staticmethod
    def of(model: Any) -> "torch.nn.Module":
        """The module."""
        import torch

        class Logits(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.model = model

            def forward(self, pixel_values: "torch.Tensor") -> "torch.Tensor":
                logits: torch.Tensor = self.model(pixel_values=pixel_values).logits
                return logits

        return Logits()


class _HeadModule:
    """Makes a module of a head."""

    @staticmethod
    def of(head: Any) -> "torch.nn.Module":
        """The module, the L2 norm included."""
        import torch
        from torch import nn

        known: Mapping[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU}

        class Normalised(nn.Module):
            def forward(self, vectors: "torch.Tensor") -> "torch.Tensor":
                return nn.functional.normalize(vectors, dim=1)

        layers: list[nn.Module] = [Normalised()] if head.normalise else []
        for layer in head.layers:
            linear = nn.Linear(layer.weight.shape[1], layer.weight.shape[0])
            linear.load_state_dict({"weight": torch.from_numpy(layer.weight), "bias": torch.from_numpy(layer.bias)})
            layers.append(linear)
            if layer.norm is not None:
                norm = nn.LayerNorm(layer.weight.shape[0])
                norm.load_state_dict(
                    {"weight": torch.from_numpy(layer.norm[0]), "bias": torch.from_numpy(layer.norm[1])}
                )
                layers.append(norm)
            if layer.activation != "none":
                layers.append(known[layer.activation]())
        return nn.Sequential(*layers)
