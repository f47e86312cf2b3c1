"""An image is measured where it is now, whatever became of the place where it was first seen."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from arot_assets.datasets import samples as samples_module
from arot_assets.datasets.places import place_of
from arot_assets.datasets.report import sample_sheet
from arot_assets.metrics.metric import Metric
from arot_assets.metrics.registry import get_metric
from arot_assets.metrics.steps import metric_state
from arot_assets.steps import Look
from resources.tables import TableRef
from tests.conftest import Dataset


def pictures(dataset: Dataset) -> list[Path]:
    return sorted(dataset.source.rglob("*.jpg"))


def raise_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on each metric is of a version that no table has."""
    monkeypatch.setattr("tests.conftest.get_metric", raised)


def raised(name: str) -> Metric:
    return replace(get_metric(name), version="raised")


def all_ok(dataset: Dataset, table: str, rows: int = 12) -> None:
    found = dataset.sql(f"select status, count(*), count(distinct sample_id) from d.{table} group by 1")
    assert found == [("ok", rows, rows)]


def test_renamed_picture_is_measured_by_a_metric_that_comes_later(dataset: Dataset) -> None:
    dataset.run("phash")
    shutil.move(pictures(dataset)[0], dataset.source / "renamed.jpg")
    dataset.run("phash")
    found = dataset.metrics("cv2")["cv2"]
    assert found.failures == {} and found.rows == 12
    all_ok(dataset, "cv2")


def test_moved_folder_keeps_its_values_when_a_version_is_raised(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset.run("phash")
    elsewhere = dataset.source.with_name("elsewhere")
    shutil.move(dataset.source, elsewhere)
    dataset.declaration = dataset.declaration.model_copy(update={"source": str(elsewhere)})
    dataset.run("phash")
    all_ok(dataset, "phash")
    raise_version(monkeypatch)
    assert dataset.metrics("phash")["phash"].failures == {}
    all_ok(dataset, "phash")


def test_deleted_copy_costs_no_row_of_later_metrics(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    first = pictures(dataset)[0]
    shutil.copyfile(first, dataset.source / "zz_copy.jpg")
    dataset.run("phash")
    first.unlink()
    dataset.run("phash")
    raise_version(monkeypatch)
    assert dataset.metrics("phash", "cv2")["cv2"].failures == {}
    all_ok(dataset, "phash")
    all_ok(dataset, "cv2")


@pytest.mark.parametrize("loss", ["deleted", "overwritten"])
def test_picture_lost_after_the_listing_is_read_from_its_copy(dataset: Dataset, loss: str) -> None:
    first, *_, last = pictures(dataset)
    shutil.copyfile(first, dataset.source / "zz_copy.jpg")
    dataset.inventory()
    dataset.samples()
    if loss == "deleted":
        first.unlink()
    else:
        shutil.copyfile(last, first)
    assert dataset.metrics("phash")["phash"].failures == {}
    all_ok(dataset, "phash")


def test_failure_to_read_is_not_reused_for_a_file_that_returns(dataset: Dataset, tmp_path: Path) -> None:
    away = pictures(dataset)[0]
    dataset.inventory()
    dataset.samples()
    shutil.move(away, tmp_path / "away.jpg")
    assert sum(dataset.metrics("phash")["phash"].failures.values()) == 1
    dataset.inventory()
    shutil.move(tmp_path / "away.jpg", away)
    dataset.run("phash")
    all_ok(dataset, "phash")


def test_failure_in_place_of_a_good_value_is_counted(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset.run("phash")
    raise_version(monkeypatch)
    pictures(dataset)[0].unlink()

    def lost() -> int:
        with Look(dataset.resources) as look:
            return metric_state(look, dataset.declaration, raised("phash")).lost

    assert dataset.metrics("phash")["phash"].rows == 12
    assert lost() == 1
    dataset.metrics("phash")
    assert lost() == 1, "it is counted as long as the row is failed"


def test_rows_of_objects_that_left_are_not_read_again(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset.run("phash")
    shutil.move(pictures(dataset)[0], dataset.source / "renamed.jpg")
    dataset.run("phash")
    monkeypatch.setattr(samples_module, "CODE_VERSION", "raised")
    assert sum(dataset.samples().values()) == 12
    tables = dataset.resources.tables
    rows = [r for s in dataset.shards() for r in tables.read(TableRef("d", "samples", s)).to_pylist()]
    assert [r["status"] for r in rows].count("ok") == 13 and len(rows) == 13


def test_sheet_shows_pictures_that_moved(dataset: Dataset) -> None:
    dataset.run()
    for number, picture in enumerate(pictures(dataset)):
        shutil.move(picture, dataset.source / f"moved{number}.jpg")
    dataset.run()
    tables = dataset.resources.tables
    old = tables.read(TableRef("d", "samples", "00000"))
    place = place_of(dataset.resources.storage, dataset.resources.warehouse, "d", old["sample_id"].to_pylist())
    assert sample_sheet(place, old) is not None
