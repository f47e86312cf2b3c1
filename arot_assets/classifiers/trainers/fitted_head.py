"""A head that was trained: what it says of rows, and its file.

Belongs here: applying and writing it. Does not belong here: training (``heads.py``), scoring in the catalogue
(``resources.models.heads``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from arot_assets.classifiers.recipes import HeadSettings
from arot_assets.classifiers.trainers import Job, ModelFiles
from arot_assets.classifiers.trainers.scale import Scale
from resources.models.heads import SHORTEST

if TYPE_CHECKING:
    import torch

BLOCK = 8192
"""Vectors that are evaluated at a time."""
FILE = "head.safetensors"


@dataclass
class FittedHead:
    """The head that was chosen. See ``FittedModel``."""

    chosen: Mapping[str, Any]
    curves: Sequence[Mapping[str, Any]]
    vectors: NDArray[Any]
    layers: list[dict[str, NDArray[Any]]]
    settings: HeadSettings
    column: str

    def rescale(self, scale: Scale, job: Job) -> None:
        """Let the last layer give numbers on the scale of the labels."""
        if job.task.loss == "pairwise":
            # only differences were learnt: the line through the training values gives them a unit
            scale = scale.of_line(self.logits(job.train)[:, 0], job.targets.values[job.train])
        last = self.layers[-1]
        last["weight"], last["bias"] = last["weight"] * scale.factor, last["bias"] * scale.factor + scale.offset

    def logits(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """See ``FittedModel.logits``: by the arithmetic of scoring."""
        from resources.models.heads import Head, Heads, Layer

        activations = [self.settings.activation] * (len(self.layers) - 1) + ["none"]
        head = Head(
            tuple(
                Layer(
                    la["weight"].astype(np.float32),
                    la["bias"].astype(np.float32),
                    activation,
                    (la["norm.weight"], la["norm.bias"]) if "norm.weight" in la else None,
                )
                for la, activation in zip(self.layers, activations, strict=True)
            ),
            bool(self.chosen["normalise"]),
        )
        heads = Heads({"head": head})
        parts = [heads.predict(self.vectors[rows[k : k + BLOCK]])["head"] for k in range(0, len(rows), BLOCK)]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.layers[-1]["bias"])), np.float32)

    def export(self, folder: Path, temperature: float) -> ModelFiles:
        """See ``FittedModel.export``: tensors are named as in the ``nn.Sequential`` that they make."""
        from safetensors.numpy import save_file

        tensors: dict[str, NDArray[Any]] = {}
        place = 0
        for layer in self.layers:
            last = layer is self.layers[-1]
            divisor = temperature if last else 1.0
            tensors[f"{place}.weight"] = np.ascontiguousarray(layer["weight"] / divisor, np.float32)
            tensors[f"{place}.bias"] = np.ascontiguousarray(layer["bias"] / divisor, np.float32)
            place += 1
            if "norm.weight" in layer:
                tensors[f"{place}.weight"] = np.ascontiguousarray(layer["norm.weight"])
                tensors[f"{place}.bias"] = np.ascontiguousarray(layer["norm.bias"])
                place += 1
            place += self.settings.activation != "none"
        save_file(tensors, folder / FILE)
        options: dict[str, Any] = {"normalise": True} if self.chosen["normalise"] else {}
        if len(self.layers) > 1 and self.settings.activation != "none":
            options["activation"] = self.settings.activation
        return ModelFiles("head", (FILE,), sum(t.size for t in tensors.values()), self.column, options)


def floats_of(vectors: NDArray[Any], rows: NDArray[np.int64]) -> "tuple[torch.Tensor, torch.Tensor]":
    """Some vectors as ``float32 [B, D]``, and their lengths ``[B, 1]``."""
    import torch

    raw = torch.from_numpy(np.asarray(vectors[rows])).float()
    return raw, raw.square().sum(dim=1, keepdim=True).sqrt().clamp_min(SHORTEST)
