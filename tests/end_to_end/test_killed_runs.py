"""Runs whose process is gone are closed, so that nothing waits for them; others are left alone."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from arot_assets.cli.launch import PROCESS_TAG, SERVER_TAG, close_killed_runs


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance of its own."""
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def _started_run(instance: dg.DagsterInstance, **tags: str) -> str:
    @dg.job
    def work() -> None:
        pass

    run = instance.create_run_for_job(work, tags=tags, status=dg.DagsterRunStatus.STARTED)
    return run.run_id


def _status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def test_run_of_a_killed_ui_is_closed_and_one_of_a_living_ui_is_not(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    here, gone, stale = (str(tmp_path / name) for name in ("here", "gone", "stale"))
    with socket.socket(socket.AF_UNIX) as closed:
        closed.bind(stale)  # the file outlives a killed server
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(here)
        server.listen()
        runs = {p: _started_run(instance, **{SERVER_TAG: json.dumps({"socket": p})}) for p in (here, gone, stale)}
        remote = _started_run(instance, **{SERVER_TAG: json.dumps({"host": "elsewhere", "port": 4000})})
        assert sorted(close_killed_runs(instance)) == sorted([runs[gone], runs[stale]])
    assert _status(instance, runs[gone]) == dg.DagsterRunStatus.FAILURE
    assert _status(instance, runs[here]) == _status(instance, remote) == dg.DagsterRunStatus.STARTED


def test_run_of_a_killed_command_is_closed_and_one_of_a_living_command_is_not(instance: dg.DagsterInstance) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    name = os.uname().nodename
    dead = _started_run(instance, **{PROCESS_TAG: f"{name}:{process.pid}"})
    alive = _started_run(instance, **{PROCESS_TAG: f"{name}:{os.getpid()}"})
    elsewhere = _started_run(instance, **{PROCESS_TAG: f"not-{name}:{process.pid}"})
    assert close_killed_runs(instance) == [dead]
    assert _status(instance, alive) == _status(instance, elsewhere) == dg.DagsterRunStatus.STARTED
    assert close_killed_runs(instance) == []
