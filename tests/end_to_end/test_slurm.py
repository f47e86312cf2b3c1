"""The batch script of Slurm: a cluster comes up on the nodes of a job, works, and is gone with the job, however it ends."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Project
from tests.end_to_end.services import DEPLOY
from tests.servers.slurm import Job
from tests.waiting import until

SCRIPT = DEPLOY / "slurm" / "arot.sbatch"
HEAD, WORKER = NODES = ("127.0.0.1", "127.0.0.2")
pytestmark = pytest.mark.slow


class Photos(Project):
    """A project with one dataset in shards of two."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.declare_dataset("demo", metrics=["cv2", "phash"], shard_size=2)
        self.files = self.add_examples(4)

    def job(self, bare: str = "", busy: str = "", **more: str) -> Job:
        """``sbatch arot.sbatch demo``."""
        environment = self.environment(AROT_PROJECT=str(self.root)) | more
        return Job(SCRIPT, ["demo"], NODES, environment, bare, busy)

    def made(self, table: str) -> list[Path]:
        """The files of a table's shards."""
        return list(self.root.glob(f".arot/store/**/{table}/*.parquet"))


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    return Photos(tmp_path)


def nothing_is_left(job: Job) -> bool:
    """Ray's helpers end a moment after the process that they watch."""
    return until("the end of its processes", lambda: not job.processes(), lambda: len(job.processes()), poll=0.5)


def is_complete(project: Photos) -> bool:
    rows = project.sql("select count(*), count(distinct sample_id) from demo.samples join demo.cv2 using (sample_id)")
    return rows == [(len(project.files), len(project.files))]


def test_run_works_on_the_nodes_of_a_job_and_all_ends_with_it(photos: Photos) -> None:
    with photos.job() as job:
        assert job.wait() == 0, job.said
        assert "2 nodes with 1 cores and 0 GPUs each; arot run demo" in job.said
        assert "samples on Ray: 0%, 0 of 6 shards" in job.said
        assert [step.split(" ray start ")[0] for step in job.steps] == [
            f"--nodes=1 --ntasks=1 --cpus-per-task=1 --nodelist={node} --overlap --input=none" for node in NODES
        ]
        assert nothing_is_left(job)
    assert is_complete(photos)


@pytest.mark.parametrize(("stop", "status"), [(Job.warn, 130), (Job.cancel, 143)])
def test_job_that_runs_out_of_time_or_is_cancelled_ends_and_the_next_one_goes_on_from_there(
    photos: Photos, stop: Callable[[Job], None], status: int
) -> None:
    with photos.job() as job:
        until("a shard", lambda: photos.made("samples") or job.process.poll() is not None, lambda: len(job.said))
        stop(job)
        assert job.wait() == status, job.said
        assert nothing_is_left(job)
    kept = {file: file.stat().st_mtime_ns for file in photos.made("samples")}
    assert kept and len(photos.made("cv2")) < 6, "it ended in the middle"
    with photos.job() as job:
        assert job.wait() == 0, job.said
    assert is_complete(photos)
    assert kept.items() <= {file: file.stat().st_mtime_ns for file in photos.made("samples")}.items()


def test_job_that_is_cancelled_while_its_cluster_starts_ends(photos: Photos) -> None:
    with photos.job() as job:
        until("the first step", lambda: job.steps or job.process.poll() is not None, lambda: len(job.said))
        job.process.terminate()
        assert job.wait() == 143, job.said
        assert nothing_is_left(job)
    assert photos.made("samples") == []


@pytest.mark.parametrize("node", NODES)
def test_node_that_cannot_start_ends_the_job_and_is_named(photos: Photos, node: str) -> None:
    with photos.job(bare=node) as job:
        assert job.wait() == 1, job.said
        assert f"arot.sbatch: the part of the cluster on {node} has ended (status 127)" in job.said
        assert nothing_is_left(job)
    assert photos.made("samples") == []


def test_cluster_that_does_not_come_up_ends_the_job(photos: Photos) -> None:
    with photos.job(busy=HEAD, AROT_JOIN_SECONDS="1") as job:
        assert job.wait() == 1, job.said
        assert f"arot.sbatch: no cluster answers on {HEAD} after 1 s" in job.said
        assert nothing_is_left(job)


def test_node_that_is_lost_in_the_middle_is_named_and_the_others_go_on(photos: Photos) -> None:
    with photos.job() as job:
        until("a shard", lambda: photos.made("samples") or job.process.poll() is not None, lambda: len(job.said))
        job.kill_node(WORKER)
        assert job.wait() == 0, job.said
        assert f"the part of the cluster on {WORKER} has ended (status 137)" in job.said
        assert nothing_is_left(job)
    assert is_complete(photos)


def test_script_is_understood_and_has_no_fault_that_shellcheck_knows() -> None:
    subprocess.run(["/bin/bash", "-n", SCRIPT], check=True)
    subprocess.run([Path(sys.executable).with_name("shellcheck"), SCRIPT], check=True)
