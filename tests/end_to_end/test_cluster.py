"""A Ray cluster of three nodes on loopback makes the tables of one process, bit for bit, whatever worker is killed."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner

from arot_assets.captions.budget import BudgetSpentError
from arot_assets.cli.cut import command as cut
from arot_assets.clips.cutting import cut_clips
from arot_assets.clips.target import Target
from arot_assets.datasets.duplicates import settle
from arot_assets.datasets.inventory import take_inventory
from arot_assets.datasets.presence import Shards
from arot_assets.datasets.samples import SamplesResult, build_samples, build_unit
from arot_assets.datasets.turns import Unit, work_on
from arot_assets.declarations import VideoDataset
from arot_assets.media.video.clip_file import Settings
from arot_assets.metrics.build_files import build_files
from arot_assets.metrics.table_builder import MetricResult
from arot_assets.metrics.units import build_metric_unit
from resources.compute import Compute, ComputeError, Local, Needs, compute_of
from resources.defaults import Resources
from resources.models import Models
from resources.storage import Storage
from resources.tables import SAMPLES, ModelRef, TableRef, Tables
from resources.warehouse import Warehouse
from tests.conftest import DATA, REPOSITORY, Dataset
from tests.end_to_end.conftest import Project
from tests.end_to_end.on_cluster import (
    HEAD,
    IMAGES,
    asks_in_sight,
    captioned,
    dies_after_a_checkpoint,
    dies_once,
    files_of,
    one_thread,
    project_with_base,
    trained,
)
from tests.engines import Watched
from tests.models.vlm import qwen2_vl

METRICS = ("cv2", "phash")
pytestmark = pytest.mark.slow  # a cluster is several processes for each of its nodes


def resources_at(store: Path) -> Resources:
    tables = Tables(Storage(), str(store))
    return Resources(tables.storage, tables, Warehouse(tables), Models(device="cpu"))


def killed_once(marker: Path, work: Callable[[Unit], dict[str, MetricResult]], unit: Unit) -> dict[str, MetricResult]:
    """The work, whose process is killed in the middle the first time."""
    if unit.shard == "00001" and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return work(unit)


def build(compute: Compute, dataset: Dataset, marker: Path) -> set[int]:
    """All tables by an engine; with another than the local one, a worker is killed. Gives the numbers of rows computed."""
    r, declaration = dataset.resources, dataset.declaration
    dataset.inventory()
    read: dict[str, SamplesResult] = {}
    work_on(
        compute,
        r.tables,
        dataset.shards(),
        lambda shard: Unit.of("d", shard, [SAMPLES], "test"),
        partial(build_unit, r.storage, r.tables, declaration, None),
        lambda unit, result: read.setdefault(unit.shard, result),
    )
    settle(r.warehouse, "d")
    work = partial(build_metric_unit, r.storage, r.warehouse, r.models, declaration, None, Shards(r.warehouse, "d"))
    computed: dict[str, set[int]] = {}
    work_on(
        compute,
        r.tables,
        dataset.shards(),
        lambda shard: Unit.of("d", shard, METRICS, "test"),
        work if compute.is_local else partial(killed_once, marker, work),
        lambda unit, found: computed.setdefault(unit.shard, {one.computed for one in found.values()}),
        Needs(device=True),
    )
    assert [*sorted(read)] == [*sorted(computed)] == dataset.shards()
    return {sum(n for (n,) in computed.values())}


def tables_of(resources: Resources) -> dict[str, pa.Table]:
    """Every table of the dataset, with its footer, without the moments of work."""
    found = {}
    for name in (SAMPLES, *METRICS):
        for shard in resources.tables.shards("d", name):
            table = resources.tables.read(TableRef("d", name, shard))
            found[f"{name}/{shard}"] = table.drop_columns(
                [c for c in ("computed_at", "ingested_at") if c in table.column_names]
            )
    return found


def test_three_nodes_make_the_tables_of_one_process_though_a_worker_is_killed(
    cluster: Compute, source: Path, tmp_path: Path
) -> None:
    marker = tmp_path / "killed"
    alone = Dataset(resources_at(tmp_path / "alone"), source, shard_size=3)
    together = Dataset(resources_at(tmp_path / "together"), source, shard_size=3)
    assert build(Local(), alone, marker) == build(cluster, together, marker) == {12}
    assert marker.exists(), "a worker was killed"
    one, other = tables_of(alone.resources), tables_of(together.resources)
    assert one.keys() == other.keys() and len(one) == 12
    for name, table in one.items():
        assert table.equals(other[name], check_metadata=True), name
    assert together.resources.tables.list("leases") == []


def test_model_stays_in_its_process_for_many_shards(cluster: Compute) -> None:
    loaded = list(cluster.map(process_of, range(12), Needs(device=True)))
    assert sorted(unit for unit, _ in loaded) == [*range(12)]
    assert len({process for _, process in loaded}) <= 3, "no more processes than there is room for"


@pytest.fixture
def films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Resources:
    """A store with two films that were decoded, and the SQL model ``spans`` with one clip of each."""
    monkeypatch.setenv("AROT_STORE", str(tmp_path / "store"))
    folder = tmp_path / "films"
    folder.mkdir()
    for name in ("cuts_hard.mp4", "camera.mp4"):
        shutil.copyfile(DATA / "films" / name, folder / name)
    r = resources_at(tmp_path / "store")
    declared = VideoDataset.model_validate({"name": "films", "source": str(folder), "settle_seconds": 0})
    take_inventory(r.storage, r.tables, declared, datetime.now(UTC))
    build_samples(r.storage, r.tables, declared, "00000")
    build_files(r.storage, r.warehouse, r.models, declared, "00000", [])
    spans = """select sample_id || '_0' as clip_id, sample_id, 0 as start_n, 12 as end_n, min(pts) as start_pts, max(pts) as end_pts
        from films.frames where n <= 12 group by sample_id"""
    r.warehouse.refresh()
    with r.warehouse.connect() as con:
        r.tables.write(con.execute(spans).to_arrow_table(), ModelRef("spans"))
    r.warehouse.refresh()
    return r


def test_nodes_cut_the_clips_of_one_process_bit_for_bit(cluster: Compute, films: Resources, tmp_path: Path) -> None:
    counted = Watched(cluster)
    made, sent = {}, []
    places: dict[str, Compute] = {"store/alone": Local(), "store/together": counted, "elsewhere": counted}
    for place, compute in places.items():
        folder = str(tmp_path / place)
        table = cut_clips(
            replace(films, compute=compute), "spans", "films", Target(folder, f"{folder}.parquet"), Settings()
        )
        assert table["status"].to_pylist() == ["ok", "ok"], table["reason"].to_pylist()
        made[place] = table, {f: Path(folder, f).read_bytes() for f in table["file"].to_pylist()}
        sent.append(len(counted.units))
    assert made["store/alone"] == made["store/together"] == made["elsewhere"]
    assert sent == [0, 2, 2], (
        "each film was a unit; no node is trusted to see a folder of this machine outside the store"
    )


@pytest.mark.parametrize(
    ("fields", "die"), [(IMAGES, dies_after_a_checkpoint), (HEAD, dies_once)], ids=["images", "head"]
)
def test_node_trains_the_model_of_one_process_bit_for_bit_though_it_is_killed(
    cluster: Compute,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, Any],
    die: Callable[..., Any],
) -> None:
    project_with_base(tmp_path / "project")
    monkeypatch.setenv("AROT_PROJECT", str(tmp_path / "project"))
    alone = Dataset(resources_at(tmp_path / "alone"), source)
    alone.run("phash", *(["embedding"] if "embedding" in fields["inputs"] else []))
    shutil.copytree(tmp_path / "alone", tmp_path / "together")
    marker = tmp_path / "killed"
    node = Watched(cluster, [], partial(die, marker))
    with one_thread():
        one = trained(alone.resources, **fields)
    together = replace(resources_at(tmp_path / "together"), compute=node)
    other = trained(together, **fields)
    assert marker.exists() and len(node.units) == 1, "a worker was killed, and the model was trained by another"
    assert marker.with_suffix(".resumed").exists() == (fields is IMAGES), (
        "from where it was, once there is a checkpoint"
    )
    assert other.pointer == one.pointer and other.evaluation == one.evaluation and other.sheet == one.sheet
    stored = files_of(together, one.pointer.digest)
    assert stored == files_of(alone.resources, one.pointer.digest)
    assert {*stored} > {"entry.json", "evaluation.json", "split.parquet"} and any("safetensors" in f for f in stored)
    assert together.tables.list("classifiers/kind/checkpoints") == []
    assert not trained(together, **fields).trained and len(node.units) == 1, "nothing changed, and no node is asked"


def test_command_cuts_on_the_nodes_where_they_see_the_folder_and_else_says_why_not(
    cluster: Compute, films: Resources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Watched(cluster)
    monkeypatch.setattr("resources.compute.compute_of", lambda: counted)
    for place, units in {"elsewhere": 0, "store/mine": 2}.items():
        folder = tmp_path / place
        done = CliRunner().invoke(cut, ["spans", str(folder), "--films", "films"])
        assert (done.exit_code, len(counted.units)) == (0, units), done.output
        assert len(list(folder.glob("*.mp4"))) == 2
        why = f"the cut of spans is made by this process, not by Ray: {folder} is a folder of this machine, which others may not see; "
        assert (why in done.stderr) == (units == 0)
        assert "s3://bucket/clips" in done.stderr or units


def test_nodes_ask_a_local_model_once_for_each_sample_though_one_is_killed_and_the_budget_is_spent(
    cluster: Compute, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "asked").mkdir()
    qwen2_vl(tmp_path / "model")
    prompt = tmp_path / "short.jinja"
    prompt.write_text("Describe the image.")
    alone = Dataset(resources_at(tmp_path / "alone"), source)
    alone.run()
    shutil.copytree(tmp_path / "alone", tmp_path / "together")
    with one_thread():
        assert captioned(alone.resources, tmp_path / "model", prompt).rows == 12
    node = Watched(cluster, [], partial(asks_in_sight, tmp_path))
    together = replace(resources_at(tmp_path / "together"), compute=node)
    with pytest.raises(BudgetSpentError, match=r"spent \(7 requests"):
        captioned(together, tmp_path / "model", prompt, budget={"requests": 7})
    assert (tmp_path / "killed").exists(), "a worker was killed right after it had kept an answer"
    asked = [file.name.split(" ")[:2] for file in (tmp_path / "asked").iterdir()]
    assert len(asked) == 7, "what is not affordable is not sent"
    found = captioned(together, tmp_path / "model", prompt)
    assert (found.rows, found.computed) == (12, 5)
    asked = [file.name.split(" ")[:2] for file in (tmp_path / "asked").iterdir()]
    assert len(asked) == len({key for key, _ in asked}) == 12, "nothing is asked twice"
    assert len({process for _, process in asked}) <= 3 + 1 + 3, "the model stays loaded for all shards of a run"
    one, other = (rows_of(r, "caption", "seconds", "answered_at") for r in (alone.resources, together))
    assert one == other and len({row["text"] for row in one}) > 2
    assert not list((tmp_path / "together" / "answers").rglob("*.parquet")), "complete tables have them"


def rows_of(resources: Resources, table: str, *moments: str) -> list[dict[str, Any]]:
    """All rows of a table of the dataset, without the moments of work."""
    tables = resources.tables
    shards = [tables.read(TableRef("d", table, shard)) for shard in tables.shards("d", table)]
    return [row for shard in shards for row in shard.drop_columns(["computed_at", *moments]).to_pylist()]


def process_of(unit: int) -> int:
    """The process that works on it."""
    return os.getpid()


def test_unit_that_kills_its_process_again_and_again_is_a_clear_error(cluster: Compute, tmp_path: Path) -> None:
    def work(unit: int) -> int:
        if unit == 3:
            (tmp_path / str(os.getpid())).touch()
            time.sleep(
                2
            )  # the results of units before it reach the driver, which else takes one of those for the reason
            os.kill(os.getpid(), signal.SIGKILL)
        return unit

    done: list[int] = []
    with pytest.raises(ComputeError, match=r"was lost 4 times: .*; finished shards are kept"):
        done.extend(unit for unit, _ in cluster.map(work, range(8), Needs(device=True)))
    assert len(list(tmp_path.iterdir())) == 4, "begun once, and three times again"


def test_what_the_work_raises_comes_as_it_was_raised(cluster: Compute) -> None:
    def work(unit: int) -> int:
        raise ComputeError(f"unit {unit}")

    for needs in (Needs(), Needs(device=True)):
        with pytest.raises(ComputeError, match="unit 1"):
            list(cluster.map(work, [1], needs))


def machine_of_this_process() -> str:
    return socket.gethostname()


def fails() -> str:
    raise ValueError("a reason")


def test_each_machine_answers_for_itself_and_says_what_failed(cluster: Compute) -> None:
    nodes = cluster.nodes()
    assert [(node.cores, node.gpus) for node in nodes] == [(1.0, 0.0)] * 3
    answers = list(cluster.ask(machine_of_this_process, nodes, Needs()))
    assert {node.id for node, _ in answers} == {node.id for node in nodes}
    assert {answer for _, answer in answers} == {socket.gethostname()}
    ((node, error),) = cluster.ask(fails, nodes[:1], Needs())
    assert node == nodes[0] and isinstance(error, ValueError) and str(error) == "a reason"
    assert list(cluster.ask(fails, [replace(nodes[0], id="0a" * 28)], Needs())) == [], "it has left the cluster"


def test_unit_that_fits_nowhere_is_a_clear_error(cluster: Compute, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AROT_UNIT_CORES", "64")
    with pytest.raises(ComputeError, match="no machine of the Ray cluster has 64 cores"):
        list(cluster.map(str, [1], Needs()))


def test_engine_is_chosen_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compute_of() == Local()
    monkeypatch.setenv("AROT_COMPUTE", "slurm")
    with pytest.raises(ComputeError, match=r"\$AROT_COMPUTE='slurm': no such engine; choose one of local, ray"):
        compute_of()


def test_engine_that_cannot_be_had_is_one_clear_error_of_the_command(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.add_examples(1)
    told = project.arot("run", "demo", status=1, AROT_COMPUTE="slurm")
    assert "Error: $AROT_COMPUTE='slurm': no such engine; choose one of local, ray\n" in told


ALONE = "from resources.compute import Needs, compute_of; print(*sorted(compute_of('ray').map(str, [1, 2], Needs())))"


def test_without_an_address_ray_works_on_this_machine_alone(cluster: Compute) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("RAY_ADDRESS", "RAY_AUTH_MODE")}
    done = subprocess.run([sys.executable, "-c", ALONE], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "(1, '1') (2, '2')\n", done.stderr
    assert done.stderr == ""


def test_cluster_that_does_not_answer_is_one_clear_error() -> None:
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    code = "from resources.compute import *\ntry: print(*compute_of('ray').map(str, [1], Needs()))\nexcept ComputeError as e: print(e)"
    environment = {**os.environ, "RAY_ADDRESS": "127.0.0.1:9"}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.startswith("no Ray cluster at '127.0.0.1:9': "), said
    assert said.stdout.endswith("; check $RAY_ADDRESS, `ray status`\n")


def test_driver_on_a_machine_that_is_no_node_is_told_how_to_join() -> None:
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        address = f"127.0.0.1:{somebody.getsockname()[1]}"
        code = "from resources.compute import *\ntry: compute_of('ray').nodes()\nexcept ComputeError as e: print(e)"
        environment = {**os.environ, "RAY_ADDRESS": address}
        said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        compute_of("ray", address).check()  # somebody is there
    assert "RAY_ADDRESS=ray://127.0.0.1:10001, or " in said.stdout, said
    assert f"`ray start --address={address} --num-cpus=0`" in said.stdout


def test_nothing_that_a_worker_runs_imports_dagster() -> None:
    units = (
        "arot_assets.metrics.units, arot_assets.datasets.samples, arot_assets.classifiers.scoring, "
        "arot_assets.clips.cutting, arot_assets.classifiers.training_unit, arot_assets.exports.tars, "
        "arot_assets.captions.answering, "
        "arot_assets.exports.units, resources.compute"
    )
    code = f"import sys, {units}; print('dagster' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


ENDED = """
import os, signal, sys, time
from resources.compute import compute_of

def end(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGTERM, end)
assert compute_of("ray", sys.argv[1]).nodes()
try:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
except KeyboardInterrupt:
    print("stopped as before")
"""


def test_driver_that_is_told_to_end_ends_as_without_ray(cluster: Compute) -> None:
    asked = [sys.executable, "-c", ENDED, cluster.address]  # type: ignore[attr-defined]
    done = subprocess.run(asked, capture_output=True, text=True, cwd=REPOSITORY)
    assert done.stdout == "stopped as before\n", done.stderr
