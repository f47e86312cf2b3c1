"""Exports by units of an engine: the files of one process, whatever the order, and though each unit is worked on twice."""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from arot_assets.datasets.nodes import NodeError
from arot_assets.exports.errors import ExportError
from arot_assets.exports.tars import TarUnit
from arot_assets.exports.units import SelectionUnit
from resources.compute import Local
from tests.conftest import DATA, Dataset
from tests.engines import Machines, Scattered
from tests.exports.training import Training, files_of, place, receipt_of

SETTINGS: tuple[dict[str, Any], ...] = (
    {},
    {"files": "copy", "rules": {"metadata": "keep"}},
    {"format": "png", "max_side": 300, "rules": {"metadata": "skip"}},
    {"layout": "webdataset", "max_side": 200},
    {"layout": "hf", "media": "original", "columns": ["size"], "rules": {"metadata": "keep"}},
)


@pytest.fixture
def training(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Training:
    """The subset ``chosen`` of fifteen photos, five a unit and two or three a tar file."""
    monkeypatch.setattr("arot_assets.exports.units.SAMPLES", 5)
    monkeypatch.setattr("arot_assets.exports.layouts.webdataset.SHARD_BYTES", 20_000)
    for file in sorted((DATA / "degraded").glob("*__original.jpg"))[:3]:
        shutil.copyfile(file, dataset.source / file.name)
    dataset.run()
    return Training(dataset, tmp_path / "project")


@pytest.mark.parametrize("fields", SETTINGS, ids=str)
def test_units_in_any_order_make_the_files_of_one_process(training: Training, fields: dict[str, Any]) -> None:
    done = training.export_anew(Local(), **fields)
    receipt, files = receipt_of(done), files_of(done)
    engine = Scattered()
    other = training.export_anew(engine, **fields)
    assert receipt_of(other) == receipt and files_of(other) == files
    assert sum(isinstance(unit, SelectionUnit) for unit, _ in engine.units) == 3
    assert any(isinstance(unit, TarUnit) for unit, _ in engine.units) == (fields.get("layout") == "webdataset")
    assert not [p for p in place(other).parent.iterdir() if p.name.startswith(".arot-tmp-") and p.is_dir()]


def test_what_the_version_before_has_is_linked_by_nodes_too(training: Training) -> None:
    first = training.export(Scattered(), max_side=300)
    training.select((training.folder / "models" / "chosen.sql").read_text().replace("a photo of ", "photo "))
    second = training.export(Scattered(), max_side=300)
    assert second.receipt.version != first.receipt.version
    for file in (place(second) / "images").glob("*.jpg"):
        assert os.path.samefile(file, place(first) / "images" / file.name)


def test_nothing_is_made_where_a_machine_of_the_cluster_differs(training: Training) -> None:
    engine = Machines(changes={"b": lambda seen: replace(seen, code="other")})
    with pytest.raises(NodeError, match="machine b of the cluster: another version of arot"):
        training.export(engine)
    assert engine.units == []


def test_units_are_small_and_hold_no_caption(training: Training) -> None:
    engine = Scattered()
    training.export(engine, columns=["size"], layout="hf")
    for unit, sent in engine.units:
        assert isinstance(unit, SelectionUnit) and len(sent) < 600 * len(unit.rows) and b"a photo of" not in sent


def test_a_file_that_cannot_be_read_is_told_by_its_unit(training: Training) -> None:
    victim = min(training.rows().items())
    Path(victim[1][0]).unlink()
    with pytest.raises(ExportError, match=rf"1 samples break the rule unreadable: .*{victim[0]}"):
        training.export(Scattered())
    done = training.export(Scattered(), rules={"unreadable": "skip"})
    assert done.receipt.samples == 14 and [v.subject for v in done.left_out] == [victim[0]]


def test_originals_stay_as_they_are_though_their_links_are_put_in_place_again(training: Training) -> None:
    before = {uri: os.stat(uri).st_mtime_ns for uri, _ in training.rows().values()}
    done = training.export(Scattered(), rules={"metadata": "keep"})
    linked = [u for i, (u, _) in training.rows().items() if os.path.samefile(u, place(done) / "images" / f"{i}.jpg")]
    assert linked and {uri: os.stat(uri).st_mtime_ns for uri in before} == before
