"""Finished rows outlive whatever ends the work, and no reader of the tables sees them before the table is complete."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from arot_assets.datasets import samples
from arot_assets.datasets.assets import dataset_assets, inventory_key
from resources.dagster import dagster_resources
from resources.tables import Unfinished, keeping
from tests.conftest import REPOSITORY, Dataset
from tests.waiting import until


def test_kept_rows_count_only_for_their_version_and_go_with_the_complete_table(dataset: Dataset) -> None:
    tables = dataset.resources.tables
    one, other = (Unfinished(tables, "d", "t", "00000", v) for v in ("1", "2"))
    one.keep(pa.table({"a": [1]}))
    one.keep(pa.table({"a": [2]}))
    one.keep(pa.table({"a": pa.array([], pa.int64())}))
    assert sorted(v for t in one.read() for v in t["a"].to_pylist()) == [1, 2]
    assert list(other.read()) == []
    assert tables.shards("d", "t") == []
    other.clear()
    assert list(one.read()) == []


def test_samples_read_before_the_work_was_stopped_are_not_read_again(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset.inventory()
    real, seen = samples.read_sample, []

    def stopping(*args, **settings):  # type: ignore[no-untyped-def]
        seen.append(args)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return real(*args, **settings)

    monkeypatch.setenv("AROT_THREADS", "1")
    monkeypatch.setattr(samples, "read_sample", stopping)
    with pytest.raises(KeyboardInterrupt):
        dataset.samples()
    assert dataset.resources.tables.shards("d", "samples") == []
    monkeypatch.setattr(samples, "read_sample", real)
    assert sum(dataset.samples().values()) == 9
    assert dataset.sql("select count(*), count(distinct sample_id) from d.samples") == [(12, 12)]
    assert dataset.resources.tables.list("unfinished/d/samples/00000") == []


WORK = """
import sys, time
from datetime import UTC, datetime
from arot_assets.datasets import samples
from arot_assets.datasets.assets import dataset_assets, inventory_key
from arot_assets.declarations import ImageDataset
from resources.storage import Storage
from resources.tables import Tables, keeping
source, store = sys.argv[1:]
declaration = ImageDataset.model_validate({"name": "d", "source": source, "shard_size": 100, "settle_seconds": 0})
storage = Storage()
tables = Tables(store=store, storage=storage)
keeping.KEEP_SECONDS = 1.0  # longer than five images take: what is kept is kept while none finishes
real = samples.read_sample
count = 0
def slow(*args, **settings):
    global count
    count += 1
    if count > 5:
        print("waiting", flush=True)
        time.sleep(3600)
    return real(*args, **settings)
samples.read_sample = slow
samples.build_samples(storage, tables, declaration, "00000")
"""


def test_samples_kept_before_kill_9_are_whole_and_used(
    dataset: Dataset,
    make_dataset,
    monkeypatch: pytest.MonkeyPatch,  # type: ignore[no-untyped-def]
) -> None:
    whole = make_dataset(dataset.source, shard_size=100)
    whole.inventory()
    store = dataset.resources.tables.root
    process = subprocess.Popen(
        [sys.executable, "-c", WORK, str(dataset.source), store],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        env={**os.environ, "AROT_THREADS": "1"},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"waiting\n"
    folder = Path(store) / "unfinished" / "d" / "samples" / "00000"
    until("rows are kept while an image takes for ever", lambda: list(folder.glob("*.parquet")), lambda: None)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert sum(whole.samples().values()) == 12 - 5
    assert whole.sql("select count(*), count(distinct sample_id) from d.samples") == [(12, 12)]


def test_saving_that_fails_is_raised_where_the_work_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def keep() -> None:
        calls.append(1)
        raise OSError("no space left")

    monkeypatch.setattr(keeping, "KEEP_SECONDS", 0.01)
    with pytest.raises(OSError, match="no space left"), keeping.Keeping(keep) as work:
        until("a saving", lambda: calls, lambda: None)
        until("its end", lambda: not work._thread.is_alive(), lambda: None)
        with work.adding():
            pytest.fail("nothing is added after that")
    assert len(calls) == 2, "what is there is saved once more, when the work ends"


def test_rows_of_a_table_or_shard_that_is_gone_are_removed_by_the_next_inventory(dataset: Dataset) -> None:
    resources = dataset.resources
    places = {"left": ("samples", "99999"), "dropped": ("no_metric", "00000"), "kept": ("samples", "00000")}
    defs = dg.Definitions(dataset_assets(dataset.declaration), resources=dagster_resources(resources))
    with dg.DagsterInstance.ephemeral() as instance:
        job = defs.resolve_implicit_global_asset_job_def()

        def look() -> list[str]:
            for table, shard in places.values():
                Unfinished(resources.tables, "d", table, shard, "1").keep(pa.table({"a": [1]}))
            job.execute_in_process(instance=instance, asset_selection=[inventory_key("d")])
            saved = {name: Unfinished(resources.tables, "d", *place, "1") for name, place in places.items()}
            return [name for name, unfinished in saved.items() if list(unfinished.read())]

        assert look() == [], "what lies there before the first inventory is of another dataset of this name"
        assert look() == ["kept"]
