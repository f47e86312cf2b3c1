"""A Ray cluster of several nodes on loopback, each in a session of its own, as if it were a machine; nodes can be killed.

Belongs here: starting, killing and replacing nodes. Does not belong here: work on them.

Nothing of Ray runs in the process that uses this: a node that Ray's own ``Cluster`` starts makes that process the leader of a group,
which Ray's reaper ends (SIGTERM) when a node fails to start.
"""

import os
import random
import secrets
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil

from tests.conftest import REPOSITORY
from tests.servers.swift import free_ports
from tests.waiting import until, work_of

STARTED = "Ray runtime started."
STARTS = 5
"""How often a node may be begun that ends before it is there: Ray gives its raylet 30 s, which a loaded machine may exceed."""
PATIENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_health_check_initial_delay_ms": "60000",
    "RAY_health_check_period_ms": "5000",
    "RAY_health_check_timeout_ms": "60000",
    "RAY_health_check_failure_threshold": "20",
    "RAY_agent_register_timeout_ms": "600000",
    "RAY_worker_register_timeout_seconds": "600",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "600",
    "RAY_gcs_server_request_timeout_seconds": "300",
    "RAY_memory_monitor_refresh_ms": "0",
}
"""Ray's settings for a machine that has other work too: slow is not dead, and memory that others fill is no reason to kill a worker."""


AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")
"""Of a raylet's children, those that are no workers: it ends with them, so to kill one is to kill the node."""


class Node:
    """``ray start --block`` with all that it starts.

    Args:
        name: for its log.
        folder: where the log and Ray's own files go; its path is short (sockets).
        arguments: of ``ray start``.
        environment: of its processes.

    Attributes:
        raylet: the process that starts workers.
    """

    def __init__(self, name: str, folder: Path, arguments: list[str], environment: dict[str, str]) -> None:
        self._log = folder / f"{name}.log"
        self._command = [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--node-ip-address=127.0.0.1"),
            *("--dashboard-agent-listen-port=0", "--include-log-monitor=false", *arguments),
        ]
        for _ in range(STARTS):
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    self._command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
                )
            until(name, self._answered, work_of(self._process.pid), poll=0.1, told=self._said)
            if self._process.poll() is None and (raylet := self._find_raylet()):
                self.raylet = raylet
                return
            self.kill()
        raise AssertionError(f"{name} did not start {STARTS} times: {self._said()}")

    @property
    def lives(self) -> bool:
        """Whether its raylet does; ``ray start`` itself stays when a raylet ends in good order, as it does without its agents."""
        try:
            return self.raylet.is_running() and self.raylet.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def kill(self) -> None:
        """Kill all of its processes."""
        for process in self._processes():
            with suppress(psutil.Error):
                process.kill()
        self._process.kill()
        self._process.wait()

    def _processes(self) -> list[psutil.Process]:
        """Every process of its session."""
        return [one for one in psutil.process_iter() if _session(one.pid) == self._process.pid]

    def _answered(self) -> bool:
        return self._process.poll() is not None or STARTED in self._said()

    def _find_raylet(self) -> psutil.Process | None:
        return next((one for one in self._processes() if _name(one) == "raylet"), None)

    def _said(self) -> str:
        return self._log.read_text(errors="replace")[-3000:]


class Nodes:
    """Nodes of one core, of which all but the head may be killed.

    Args:
        number: of nodes, the head among them.

    Attributes:
        environment: the variables with which a driver finds the cluster; the same after ``mend``.
    """

    def __init__(self, number: int = 3) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="arot-ray-", ignore_cleanup_errors=True)
        (self._port,) = free_ports(1)
        self.environment = {
            "RAY_ADDRESS": f"127.0.0.1:{self._port}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
        }
        self._number, self._names = number, 0
        self._head: Node | None = None
        self._others: list[Node] = []
        try:
            self._begin()
        except BaseException:
            self.stop()
            raise

    def lost(self) -> str:
        """What is gone that nobody killed: ``head``, ``node``, or nothing."""
        if self._head is None or not self._head.lives:
            return "head"
        return "" if all(node.lives for node in self._others) else "node"

    def mend(self) -> None:
        """Another cluster in place of one without a head, else other nodes in place of those that are gone."""
        if self.lost() == "head":
            self._end()
            self._begin()
        for node in [node for node in self._others if not node.lives]:
            self._replace(node)

    def kill_worker(self, chance: random.Random) -> bool:
        """Kill a process that works on a unit; False where there is none."""
        raylets = {node.raylet.pid for node in self._all()}
        workers = [process for process in psutil.process_iter() if _is_worker(process, raylets)]
        if workers:
            chance.choice(workers).kill()
        return bool(workers)

    def kill_raylet(self, chance: random.Random) -> None:
        """Kill a node that is not the head, its raylet first, and add another."""
        node = chance.choice(self._others)
        with suppress(psutil.NoSuchProcess):  # it may have ended by itself
            node.raylet.kill()
        self._replace(node)

    def stop(self) -> None:
        """End all nodes."""
        self._end()
        self._folder.cleanup()

    def _begin(self) -> None:
        self._head = self._start("head", "--head", f"--port={self._port}", "--include-dashboard=false")
        for _ in range(self._number - 1):
            self._others.append(self._add())

    def _end(self) -> None:
        for node in reversed(self._all()):
            node.kill()
        self._head, self._others = None, []

    def _all(self) -> list[Node]:
        return [*([self._head] if self._head else []), *self._others]

    def _replace(self, node: Node) -> None:
        node.kill()
        self._others.remove(node)
        self._others.append(self._add())

    def _add(self) -> Node:
        return self._start("node", f"--address={self.environment['RAY_ADDRESS']}")

    def _start(self, name: str, *arguments: str) -> Node:
        self._names += 1
        folder = Path(self._folder.name)
        size = ("--num-cpus=1", "--object-store-memory=80000000", f"--temp-dir={folder}")
        environment = {**os.environ, **self.environment, **PATIENT, "PYTHONPATH": importable()}
        del environment["RAY_ADDRESS"]  # `ray start` has its own way to be told
        return Node(f"{name}-{self._names}", folder, [*arguments, *size], environment)


def importable() -> str:
    """``PYTHONPATH`` of processes that import arot from here, and Ray from where this process has it."""
    return os.pathsep.join(p for p in (str(REPOSITORY), os.environ.get("PYTHONPATH")) if p)


def _is_worker(process: psutil.Process, raylets: set[int]) -> bool:
    """Whether it is a process of one of these nodes that works, or did, on a unit."""
    try:
        title = "".join(process.cmdline())
        works = title.startswith("ray::") and not title.startswith((*AGENTS, "ray::IDLE"))
        return works and process.ppid() in raylets
    except psutil.Error:
        return False


def _name(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return process.name()
    return ""


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0
