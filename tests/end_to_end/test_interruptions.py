"""Killed, out of space, not writable: work that was done stays, nothing is half written, the end is the same."""

import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

from tests.disks import make_read_only
from tests.end_to_end.conftest import Project
from tests.waiting import finish, kill_when, until, work_of

TABLES = ("samples", "cv2", "phash", "embedding", "style")


def test_killed_at_any_moment_the_tables_end_up_the_same(make_project: Callable[[], Project]) -> None:
    calm, killed = make_project(), make_project()
    for project in (calm, killed):
        project.add_examples(10)
        project.declare_dataset("demo", source="examples/images", metrics=["cv2", "phash", "embedding"], shard_size=9)
    alone = calm.start("run", "demo")  # meanwhile: the two share nothing
    store = killed.root / ".arot" / "store"
    for moment in (0, 3, 6):
        process = killed.start("run", "demo")
        # once the process works, each time a little later: in samples, in metrics, in training, in models
        files = sum(1 for _ in store.rglob("*.parquet"))
        kill_when(process, lambda: sum(1 for _ in store.rglob("*.parquet")) > files + moment)  # noqa: B023  # called at once
        for file in store.rglob("*.parquet"):
            if not file.name.startswith("."):
                pq.read_table(file)  # every table is whole
    output = killed.arot("run", "demo", AROT_LEASE_SECONDS="100000")
    assert "waiting for" not in output, "what a killed run had reserved is free at once"
    told = finish(alone)
    assert alone.returncode == 0, told
    assert "was killed before it ended" in output or "up to date" in output
    assert killed.contents(TABLES) == calm.contents(TABLES)
    assert "nothing to do" in killed.arot("run", "demo")


SLOW_METRIC = '''"""Metric ``slow``: notes each image in a file, and waits at the sixth while a file ``wait`` is there."""

import threading
import time
from pathlib import Path

from arot_assets.media.image.view import Image
from arot_assets.metrics.metric import Column, Row, image_metric

FOLDER = Path({folder!r})
LOCK = threading.Lock()


@image_metric(version="1", columns=[Column("pixels", int, "width times height", 0)])
def slow(image: Image) -> Row:
    """Width times height."""
    with LOCK, (FOLDER / "measured").open("a") as file:
        file.write("x")
    while (FOLDER / "wait").exists() and (FOLDER / "measured").stat().st_size > 5:
        time.sleep(0.01)
    height, width, _ = image.rgb.shape
    return {{"pixels": height * width}}
'''


def test_interrupted_run_keeps_finished_rows_and_goes_on_there(project: Project) -> None:
    project.add_examples(4)
    (project.root / "metrics").mkdir(exist_ok=True)
    (project.root / "metrics" / "slow.py").write_text(SLOW_METRIC.format(folder=str(project.root)))
    project.declare_dataset("demo", source="examples/images", metrics=["slow"])
    measured = project.root / "measured"
    (project.root / "wait").touch()
    process = project.start("run", "demo", "--metrics", "slow", AROT_THREADS="1")
    until("the sixth image", lambda: measured.exists() and measured.stat().st_size > 5, work_of(process.pid))
    process.send_signal(signal.SIGINT)
    told = finish(process)  # it ends although that image never would
    assert process.returncode != 0 and "Traceback" not in told
    kept = re.search(r"stopped; kept: all finished shards, and ([0-9]+) rows? of demo/slow 00000", told)
    assert kept is not None, told
    (project.root / "wait").unlink()
    project.arot("run", "demo", "--metrics", "slow", AROT_THREADS="1")
    ((rows,),) = project.sql("select count(*) from demo.slow where status = 'ok'")
    assert int(kept[1]) >= 1
    assert measured.stat().st_size == rows + 6 - int(kept[1]), "what was kept is not measured again"


def test_full_disk_is_a_clear_error_and_no_half_file(project: Project, small_disk: Path) -> None:
    project.add_examples(3)
    filler = small_disk / "filler"
    filler.write_bytes(os.urandom(1024 * 1020))
    store = small_disk / "store"
    output = project.arot("run", "demo", status=1, AROT_STORE=str(store))
    assert "No space left on device" in output and "free some space" in output.lower() and "Traceback" not in output
    assert not [p for p in store.rglob("*") if p.is_file()]
    filler.unlink()
    shutil.rmtree(project.root / "defs/classifiers")
    assert "up to date" in project.arot("run", "demo", "--metrics", "phash", AROT_STORE=str(store))


def test_read_only_store_is_a_clear_error(project: Project, small_disk: Path) -> None:
    project.add_examples(3)
    make_read_only(small_disk)
    output = project.arot("run", "demo", status=1, AROT_STORE=str(small_disk / "store"))
    assert "Read-only file system" in output and "AROT_STORE" in output and "Traceback" not in output
