"""One row for each object, whatever became of it."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from arot_assets.datasets.reach import MEGABYTE, together
from tests.conftest import DATA, Dataset

MakeDataset = Callable[..., Dataset]


def test_every_fault_becomes_what_its_table_says(make_dataset: MakeDataset) -> None:
    faults = make_dataset(DATA / "faults", shard_size=20)
    faults.inventory()
    faults.samples()
    rows = {
        Path(uri).name: (status, notes, reason)
        for uri, status, notes, reason in faults.sql("select uri, status, notes, reason from d.samples")
    }
    truth = list(csv.DictReader((DATA / "faults" / "faults.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == len(truth) == 53
    # images that share their bytes are one sample: the first is ok, the others are its duplicates
    for line in truth:
        status, notes, reason = rows[line["file"]]
        if line["file"] == "mp4_named.jpg":
            assert status == "unsupported" and "video" in reason
        elif line["expected"] == "warning":
            assert status == "ok" and notes, line["file"]
        elif line["file"] == "sample.heic":
            assert status == "ok"
        elif line["expected"] == "ok":
            assert status in ("ok", "duplicate"), (line["file"], reason)
        else:
            assert status == line["expected"] and reason, line["file"]


def test_rows_in_are_rows_out(make_dataset: MakeDataset) -> None:
    for folder in ("faults", "images_update", "near_duplicates"):
        one = make_dataset(DATA / folder, name=folder, shard_size=20)
        one.run("phash")
        ((present,),) = one.sql(f"select count(*) from {folder}.inventory where state = 'present'")
        ((samples,),) = one.sql(f"select count(*) from {folder}.samples")
        ((ok, hashed),) = one.sql(
            f"""select (select count(*) from {folder}.samples where status = 'ok'),
            (select count(*) from {folder}.phash join {folder}.samples s using (sample_id) where s.status = 'ok')"""
        )
        assert present == samples and ok == hashed, folder


def test_equal_bytes_are_one_sample_and_its_duplicates(dataset: Dataset) -> None:
    original = sorted(dataset.source.rglob("*.jpg"))[0]
    shutil.copyfile(original, dataset.source / "zz_copy.jpg")
    dataset.inventory()
    dataset.samples()
    rows = dataset.sql(
        "select uri, status, duplicate_of from d.samples where sample_id = (select sample_id from d.samples where uri like '%zz_copy.jpg') order by 1"
    )
    assert rows == [(str(original), "ok", None), (str(dataset.source / "zz_copy.jpg"), "duplicate", str(original))]


def test_duplicate_becomes_the_sample_when_its_original_leaves(dataset: Dataset) -> None:
    original = sorted(dataset.source.rglob("*.jpg"))[0]
    copy = dataset.source / "zz_copy.jpg"
    shutil.copyfile(original, copy)
    dataset.run("phash")
    original.unlink()
    found = dataset.inventory()
    assert found.gone == 1
    dataset.samples()
    assert dataset.metrics("phash")["phash"].computed == 0, "its hash is known by content"
    assert dataset.sql(f"select status from d.samples where uri = '{copy}'") == [("ok",)]
    assert dataset.sql("select count(*), count(distinct sample_id) from d.phash") == [(12, 12)]


def test_finished_rows_are_not_read_again(dataset: Dataset) -> None:
    dataset.inventory()
    assert sum(dataset.samples().values()) == 12
    assert sum(dataset.samples().values()) == 0


def test_retry_reads_failed_rows_only(dataset: Dataset) -> None:
    broken = dataset.source / "broken.jpg"
    broken.write_bytes(b"")
    dataset.inventory()
    dataset.samples()
    assert dataset.sql("select status from d.samples where uri like '%broken.jpg'") == [("corrupt",)]
    shutil.copyfile(DATA / "faults" / "gray.jpg", broken)  # mended in place, not yet listed again
    assert sum(dataset.samples(retry="no such reason").values()) == 0
    assert sum(dataset.samples(retry="empty").values()) == 1
    assert dataset.sql("select status from d.samples where uri like '%broken.jpg'") == [("ok",)]


def test_object_that_left_before_it_was_read_is_a_row_with_a_reason(dataset: Dataset) -> None:
    dataset.inventory()
    gone = sorted(dataset.source.rglob("*.jpg"))[0]
    gone.unlink()
    dataset.samples()
    ((status, reason),) = dataset.sql(f"select status, reason from d.samples where uri = '{gone}'")
    assert status == "unreadable" and "No such file" in reason


def test_captions_tags_and_json_come_from_files_beside_the_image(dataset: Dataset) -> None:
    picture = sorted(dataset.source.rglob("*.jpg"))[0]
    picture.with_suffix(".txt").write_text("A quiet harbour at dawn.")
    picture.with_suffix(".json").write_text('{"tags": ["sea", "dawn"], "rating": 5}')
    dataset.inventory()
    dataset.samples()
    ((caption, tags, sidecar),) = dataset.sql(
        f"select caption, tags, sidecar->>'rating' from d.samples where uri = '{picture}'"
    )
    assert (caption, tags, sidecar) == ("A quiet harbour at dawn.", ["sea", "dawn"], "5")


@pytest.mark.parametrize(
    ("file", "tool"),
    [("sd_parameters.png", "sd_webui"), ("comfyui_workflow.png", "comfyui"), ("sd_parameters_exif.jpg", "sd_webui")],
)
def test_generation_parameters_are_found_in_the_file(
    make_dataset: MakeDataset, tmp_path: Path, file: str, tool: str
) -> None:
    (tmp_path / "one").mkdir()
    shutil.copyfile(DATA / "faults" / file, tmp_path / "one" / file)
    one = make_dataset(tmp_path / "one")
    one.inventory()
    one.samples()
    assert one.sql("select generation->>'tool' from d.samples") == [(tool,)]


def test_small_local_files_are_read_together_and_all_others_one_by_one() -> None:
    small = [{"size": size} for size in [None, *range(100, 130)]]
    large = [{"size": MEGABYTE}] * 3
    assert [len(some) for some in together([*small, *large], far=False)] == [16, 15, 1, 1, 1]
    assert [one for some in together([*small, *large], far=False) for one in some] == [*small, *large]
    assert [len(some) for some in together(small, far=True)] == [1] * 31
    assert list(together([], far=False)) == []
