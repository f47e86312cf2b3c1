"""Work that is done once by one process and once by a cluster, where a process dies in the middle of it.

Belongs here: what is worked on, and how a worker dies. Does not belong here: the cluster, what is asserted.
"""

import hashlib
import os
import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import torch
import yaml

from arot_assets.captions.answering import Answerer
from arot_assets.captions.budget import Budget
from arot_assets.captions.build import Captioner, build_captions
from arot_assets.captions.declaration import CaptionsDeclaration
from arot_assets.captions.models import threads_of, vlm_of
from arot_assets.captions.prompt import read_prompt
from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.inputs import with_hashes
from arot_assets.classifiers.labels import read_labels
from arot_assets.classifiers.promotion import classifier_file
from arot_assets.classifiers.split import make_split
from arot_assets.classifiers.training import Training, train
from arot_assets.classifiers.training_unit import StoredCheckpoint
from arot_assets.datasets.places import dataset_root
from arot_assets.metrics.table_builder import MetricResult
from resources.compute import Needs
from resources.defaults import Resources
from resources.models.entries import TYPE
from resources.tables import SAMPLES
from resources.vlm.local import LocalVlm
from resources.vlm.question import Answer, Question
from tests.classifiers.made import QUICK
from tests.models import tiny

A = TypeVar("A")
B = TypeVar("B")
ASK = LocalVlm.ask
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


def asks_in_sight(folder: Path, work: Callable[[A], B], unit: A) -> B:
    """The work, of which each question to a local model is a file; the first process to end a unit is killed at that."""

    def told(self: LocalVlm, question: Question) -> Answer:
        (folder / "asked" / f"{question.key} {os.getpid()} {time.monotonic_ns()}").touch()
        return ASK(self, question)

    LocalVlm.ask = told  # type: ignore[method-assign]
    result = work(unit)
    with suppress(FileExistsError):
        (folder / "killed").touch(exist_ok=False)
        os.kill(os.getpid(), signal.SIGKILL)
    return result


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


def captioned(resources: Resources, model: Path, prompt: Path, **fields: Any) -> MetricResult:
    """Captions of dataset ``d`` by a local model; gives the sums over its shards."""
    said = {"name": "caption", "dataset": "d", "prompt": str(prompt), "local": {"model": str(model)}}
    own = {"sampling": {"max_tokens": 12}, "image": {"max_pixels": 4_000}}
    one = CaptionsDeclaration.model_validate({**said, **own, **fields})
    r, compute = resources, resources.compute
    captioner = Captioner(
        one, read_prompt(one.prompt_path), vlm_of(one), Budget(one.budget, one.price), threads_of(one)
    )
    total = MetricResult()
    answerer = Answerer(r.storage, r.warehouse, one, captioner.version)
    with compute.workers(answerer, Needs(device=True)) as on_nodes:
        for shard in r.tables.shards("d", SAMPLES):
            asker = None if compute.is_local else on_nodes
            found = build_captions(r.storage, r.warehouse, captioner, shard, on_nodes=asker)
            total.rows, total.computed = total.rows + found.rows, total.computed + found.computed
    return total
