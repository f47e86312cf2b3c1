"""An easy question about real photos, and jobs for the trainer of backbones: is a photo tinted red or blue?

Belongs here: pictures, bases and jobs; also a training as a process of its own, which a test kills. Does not belong here: what is
asserted.
"""

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from arot_assets.classifiers.recipes import get_recipe
from arot_assets.classifiers.tasks import Task
from arot_assets.classifiers.trainers import Job, Targets
from arot_assets.classifiers.trainers.networks import Base
from resources.models.entries import entry_of
from resources.models.entry import ModelEntry
from tests.conftest import EXAMPLES

CLASSES = ("blue", "red")
TEST = np.arange(34, 40)


def pictures() -> tuple[list[np.ndarray], np.ndarray]:
    """40 real photos, each twice: tinted blue and tinted red."""
    files = sorted((EXAMPLES / "photo").rglob("*.jpg"))[:20]
    plain = [np.asarray(Image.open(file).convert("RGB").resize((80, 60))) for file in files]
    return [tinted(picture, red) for picture in plain for red in (False, True)], np.array([0, 1] * len(plain))


def tinted(picture: np.ndarray, red: bool) -> np.ndarray:
    """Half of the picture, half of a colour."""
    return (picture * 0.5 + np.array([127, 0, 0] if red else [0, 0, 127])).astype(np.uint8)


def entry(family: str, folder: Path, **fields: Any) -> ModelEntry:
    """The entry of a model whose files are in a folder."""
    files = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir() if p.is_file()}
    said = {
        "name": "base",
        "family": family,
        "weights": {"uri": str(folder), "files": files},
        "outputs": [{"kind": "embedding", "size": 32, "meaning": "features"}],
        "licence": "MIT",
        "parameters": 30_000,
        "reference": "its card",
    }
    return entry_of({**said, **fields}, "test")


def job(family: str, folder: Path, checkpoints: Any, **settings: Any) -> Job:
    """28 pictures to learn from, 6 to choose with, 6 are left."""
    shown, labels = pictures()
    own = {"epochs": 4, "batch_size": 8, "learning_rate": 0.003, "layer_decay": 0.9, "drop_path": 0.0, "ema": 0.9}
    recipe = get_recipe("convnext-finetune" if family == "timm" else "dinov2-finetune")
    return Job(
        "red",
        Task("classification", CLASSES, "cross_entropy"),
        recipe.with_settings({**own, "tracker": "none", **settings}),
        Targets(labels, np.ones(len(labels), np.float32)),
        np.arange(28),
        np.arange(28, 34),
        checkpoints,
        pixels=lambda row: shown[row],
        backbone=Base(entry(family, folder), folder, "cpu"),
    )


class InFile:
    """Checkpoints in a file; the process can die right after one was written."""

    def __init__(self, file: Path, after: Callable[[int], None] = lambda _: None) -> None:
        self.file, self.after, self.saved = file, after, 0

    def load(self) -> bytes | None:
        return self.file.read_bytes() if self.file.exists() else None

    def save(self, state: bytes) -> None:
        part = self.file.with_suffix(".part")
        part.write_bytes(state)
        part.replace(self.file)
        self.saved += 1
        self.after(self.saved)


def demanding(folder: Path, checkpoints: Any) -> Job:
    """A training with everything that is random."""
    return job(
        "timm",
        folder,
        checkpoints,
        epochs=3,
        drop_path=0.2,
        flip=True,
        crop=0.7,
        mixup=0.2,
        accumulate=2,
        checkpoint_steps=1,
    )


if __name__ == "__main__":
    import os
    import signal

    import torch

    from arot_assets.classifiers.trainers import backbone

    torch.set_num_threads(1)

    def die(saved: int) -> None:
        if saved == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    backbone.train(demanding(Path(sys.argv[1]), InFile(Path(sys.argv[2]), die)))
