"""A training that an engine is given is made from what it was decided by, or not at all."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from arot_assets.classifiers import training_unit
from arot_assets.classifiers.promotion import classifier_file, latest
from arot_assets.classifiers.trainers import TrainingError
from resources.defaults import Resources
from resources.models import Models
from resources.processes import Owner
from resources.storage import Storage
from resources.tables import Tables
from resources.warehouse import Warehouse
from tests.conftest import Dataset
from tests.end_to_end.on_cluster import HEAD, IMAGES, trained
from tests.engines import Watched


def test_labels_that_change_while_a_machine_is_waited_for_are_told_and_nothing_is_stored(dataset: Dataset) -> None:
    dataset.run("phash")
    tables = dataset.resources.tables

    def relabelled(work: Callable[[Any], Any], unit: Any) -> Any:
        place = classifier_file("kind", "labels.parquet")
        tables.write(tables.read(place).slice(1), place)
        return work(unit)

    late = replace(dataset.resources, compute=Watched(around=relabelled))
    with pytest.raises(TrainingError, match="kind: its labels were read anew while it was to be trained; run it again"):
        trained(late, **IMAGES)
    assert latest(tables, "kind") is None


def train_and_die(store: str, scratch: str) -> None:
    """Train a head, and be killed when its vectors are laid out; runs in a process of its own."""
    os.environ["AROT_SCRATCH"] = scratch
    training_unit._fit = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
    tables = Tables(store=store, storage=Storage())
    trained(Resources(tables.storage, tables, Warehouse(tables=tables), Models(device="cpu")), **HEAD)


def test_next_training_removes_the_vectors_of_one_that_was_killed(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset.run("embedding", "phash")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("AROT_SCRATCH", str(scratch))
    child = get_context("spawn").Process(target=train_and_die, args=(dataset.resources.tables.root, str(scratch)))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert [file.name for file in scratch.rglob("*.npy")] == ["embedding.vector.npy"]
    trained(dataset.resources, **HEAD)
    assert latest(dataset.resources.tables, "kind") is not None and not list(scratch.rglob("*.npy"))
    assert not [path for path in scratch.glob("*/*") if not path.name.startswith(str(Owner.me()))]
