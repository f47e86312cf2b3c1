"""Exports by a Ray cluster of three nodes are those of one process, bit for bit, whatever worker is killed."""

import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from arot_assets.exports.destinations.destination import Stage
from arot_assets.exports.tars import TarWriter
from arot_assets.exports.units import SelectionUnit, UnitWriter
from resources.compute import Compute
from tests.conftest import DATA, Dataset
from tests.end_to_end.test_cluster import resources_at
from tests.engines import Watched
from tests.exports.test_destinations import objects
from tests.exports.training import Training, files_of, place, receipt_of
from tests.servers.swift import Swift

pytestmark = pytest.mark.slow  # a cluster is several processes for each of its nodes
SETTINGS: tuple[dict[str, Any], ...] = (
    {"format": "png", "max_side": 300, "rules": {"metadata": "skip"}, "trainer_root": "/data"},
    {"layout": "webdataset", "max_side": 200, "trainer_root": "/data"},
)
"""Encoded pictures, of which some are left out; tar files. ``tests/exports/test_units.py`` has others."""


@pytest.fixture(scope="module", autouse=True)
def s3_of_all_nodes(swift: Swift) -> Iterator[None]:
    """Nodes have the credentials in their own environment, which they get as they are started."""
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in swift.environment().items():
            patch.setenv(name, value)
        yield


def deadly(marker: Path, work: Any, unit: object) -> Any:
    """The work on a unit; the first worker is killed while it puts files of each kind in place."""
    if isinstance(work, UnitWriter | TarWriter):
        work = replace(work, stage=DeadlyStage(work.stage, marker.with_suffix(f".{type(work).__name__}")))
    return work(unit)


@dataclass(frozen=True)
class DeadlyStage:
    """A stage at which a process is killed once, with some files in place and the others not."""

    stage: Stage
    marker: Path

    def scratch(self) -> AbstractContextManager[Path]:
        return self.stage.scratch()

    def copy(self, folder: Path, pairs: Sequence[tuple[str, str]]) -> None:
        self.stage.copy(folder, pairs)

    def fetch(self, folder: Path, paths: Sequence[str]) -> Path:
        return self.stage.fetch(folder, paths)

    def remove(self, paths: Sequence[str]) -> None:
        self.stage.remove(paths)

    def take(self, folder: Path, paths: Sequence[str]) -> None:
        if not self.marker.exists():
            self.marker.touch()
            self.stage.take(folder, paths[: len(paths) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        self.stage.take(folder, paths)


def training_at(store: Path, source: Path) -> Training:
    """The subset ``chosen`` of the photos of a source."""
    dataset = Dataset(resources_at(store), source)
    dataset.run()
    return Training(dataset, store / "project")


def kills_of(marker: Path) -> int:
    """How many workers were killed: one of each kind of work."""
    return len(list(marker.parent.glob(f"{marker.name}.*")))


def units_in(engine: Watched) -> int:
    """How many units of samples an engine was given; tar files and copies are others."""
    return sum(isinstance(unit, SelectionUnit) for unit in engine.units)


def test_nodes_write_the_exports_of_one_process_though_a_worker_is_killed(
    cluster: Compute, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AROT_STORE", str(tmp_path / "together"))
    monkeypatch.setattr("arot_assets.exports.units.SAMPLES", 5)
    monkeypatch.setattr("arot_assets.exports.layouts.webdataset.SHARD_BYTES", 100_000)
    for file in sorted((DATA / "degraded").glob("*__original.jpg"))[:3]:
        shutil.copyfile(file, source / file.name)
    alone, together = (training_at(tmp_path / name, source) for name in ("alone", "together"))
    for number, fields in enumerate(SETTINGS):
        marker = tmp_path / f"killed-{number}"
        engine = Watched(cluster, around=partial(deadly, marker))
        one, other = alone.export(**fields), together.export(engine, **fields)
        assert units_in(engine) == 3 and kills_of(marker) == 1 + (fields.get("layout") == "webdataset")
        assert other.seen is not None and other.seen.whole
        assert receipt_of(other) == receipt_of(one)
        assert files_of(other) == files_of(one)
        assert not [p for p in place(other).parent.iterdir() if p.name.startswith(".arot-tmp-") and p.is_dir()]
    aside = Watched(cluster)
    done = together.export(aside, destination=str(tmp_path / "elsewhere"))
    assert done.changed and aside.units == [], "no node is trusted to see a folder of this machine outside the store"


def test_nodes_write_to_s3_what_one_process_does(
    cluster: Compute, swift: Swift, bucket: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AROT_STORE", str(tmp_path / "store"))
    monkeypatch.setattr("arot_assets.exports.units.SAMPLES", 5)
    monkeypatch.setattr("arot_assets.exports.layouts.webdataset.SHARD_BYTES", 100_000)
    monkeypatch.setattr("arot_assets.exports.destinations.remote.COPIES", 5)
    training = training_at(tmp_path / "store", source)
    for number, fields in enumerate(SETTINGS):
        marker = tmp_path / f"killed-{number}"
        engine = Watched(cluster, around=partial(deadly, marker))
        places = [f"s3://{bucket}/{where}-{number}" for where in ("alone", "together")]
        one = training.export(destination=places[0], **fields)
        before = objects(swift, places[0])
        assert before and all(path.startswith(f"train/{one.receipt.version}/") for path in before)
        other = training.export(engine, destination=places[1], **fields)
        assert receipt_of(other) == receipt_of(one)
        assert objects(swift, places[1]) == before, "the same objects, and nothing beside them"
        assert units_in(engine) == 3 and kills_of(marker) == 1 + (fields.get("layout") == "webdataset")
