"""Which of equal objects is the sample depends on the inventory alone: in any order, in any number of processes."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from arot_assets.cli.launch import RANGE_END, RANGE_START
from arot_assets.datasets.assets import dataset_assets, inventory_key
from arot_assets.datasets.duplicates import settle
from arot_assets.datasets.inventory import take_inventory
from arot_assets.datasets.samples import build_samples
from arot_assets.metrics.assets import metric_assets
from arot_assets.metrics.checks import conservation_check
from arot_assets.metrics.registry import get_metric
from arot_assets.metrics.steps import metric_state
from arot_assets.steps import Look
from resources.dagster import dagster_resources
from resources.defaults import Resources
from resources.models import Models
from resources.storage import Storage
from resources.tables import INVENTORY, SAMPLES, TableRef, Tables
from resources.warehouse import Warehouse
from tests.conftest import REPOSITORY, Dataset
from tests.tiers import draws

CONTENTS = 4
"""Pictures that differ; all files are copies of these."""
ROWS = "select uri, status, reason, duplicate_of, caption, shard from d.samples order by uri"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    for n in range(CONTENTS):
        Image.effect_noise((8 + n, 8), 50).save(folder / f"{n}.png")
    return sorted(folder.iterdir())


def over(folder: Path, source: Path, shard_size: int = 3) -> Dataset:
    """A dataset with a store of its own."""
    storage = Storage()
    tables = Tables(store=str(folder), storage=storage)
    resources = Resources(storage, tables, Warehouse(tables), Models(device="cpu"))
    return Dataset(resources, source, shard_size=shard_size, allow_empty=True, may_vanish=1)


def list_only(dataset: Dataset) -> None:
    r = dataset.resources
    take_inventory(r.storage, r.tables, dataset.declaration, datetime.now(UTC))


def build_only(dataset: Dataset, shard: str, retry: str | None = None) -> None:
    build_samples(dataset.resources.storage, dataset.resources.tables, dataset.declaration, shard, retry)


def from_scratch(dataset: Dataset, folder: Path) -> list[tuple]:  # type: ignore[type-arg]
    """The samples of the same inventory, in a new store, shard after shard."""
    other = over(folder, dataset.source)
    ref = TableRef("d", INVENTORY)
    tables = dataset.resources.tables
    other.resources.tables.write(tables.read(ref), ref, footer=tables.footer(ref))
    other.samples()
    return other.sql(ROWS)


NAMES = st.sampled_from([f"{n}.png" for n in "abcdefgh"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), NAMES, st.integers(0, CONTENTS - 1)),
        st.tuples(st.just("remove"), NAMES),
        st.tuples(st.just("caption"), NAMES, st.sampled_from(["one", "two"])),
        st.tuples(st.just("list")),
        st.tuples(st.just("settle")),
        st.tuples(st.just("build"), st.integers(0, 9)),
    ),
    max_size=25,
)


@settings(max_examples=draws(12))
@given(STEPS)
def test_any_order_of_changes_and_builds_ends_as_a_build_from_scratch(steps: list[tuple]) -> None:  # type: ignore[type-arg]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "source").mkdir()
        (work / "pictures").mkdir()
        for n in range(CONTENTS):
            Image.new("L", (8 + n, 8), n).save(work / "pictures" / f"{n}.png")
        dataset = over(work / "store", work / "source")
        clock = count(1_700_000_000)

        def put(path: Path, data: bytes) -> None:
            path.write_bytes(data)
            os.utime(path, times=(next(clock),) * 2)

        for number in range(6):
            put(work / "source" / f"{'abcdef'[number]}.png", (work / "pictures" / f"{number % 3}.png").read_bytes())
        list_only(dataset)
        for what, *values in steps:
            shards = dataset.shards()
            if what == "put":
                put(dataset.source / values[0], (work / "pictures" / f"{values[1]}.png").read_bytes())
            elif what == "remove":
                (dataset.source / values[0]).unlink(missing_ok=True)
            elif what == "caption" and (dataset.source / values[0]).exists():
                put((dataset.source / values[0]).with_suffix(".txt"), f"A caption, {values[1]}.".encode())
            elif what == "list":
                list_only(dataset)
            elif what == "settle":
                settle(dataset.resources.warehouse, "d")
            elif what == "build" and shards:
                build_only(dataset, shards[values[0] % len(shards)])
        list_only(dataset)
        there = dataset.resources.tables.shards("d", SAMPLES)
        for shard in reversed(dataset.shards()):
            if shard not in there:
                build_only(dataset, shard)
        settle(dataset.resources.warehouse, "d")
        assert dataset.sql(ROWS) == from_scratch(dataset, work / "scratch")
        assert dataset.sql("select count(*), count(distinct sample_id) from d.samples where status = 'ok'") == (
            dataset.sql("select count(distinct sample_id), count(distinct sample_id) from d.samples")
        )


def fill(source: Path, pictures: list[Path], files: int) -> None:
    source.mkdir(exist_ok=True)
    for n in range(files):
        shutil.copyfile(pictures[n * 7 % len(pictures)], source / f"{n:03}.png")


SCRIPT = """
import sys, time
from pathlib import Path
from arot_assets.cli.launch import RANGE_END, RANGE_START
from arot_assets.datasets.assets import dataset_assets, inventory_key
from arot_assets.datasets.duplicates import settle
from arot_assets.datasets.samples import build_samples
from tests.datasets.test_duplicates import over
store, source, go, *shards = sys.argv[1:]
dataset = over(Path(store), Path(source))
r = dataset.resources
print("ready", flush=True)
while not Path(go).exists():
    time.sleep(0.001)
for shard in shards:
    build_samples(r.storage, r.tables, dataset.declaration, shard)
    settle(r.warehouse, "d", lambda shard: print(shard, flush=True))
"""


def start(dataset: Dataset, go: Path, shards: list[str]) -> "subprocess.Popen[str]":
    """A process that builds and settles, once ``go`` is there."""
    command = [sys.executable, "-c", SCRIPT, dataset.resources.tables.root, str(dataset.source), str(go), *shards]
    process = subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, env={**os.environ, "AROT_THREADS": "1"}
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_processes_side_by_side_end_as_one_after_the_other(tmp_path: Path, pictures: list[Path]) -> None:
    fill(tmp_path / "source", pictures, 36)
    dataset = over(tmp_path / "store", tmp_path / "source")
    list_only(dataset)
    shards = dataset.shards()
    build_only(dataset, shards[5])
    go = tmp_path / "go"
    halves = (list(reversed(shards[::2])), [*shards[1::2], *shards[:3]])  # some shards are built by both
    processes = [start(dataset, go, half) for half in halves]
    go.touch()
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    settle(dataset.resources.warehouse, "d")
    assert dataset.sql(ROWS) == from_scratch(dataset, tmp_path / "scratch")
    assert dataset.sql("select count(*) from d.samples where status = 'ok'") == [(CONTENTS,)]


@pytest.mark.parametrize("moment", [1, 3])
def test_settling_that_is_killed_is_ended_by_the_next(tmp_path: Path, pictures: list[Path], moment: int) -> None:
    fill(tmp_path / "source", pictures, 30)
    dataset = over(tmp_path / "store", tmp_path / "source")
    list_only(dataset)
    shards = dataset.shards()
    for shard in shards[1:]:
        build_only(dataset, shard)
    go = tmp_path / "go"
    process = start(dataset, go, shards[:1])
    go.touch()
    assert process.stdout is not None
    for _ in range(moment):
        assert process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    dataset.sql(ROWS)  # every file is whole
    settle(dataset.resources.warehouse, "d")
    assert dataset.sql(ROWS) == from_scratch(dataset, tmp_path / "scratch")


def test_shard_that_is_replaced_while_it_is_settled_keeps_its_new_rows(
    tmp_path: Path, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "source", pictures[:1], 6)
    broken = tmp_path / "source" / "005.png"
    good = broken.read_bytes()
    broken.write_bytes(b"")
    dataset = over(tmp_path / "store", tmp_path / "source")
    list_only(dataset)
    for shard in dataset.shards():
        build_only(dataset, shard)
    broken.write_bytes(good)
    real = Tables.write

    def meanwhile(self: Tables, *args: object, replacing: str | None = None, **named: object) -> None:
        if replacing is not None:
            monkeypatch.setattr(Tables, "write", real)
            build_only(dataset, "00001", retry="")
        real(self, *args, replacing=replacing, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Tables, "write", meanwhile)
    settle(dataset.resources.warehouse, "d")
    rows = dataset.sql("select status, count(*) from d.samples group by 1 order by 1")
    assert rows == [("duplicate", 5), ("ok", 1)]


def test_settled_shards_are_not_read_again(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset.inventory()
    dataset.samples()

    def read(*_: object, **__: object) -> None:
        raise AssertionError("a row was read")

    monkeypatch.setattr(Tables, "read", read)
    monkeypatch.setattr(Warehouse, "ask", read)
    assert settle(dataset.resources.warehouse, "d").shards == set()


def test_only_shards_with_other_marks_are_written(tmp_path: Path, pictures: list[Path]) -> None:
    fill(tmp_path / "source", pictures[:3], 3)
    dataset = over(tmp_path / "store", tmp_path / "source")
    dataset.run()
    shutil.copyfile(pictures[3], tmp_path / "source" / "x.png")
    shutil.copyfile(pictures[0], tmp_path / "source" / "y.png")
    list_only(dataset)
    before = dataset.resources.tables.version(TableRef("d", SAMPLES, "00000"))
    build_only(dataset, "00001")
    told: list[str] = []
    settled = settle(dataset.resources.warehouse, "d", told.append)
    assert settled.shards == {"00001"} and told == ["00001"]
    assert (settled.originals, settled.duplicates) == (0, 1)
    assert dataset.resources.tables.version(TableRef("d", SAMPLES, "00000")) == before


def two_equal(tmp_path: Path, pictures: list[Path], shard_size: int) -> tuple[Dataset, Path, Path]:
    """Pictures of which the first and the last have the same bytes, and captions of their own."""
    source = tmp_path / "source"
    fill(source, pictures[1:], 3)
    first, last = source / "00.png", source / "zz.png"
    for path in (first, last):
        shutil.copyfile(pictures[0], path)
        path.with_suffix(".txt").write_text(f"The caption of {path.stem}.")
    return over(tmp_path / "store", source, shard_size), first, last


@pytest.mark.parametrize("shard_size", [2, 10], ids=["other shard", "same shard"])
def test_copy_takes_over_with_its_own_caption_and_the_known_values(
    tmp_path: Path, pictures: list[Path], shard_size: int
) -> None:
    dataset, first, last = two_equal(tmp_path, pictures, shard_size)
    dataset.run("phash")
    query = "select uri, caption, phash__phash from d.wide where uri in (?, ?) and status = 'ok'"

    def shown() -> list[tuple]:  # type: ignore[type-arg]
        with dataset.resources.warehouse.connect() as con:
            return con.execute(query, [str(first), str(last)]).fetchall()

    ((uri, caption, value),) = shown()
    assert (uri, caption) == (str(first), "The caption of 00.")
    first.unlink()
    first.with_suffix(".txt").unlink()
    dataset.inventory()
    assert dataset.metrics("phash")["phash"].computed == 0
    assert shown() == [(str(last), "The caption of zz.", value)]
    assert dataset.sql("select count(*), count(distinct sample_id) from d.phash") == [(4, 4)]
    assert dataset.resources.warehouse.tables.shards("d", SAMPLES) == dataset.shards(), "no shard was added"


def test_original_whose_caption_changes_stays_the_original(tmp_path: Path, pictures: list[Path]) -> None:
    dataset, first, last = two_equal(tmp_path, pictures, 2)
    dataset.run()
    first.with_suffix(".txt").write_text("Another caption, and longer.")
    assert dataset.inventory().changed == 1
    dataset.samples()
    found = dataset.sql(f"select status, caption from d.samples where uri = '{first}'")
    assert found == [("ok", "Another caption, and longer.")]
    assert dataset.sql(f"select status, duplicate_of from d.samples where uri = '{last}'") == [
        ("duplicate", str(first))
    ]


@pytest.mark.parametrize("turn", [sorted, lambda shards: sorted(shards, reverse=True)], ids=["first", "last"])
def test_sample_that_moves_to_an_earlier_shard_is_not_measured_again(
    tmp_path: Path, pictures: list[Path], turn: Callable[[list[str]], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, *_ = two_equal(tmp_path, pictures, 2)
    list_only(dataset)
    all_shards = dataset.shards()
    monkeypatch.setattr(dataset, "shards", lambda: all_shards[1:])
    dataset.samples()
    dataset.metrics("phash")  # the shard of the original is not there yet, so the copy is measured
    monkeypatch.setattr(dataset, "shards", lambda: all_shards)
    dataset.samples()
    with Look(dataset.resources) as look:
        missing = metric_state(look, dataset.declaration, get_metric("phash")).missing
    assert missing == (all_shards[0], all_shards[-1])
    monkeypatch.setattr(dataset, "shards", lambda: turn(all_shards))
    found = dataset.metrics("phash")["phash"]
    assert (found.rows, found.computed) == (4, 1), "only the other picture of the new shard"
    assert dataset.sql("select count(*), count(distinct sample_id) from d.phash") == [(4, 4)]
    for shard in all_shards:
        assert dataset.resources.tables.list(f"unfinished/d/phash/{shard}") == []


def test_check_holds_while_a_settled_shard_waits_for_its_measurements(tmp_path: Path, pictures: list[Path]) -> None:
    dataset, first, _ = two_equal(tmp_path, pictures, 2)
    dataset.run("phash")

    def passed() -> bool:
        resources = {"tables": dataset.resources.tables, "warehouse": dataset.resources.warehouse}
        (check,) = conservation_check("d", "phash").check_specs
        with dg.DagsterInstance.ephemeral() as instance:
            asset = dg.AssetSpec(check.asset_key)
            defs = dg.Definitions([asset], asset_checks=[conservation_check("d", "phash")], resources=resources)
            job = defs.resolve_implicit_global_asset_job_def()
            chosen = job.get_subset(asset_selection=set(), asset_check_selection={check.key})
            (evaluation,) = chosen.execute_in_process(
                instance=instance, raise_on_error=False
            ).get_asset_check_evaluations()
            return bool(evaluation.passed)

    assert passed()
    first.unlink()
    dataset.inventory()
    assert passed()
    dataset.metrics("phash")
    assert passed()
    ref = TableRef("d", "phash", "00000")
    table = dataset.resources.tables.read(ref)
    dataset.resources.tables.write(table.slice(0, 0), ref, footer=dataset.resources.tables.footer(ref))
    assert not passed(), "a lost row is found"


def test_automation_measures_the_copy_that_became_the_sample(tmp_path: Path, pictures: list[Path]) -> None:
    dataset, first, _ = two_equal(tmp_path, pictures, 2)
    declaration = dataset.declaration.model_copy(update={"metrics": ["phash"]})
    assets = [*dataset_assets(declaration), *metric_assets(declaration, dataset.resources.models)]
    defs = dg.Definitions(assets, resources=dagster_resources(dataset.resources))
    job = defs.resolve_implicit_global_asset_job_def()
    samples, phash = (dg.AssetKey(["d", name]) for name in (SAMPLES, "phash"))
    cursor = None
    with dg.DagsterInstance.ephemeral() as instance:

        def run(*keys: dg.AssetKey, shards: tuple[str, ...] = ()) -> None:
            tags = {RANGE_START: shards[0], RANGE_END: shards[-1]} if shards else {}
            result = job.execute_in_process(instance=instance, asset_selection=list(keys), tags=tags)
            assert result.success

        def asked() -> dict[str, set[str]]:
            nonlocal cursor
            result = dg.evaluate_automation_conditions(defs, instance, cursor=cursor)
            cursor = result.cursor
            return {key.path[-1]: set(result.get_requested_partitions(key)) for key in (samples, phash)}

        run(inventory_key("d"))
        run(samples, phash, shards=("00000", "00002"))
        assert asked() == {SAMPLES: set(), "phash": set()}
        first.unlink()
        first.with_suffix(".txt").unlink()
        run(inventory_key("d"))
        assert asked() == {SAMPLES: set(), "phash": {"00002"}}
        run(phash, shards=("00002",))
        assert asked() == {SAMPLES: set(), "phash": set()}
    assert dataset.sql("select count(*), count(distinct sample_id) from d.phash") == [(4, 4)]
