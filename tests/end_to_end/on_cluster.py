"""Work that is done once by one process and once by a cluster, where a process dies in the middle of it.

Belongs here: what is worked on, and how a worker dies. Does not belong here: the cluster, what is asserted.
"""

import hashlib
import os
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
import yaml

from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.inputs import with_hashes
from arot_assets.classifiers.labels import read_labels
from arot_assets.classifiers.promotion import classifier_file
from arot_assets.classifiers.split import make_split
from arot_assets.classifiers.training import Training, train
from arot_assets.classifiers.training_unit import StoredCheckpoint
from arot_assets.datasets.places import dataset_root
from resources.defaults import Resources
from resources.models.entries import TYPE
from tests.classifiers.made import QUICK
from tests.models import tiny

A = TypeVar("A")
B = TypeVar("B")
SPLIT = {"train": 0.5, "val": 0.25, "test": 0.25}
HEAD = {"inputs": ["embedding"], "recipe": "mlp-head", "settings": {**QUICK, "hidden": [8], "dropout": [0.2]}}
IMAGES = {
    "inputs": "pixels",
    "backbone": "base",
    "recipe": "convnext-finetune",
    "settings": {"epochs": 3, "batch_size": 4, "tracker": "none", "drop_path": 0.2},
}


def dies_after_a_checkpoint(marker: Path, work: Callable[[A], B], unit: A) -> B:
    """The work, whose process is killed the first time, as soon as its first checkpoint is in the store."""
    save, load = StoredCheckpoint.save, StoredCheckpoint.load

    def dying(self: StoredCheckpoint, state: bytes) -> None:
        save(self, state)
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)

    def telling(self: StoredCheckpoint) -> bytes | None:
        state = load(self)
        if state is not None:
            marker.with_suffix(".resumed").touch()
        return state

    if not marker.exists():
        StoredCheckpoint.save = dying  # type: ignore[method-assign]
    StoredCheckpoint.load = telling  # type: ignore[method-assign]
    return work(unit)


def dies_once(marker: Path, work: Callable[[A], B], unit: A) -> B:
    """The work, whose process is killed at its end the first time."""
    result = work(unit)
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return result


@contextmanager
def one_thread() -> Generator[None, None, None]:
    """As many threads of torch as a node of one core has."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def project_with_base(folder: Path) -> None:
    """A project with a model ``base`` of its own that a classifier can start from."""
    weights = folder / "weights"
    weights.mkdir(parents=True)
    tiny.timm_convnext(weights)
    (folder / "models").mkdir()
    said = {
        "family": "timm",
        "weights": {
            "uri": str(weights),
            "files": {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in weights.iterdir()},
        },
        "outputs": [{"kind": "embedding", "size": 32, "meaning": "features"}],
        "licence": "MIT",
        "parameters": 30_000,
        "reference": "its card",
    }
    (folder / "models" / "base.yaml").write_text(yaml.safe_dump({"type": TYPE, "attributes": said}))


def trained(resources: Resources, **fields: Any) -> Training:
    """A classifier of the folders of dataset ``d``, with its labels and its split in the store."""
    own = {"name": "kind", "dataset": "d", "labels": {"from_folder": 1}, "split": SPLIT, "promote_if": {}}
    one = ClassifierDeclaration.model_validate({**own, **fields})
    tables = resources.tables
    with resources.warehouse.connect() as con:
        labels = read_labels(con, one, dataset_root(tables, "d"))
        hashed = with_hashes(con, "d", labels)
    split = make_split(hashed, hashed["phash"].to_numpy(), hashed["mirrored"].to_numpy(), one.split)
    for file, table in {"labels": labels, "split": split}.items():
        tables.write(table, classifier_file("kind", f"{file}.parquet"))
    return train(one, resources)


def files_of(resources: Resources, digest: str) -> dict[str, bytes]:
    """What is stored of a model, without the moment of its training."""
    tables = resources.tables
    names = tables.list(f"classifiers/kind/{digest}")
    found = {name: tables.read_bytes(classifier_file("kind", digest, name)) for name in names}
    return {name: data for name, data in found.items() if name not in ("about.json", "report.html")}
