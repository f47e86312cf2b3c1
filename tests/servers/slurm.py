"""A job of Slurm on loopback: the batch script as it is, with stand-ins for what only a machine with Slurm has.

Belongs here: ``srun`` and ``scontrol``, the variables of a job, what a job's end means. Does not belong here: what the script does.

``srun`` starts its task on this machine and becomes it, so that a signal to the one reaches the other, as Slurm hands it on. All else is
real: the script, Ray, ``arot``.
"""

import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from tests.servers.ray_nodes import PATIENT, importable
from tests.waiting import until

FIRST_PORT, PORTS = 20000, 10000
"""Of which the script takes two, by the number of the job."""
SRUN = """#!/bin/bash
asked="$*"
while [[ $1 == -* ]]; do
    [[ $1 == --nodelist=* ]] && node=${1#*=}
    shift
done
echo "$asked" >>"$STAND_IN/steps"
[[ $node == "${STAND_IN_BARE:-}" ]] && export PATH=/usr/bin:/bin # a node without the environment
[[ $node == "${STAND_IN_BUSY:-}" ]] && exec sleep infinity # a node that the step waits for
export SLURMD_NODENAME=$node
exec "$@"
"""
SCONTROL = """#!/bin/bash
[[ $1 == show && $2 == hostnames && $3 == "$SLURM_JOB_NODELIST" ]] || exit 1
printf '%s\\n' $STAND_IN_NODES
"""


class Job:
    """One job; what is left of it is killed when the block ends.

    Args:
        script: the batch script.
        arguments: of it.
        nodes: addresses of loopback that stand for nodes, the first among them where the script runs.
        environment: what the job's owner has in his.
        bare: a node where nothing is installed.
        busy: a node where no step begins.

    Attributes:
        process: the batch script.
    """

    def __init__(
        self,
        script: Path,
        arguments: Sequence[str],
        nodes: Sequence[str],
        environment: dict[str, str],
        bare: str = "",
        busy: str = "",
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="arot-job-", ignore_cleanup_errors=True)
        folder = Path(self._folder.name)
        programs = folder / "bin"
        programs.mkdir()
        python = shlex.quote(sys.executable)
        own = {"python": python, "ray": f"{python} -m ray.scripts.scripts", "arot": f"{python} -m arot_assets.cli"}
        texts = {"srun": SRUN, "scontrol": SCONTROL}
        for name, text in (texts | {name: f'#!/bin/bash\nexec {what} "$@"\n' for name, what in own.items()}).items():
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        self._number = str((_free_port() - FIRST_PORT) // 2)
        self.environment = {
            **environment,
            **PATIENT,
            "PYTHONPATH": importable(),
            "PATH": f"{programs}:{environment['PATH']}",
            "HOME": str(folder),
            "RAY_TMPDIR": str(folder),
            "SLURM_JOB_ID": self._number,
            "SLURM_JOB_NODELIST": f"node[1-{len(nodes)}]",
            "SLURM_CPUS_PER_TASK": "1",
            "STAND_IN": str(folder),
            "STAND_IN_NODES": " ".join(nodes),
            "STAND_IN_BARE": bare,
            "STAND_IN_BUSY": busy,
        }
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                ["/bin/bash", str(script), *arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_as_slurm_starts_it,
            )

    def __enter__(self) -> "Job":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes():
            with suppress(psutil.Error):
                process.kill()
        self.process.kill()
        self.process.wait()
        self._folder.cleanup()

    @property
    def said(self) -> str:
        """What the job's log has."""
        return self._log.read_text(errors="replace")

    @property
    def steps(self) -> list[str]:
        """What ``srun`` was asked for, step by step."""
        file = Path(self._folder.name, "steps")
        return file.read_text().splitlines() if file.exists() else []

    def processes(self, node: str = "") -> list[psutil.Process]:
        """Every process of the job, or of a step on a node, that has not ended."""
        wanted = {"SLURM_JOB_ID": self._number} | ({"SLURMD_NODENAME": node} if node else {})
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if wanted.items() <= process.environ().items() and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def warn(self) -> None:
        """What ``--signal=B:INT@…`` sends before the time is over: SIGINT for the batch script alone."""
        self.process.send_signal(signal.SIGINT)

    def cancel(self) -> None:
        """What ``scancel`` sends: SIGTERM for all processes of the job."""
        for process in self.processes():
            with suppress(psutil.Error):
                process.send_signal(signal.SIGTERM)

    def kill_node(self, node: str) -> None:
        """Kill the processes of a node's step."""
        for process in self.processes(node):
            with suppress(psutil.Error):
                process.kill()

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        until("the job", lambda: self.process.poll() is not None, self._moves, poll=0.2, told=lambda: self.said)
        return int(self.process.returncode)

    def wait_for(self, text: str) -> None:
        """Until its log has a text."""
        until(text, lambda: text in self.said or self.process.poll() is not None, self._moves, told=lambda: self.said)
        assert text in self.said, self.said

    def _moves(self) -> object:
        times = []
        for process in self.processes():
            with suppress(psutil.Error):
                times.append(round(sum(process.cpu_times()[:2]), 1))
        return times, len(self.said)


def _as_slurm_starts_it() -> None:
    """Tests that a script runs in its background have SIGINT ignored, and bash cannot trap what is ignored when it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _free_port() -> int:
    """The first of two that the script may take, and that are free."""
    for port in range(FIRST_PORT + os.getpid() % PORTS // 2 * 2, FIRST_PORT + PORTS, 2):
        with (
            suppress(OSError),
            socket.create_server(("127.0.0.1", port)),
            socket.create_server(("127.0.0.1", port + 1)),
        ):
            return port
    raise AssertionError("no port is free")
