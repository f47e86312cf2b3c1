"""Only what is missing is computed, row by row and version by version."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from arot_assets.media.image.medium import ImageMedium
from arot_assets.metrics.metric import Metric
from arot_assets.metrics.registry import get_metric
from arot_assets.metrics.table_builder import TableBuilder
from resources.tables import keeping
from tests.conftest import Dataset


def bumped(metric: Metric) -> Metric:
    return replace(metric, version=metric.version + "-next")


def test_one_decode_feeds_every_metric(dataset: Dataset, decodes: list[int]) -> None:
    dataset.inventory()
    dataset.samples()
    dataset.metrics("cv2", "phash", "embedding")
    assert len(decodes) == 12


def test_second_run_decodes_nothing(dataset: Dataset, decodes: list[int]) -> None:
    dataset.run("cv2", "phash")
    decodes.clear()
    dataset.run("cv2", "phash")
    assert decodes == []


def test_other_pixels_are_measured_anew_and_versions_of_before_stay(
    dataset: Dataset, decodes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset.run("phash")
    assert dataset.sql("select distinct metric_version from d.phash") == [("991891da88b6",)], "as before it was counted"
    decodes.clear()
    monkeypatch.setattr(ImageMedium, "decoder", "2")
    assert dataset.metrics("phash")["phash"].computed == len(decodes) == 12
    assert dataset.metrics("phash")["phash"].computed == 0


def test_renamed_file_costs_no_inference(dataset: Dataset, decodes: list[int]) -> None:
    dataset.run("cv2", "phash")
    before = dataset.sql("select sample_id, phash from d.phash order by 1")
    decodes.clear()
    picture = sorted(dataset.source.rglob("*.jpg"))[0]
    shutil.move(picture, dataset.source / "renamed.jpg")
    dataset.run("cv2", "phash")
    assert decodes == []
    assert dataset.sql("select sample_id, phash from d.phash order by 1") == before
    assert dataset.sql("select status from d.samples where uri like '%renamed.jpg'") == [("ok",)]


def test_copied_file_costs_no_inference(dataset: Dataset, decodes: list[int]) -> None:
    dataset.run("phash")
    decodes.clear()
    shutil.copyfile(sorted(dataset.source.rglob("*.jpg"))[0], dataset.source / "copy.jpg")
    dataset.run("phash")
    assert decodes == []


def test_changed_and_new_files_are_the_only_ones_decoded(dataset: Dataset, decodes: list[int]) -> None:
    dataset.run("phash")
    decodes.clear()
    pictures = sorted(dataset.source.rglob("*.jpg"))
    extra = sorted(p for p in (Path(__file__).parents[2] / "examples/images/photo/desert").glob("*.jpg"))[:2]
    shutil.copyfile(extra[0], dataset.source / "new.jpg")
    shutil.copyfile(extra[1], pictures[0])
    dataset.run("phash")
    assert len(decodes) == 2
    assert dataset.sql("select count(*), count(distinct sample_id) from d.phash") == [(13, 13)]


def test_bumping_one_metric_recomputes_that_metric_alone(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset.run("cv2", "phash")
    monkeypatch.setattr(
        "tests.conftest.get_metric", lambda name: bumped(get_metric(name)) if name == "cv2" else get_metric(name)
    )
    found = dataset.metrics("cv2", "phash")
    assert (found["cv2"].computed, found["phash"].computed, found["phash"].kept) == (12, 0, 12)


def test_new_column_of_a_metric_replaces_the_old_table(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset.run("phash")
    old = get_metric("phash")
    fewer = replace(old, columns=old.columns[:1], version="other")
    monkeypatch.setattr("tests.conftest.get_metric", lambda name: fewer)
    assert dataset.metrics("phash")["phash"].computed == 12
    assert dataset.sql("select count(*) from d.phash") == [(12,)]


def test_killed_pass_loses_only_what_was_not_flushed(
    dataset: Dataset, decodes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "KEEP_SECONDS", 0.01)
    dataset.inventory()
    dataset.samples()
    real, added = TableBuilder.add, []

    def interrupted(self, row):  # type: ignore[no-untyped-def]
        if len(added) == 3:
            raise KeyboardInterrupt
        added.append(row)
        real(self, row)

    with monkeypatch.context() as until_the_fourth, pytest.raises(KeyboardInterrupt):
        until_the_fourth.setattr(TableBuilder, "add", interrupted)
        dataset.metrics("phash")
    decodes.clear()  # nothing decodes any more, although the traceback is still there
    found = dataset.metrics("phash")["phash"]
    assert (found.kept, found.computed) == (3, 9)
    assert len(decodes) == 9
    assert dataset.sql("select count(*), count(distinct sample_id) from d.phash") == [(12, 12)]


def test_failed_neighbour_changes_nothing(dataset: Dataset) -> None:
    dataset.run("cv2", "phash", "embedding")
    alone = dataset.sql(
        "select sample_id, brightness, phash, vector from d.cv2 join d.phash using (sample_id) join d.embedding using (sample_id) order by 1"
    )
    damaged = sorted(dataset.source.rglob("*.jpg"))[0]
    data = bytearray(damaged.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = b"\x00" * 400
    (dataset.source / "damaged.jpg").write_bytes(data)
    for table in ("cv2", "phash", "embedding"):
        shutil.rmtree(Path(dataset.resources.tables.root) / "datasets" / "d" / table)
    dataset.run("cv2", "phash", "embedding")
    together = dataset.sql(
        """select sample_id, brightness, phash, vector from d.cv2 join d.phash using (sample_id) join d.embedding using (sample_id)
        join d.samples using (sample_id) where uri not like '%damaged.jpg' order by 1"""
    )
    assert together == alone


def test_unreadable_image_is_a_failed_row_and_retry_mends_it(dataset: Dataset, tmp_path: Path) -> None:
    dataset.inventory()
    dataset.samples()
    away = sorted(dataset.source.rglob("*.jpg"))[0]
    shutil.move(away, tmp_path / "away.jpg")
    found = dataset.metrics("phash")["phash"]
    assert found.rows == 12 and sum(found.failures.values()) == 1
    ((reason,),) = dataset.sql("select reason from d.phash where status = 'failed'")
    assert reason.startswith("unreadable:")
    shutil.move(tmp_path / "away.jpg", away)
    assert dataset.metrics("phash")["phash"].computed == 0, "a failed row is a result; only retry computes it again"
    assert dataset.metrics("phash", retry="unreadable")["phash"].computed == 1
    assert dataset.sql("select count(*) from d.phash where status = 'ok'") == [(12,)]


def test_file_swapped_after_it_was_listed_is_noticed(dataset: Dataset) -> None:
    dataset.inventory()
    dataset.samples()
    pictures = sorted(dataset.source.rglob("*.jpg"))
    shutil.copyfile(pictures[1], pictures[0])
    dataset.metrics("phash")
    ((reason,),) = dataset.sql("select reason from d.phash where status = 'failed'")
    assert reason.startswith("unreadable: changed: ") and reason.endswith("run the inventory again")


def test_metric_that_raises_on_one_image_fails_one_row(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset.inventory()
    dataset.samples()
    real = get_metric("phash")
    calls: list[int] = []

    def picky(image):  # type: ignore[no-untyped-def]
        calls.append(1)
        if len(calls) == 4:
            raise ZeroDivisionError("no sky in the image")
        return real.compute(image)  # type: ignore[misc]

    monkeypatch.setattr("tests.conftest.get_metric", lambda name: replace(real, compute=picky))
    found = dataset.metrics("phash")["phash"]
    assert found.rows == 12 and found.failures == {"ZeroDivisionError: no sky in the image": 1}


def test_misspelt_column_is_a_failed_row_never_a_null(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset.inventory()
    dataset.samples()
    real = get_metric("phash")
    slip = replace(real, compute=lambda image: {"phahs": 1, "mirrored": 2})
    monkeypatch.setattr("tests.conftest.get_metric", lambda name: slip)
    (reason,) = dataset.metrics("phash")["phash"].failures
    assert "missing ['phash'], not declared ['phahs']" in reason
