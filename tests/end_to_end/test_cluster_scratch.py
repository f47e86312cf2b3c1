"""On a node of a cluster, what a worker that was killed had in temporary folders is removed by the one that does its unit again."""

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from resources.compute import Compute, Needs
from resources.scratch import VARIABLE, WorkingFolder
from tests.end_to_end.conftest import cluster  # noqa: F401  # started after the variable is set

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What ``AROT_SCRATCH`` is in the environment of the nodes."""
    place = tmp_path_factory.mktemp("scratch")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(place))
        yield place


def dies_once_with_a_file(marker: Path, unit: str) -> list[str]:
    """The files of all temporary folders, of a unit whose worker is killed the first time while it writes one."""
    with WorkingFolder("export") as folder:
        (folder / unit).write_bytes(bytes(1000))
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return [str(file) for file in folder.parents[2].rglob(unit)]


def test_next_worker_of_a_node_removes_what_a_killed_one_left(scratch: Path, cluster: Compute, tmp_path: Path) -> None:
    marker = tmp_path / "died"
    ((_, found),) = list(cluster.map(partial(dies_once_with_a_file, marker), ["a.tar"], Needs()))
    assert marker.exists() and len(found) == 1 and found[0].startswith(str(scratch))
    assert not list(scratch.rglob("a.tar"))
