"""A run whose last fitting machine is lost says so, goes on with the next one, and ends if none comes; trainings of one cluster
wait for each other only where it has one GPU."""

import logging
import os
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from arot_assets.pool import GPU_POOL
from arot_assets.whole import whole_asset
from resources.compute import Compute, ComputeError, Needs, compute_of, lookout
from resources.dagster import dagster_resources
from resources.defaults import Resources
from tests.waiting import until, work_of

pytestmark = pytest.mark.slow  # a cluster is several processes for each of its nodes
NODE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80_000_000}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster with a head that has no core, whose machines the test adds; they say that they have GPUs."""
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_health_check_initial_delay_ms", "500")
    monkeypatch.setenv("RAY_health_check_period_ms", "500")
    monkeypatch.setattr(lookout, "TELL_SECONDS", 0.5)
    monkeypatch.setattr("resources.compute.ray_actors.LOOK_SECONDS", 0.5)
    monkeypatch.setattr("resources.compute.ray_cluster.LOOK_SECONDS", 0.5)
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 0, "include_dashboard": False})
    yield cluster
    import ray

    ray.shutdown()
    cluster.shutdown()


def held(folder: Path, unit: int) -> int:
    """Begins in sight, and ends when it is let go."""
    (folder / f"begun-{unit}-{os.getpid()}").touch()
    until("leave to end", (folder / "go").exists, work_of(os.getppid()))
    return unit


@pytest.mark.parametrize("device", [False, True], ids=["without a model", "with a model"])
def test_lost_machine_is_told_and_the_next_one_works_or_the_run_ends(
    made: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, device: bool
) -> None:
    caplog.set_level(logging.INFO, "arot.waiting")
    machine = {**NODE, "num_gpus": int(device)}
    first = made.add_node(**machine)
    found: list[int] = []
    errors: list[ComputeError] = []

    def run(folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        try:
            for unit, _ in compute_of("ray", made.address).map(partial(held, folder), range(3), Needs(device=device)):
                found.append(unit)
        except ComputeError as error:
            errors.append(error)

    def lines(start: str) -> list[str]:
        return [r.getMessage() for r in caplog.records if r.getMessage().startswith(start)]

    def moves() -> object:
        return len(caplog.records), sorted(tmp_path.rglob("*"))

    (tmp_path / "a").mkdir()
    work = threading.Thread(target=run, args=[tmp_path / "a"], daemon=True)
    work.start()
    until(
        "the first unit",
        lambda: any((tmp_path / "a").glob("begun-*")),
        moves,
    )
    made.remove_node(first, allow_graceful=False)
    asked = f"a unit takes 1 core and {'1 GPU' if device else '0 GPUs'}; no machine of the Ray cluster has that now: "
    until(
        "a line",
        lambda: bool(lines(lookout.WAITING + asked)),
        moves,
    )
    assert "the run ends in 60 minutes unless one comes" in lines(lookout.WAITING + asked)[0]
    (tmp_path / "a" / "go").touch()
    second = made.add_node(**machine)
    until("the end of the run", lambda: not work.is_alive(), moves)
    assert sorted(found) == [0, 1, 2] and not errors
    assert lines(lookout.GOES_ON)
    monkeypatch.setenv("AROT_WAIT_MINUTES", "0.03")
    work = threading.Thread(target=run, args=[tmp_path / "b"], daemon=True)
    work.start()
    until(
        "the first unit",
        lambda: any((tmp_path / "b").glob("begun-*")),
        moves,
    )
    made.remove_node(second, allow_graceful=False)
    until("the end of the run", lambda: not work.is_alive(), moves)
    assert "for one unit for 0.03 minutes: there are machines with 0 cores and 0 GPUs; add such a machine" in str(
        errors[0]
    )


def meets(folder: Path, name: str) -> str:
    """Waits for the other one."""
    (folder / name).touch()
    until("the other one", lambda: len(list(folder.iterdir())) == 2, work_of(os.getppid()))
    return name


def test_two_trainings_on_a_cluster_of_two_gpus_are_made_at_the_same_time(
    made: Any, tmp_path: Path, resources: Resources
) -> None:
    for _ in range(2):
        made.add_node(**NODE, num_gpus=1)
    (tmp_path / "met").mkdir()
    cluster = compute_of("ray", made.address)
    assert len(cluster.nodes()) == 2

    def work_on(compute: Compute, name: str) -> None:
        assert [*compute.map(partial(meets, tmp_path / "met"), [name], Needs(device=True))] == [(name, name)]

    def train(r: Resources, _log: Any) -> dg.MaterializeResult[None]:
        work_on(r.compute, "one")
        return dg.MaterializeResult()

    given = {**dagster_resources(resources), "compute": cluster}
    with dg.instance_for_test(overrides={"concurrency": {"pools": {"default_limit": 1}}}) as instance:
        log = instance.event_log_storage
        log.initialize_concurrency_limit_to_default(GPU_POOL)
        assert log.claim_concurrency_slot(GPU_POOL, "the other training", "its step").is_claimed
        threading.Thread(target=work_on, args=[cluster, "other"], daemon=True).start()
        assert dg.materialize(
            [whole_asset(["one"], [], train, device=True)], instance=instance, resources=given
        ).success
    assert {file.name for file in (tmp_path / "met").iterdir()} == {"one", "other"}
