"""A clock that jumps an hour back, as after a wrong setting is corrected, costs no work and loses nothing."""

import os
import shutil
import time
from datetime import UTC, datetime, timedelta

import pytest

from arot_assets.datasets.inventory import seen_again, take_inventory
from tests.conftest import Dataset

HOUR = 3600.0


def test_clock_that_jumps_an_hour_back_makes_nothing_again_and_overlooks_nothing(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    r, declared = dataset.resources, dataset.declaration
    dataset.run("phash")
    before = dataset.sql("select sample_id, computed_at from d.phash order by all")
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - HOUR)
    back = datetime.now(UTC) - timedelta(hours=1)
    assert seen_again(r.storage, r.tables, declared, back), "files from the future are no changes"
    picture = sorted(dataset.source.rglob("*.jpg"))[0]
    new = picture.with_name("new.jpg")
    shutil.copy(picture, new)
    with new.open("ab") as file:
        file.write(b"x")  # after the end of the image: other content
    os.utime(new, (now() - HOUR, now() - HOUR))
    found, listing = take_inventory(r.storage, r.tables, declared, back)
    assert (found.new, found.changed, found.gone, listing.unsettled) == (1, 0, 0, ())
    assert sum(dataset.samples().values()) == 1
    assert dataset.metrics("phash")["phash"].computed == 1
    rows = dataset.sql("select sample_id, computed_at from d.phash order by all")
    assert len(rows) == 13 and {*before} < {*rows}


def test_files_from_the_future_are_taken_after_a_short_wait(
    make_dataset,
    source,
    monkeypatch: pytest.MonkeyPatch,  # type: ignore[no-untyped-def]
) -> None:
    dataset = make_dataset(source, settle_seconds=0.1)
    now, slept = time.time, list[float]()
    monkeypatch.setattr(time, "time", lambda: now() - HOUR)
    monkeypatch.setattr(time, "sleep", slept.append)
    assert dataset.inventory().new == 12
    assert sum(slept) <= 0.1, "not for an hour"
