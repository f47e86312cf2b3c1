"""A backbone that was trained: what it says of images, and how it is saved.

Does not belong here: training it (``backbone.py``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arot_assets.classifiers.trainers import Job, ModelFiles
from arot_assets.classifiers.trainers.networks import Trainable
from arot_assets.classifiers.trainers.scale import Scale
from resources.parallel import ordered_map


@dataclass
class FittedBackbone:
    """A backbone that was trained. See ``FittedModel``."""

    chosen: Mapping[str, Any]
    curves: Sequence[Mapping[str, Any]]
    net: Trainable
    module: Any
    job: Job
    batch: int

    def rescale(self, scale: Scale) -> None:
        """Let the classifier give numbers on the scale of the labels."""
        import torch

        with torch.no_grad():
            self.net.classifier.weight.mul_(scale.factor)
            self.net.classifier.bias.mul_(scale.factor).add_(scale.offset)

    def logits(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """See ``FittedModel.logits``."""
        return logits_of(self.net, self.module, self.job, rows, self.batch)

    def export(self, folder: Path, temperature: float) -> ModelFiles:
        """See ``FittedModel.export``."""
        self.rescale(Scale(1 / temperature))
        try:
            return self.net.save(folder)
        finally:
            self.rescale(Scale(temperature))


def logits_of(net: Trainable, module: Any, job: Job, rows: NDArray[np.int64], batch: int) -> NDArray[np.float32]:
    """``float32 [len(rows), width]``: what a module says of images as they are, in evaluation mode."""
    import torch

    assert job.pixels is not None
    pixels, was_training = job.pixels, module.training
    module.eval()
    device = next(module.parameters()).device
    parts: list[NDArray[np.float32]] = []
    inputs = ordered_map(lambda row: net.prepare(pixels(int(row))), list(rows))
    with torch.no_grad():
        for start in range(0, len(rows), batch):
            stacked = torch.from_numpy(np.stack([next(inputs) for _ in rows[start : start + batch]]))
            parts.append(net.forward(module, stacked.to(device)).float().cpu().numpy())
    module.train(was_training)
    return np.concatenate(parts)
