"""A Python process forked from the prepared one, held as a ``subprocess.Popen`` is held.

Belongs here: starting the prepared process, with the first command of a run of pytest; commands in it.
"""

import fcntl
import functools
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import psutil

from tests.prepared.ask import ask

HERE = Path(__file__).parent
OF_TESTS = ("AROT_", "AWS_", "DAGSTER_", "HF_", "PYTHONPATH")
"""Variables that differ from command to command: the prepared process has none of them."""


class Forked:
    """A running command: the part of ``subprocess.Popen`` that tests use.

    Attributes:
        args: the arguments of the interpreter.
        pid: its process id.
        stdout: what it prints, errors included, when that is piped.
        returncode: None until its end has been seen; negative after a signal.
    """

    def __init__(self, args: Sequence[str], pid: int, connection: socket.socket, stdout: TextIO | None) -> None:
        self.args = list(args)
        self.pid = pid
        self.stdout = stdout
        self.returncode: int | None = None
        self._connection = connection

    def poll(self) -> int | None:
        """The exit status, None as long as it runs."""
        return self._end(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end.

        Raises:
            subprocess.TimeoutExpired: it did not come in time.
        """
        status = self._end(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return status

    def communicate(self) -> tuple[str, None]:
        """Wait for the end; returns what it printed."""
        text = ""
        if self.stdout is not None:
            with self.stdout as stdout:
                text = stdout.read()
        self.wait()
        return text, None

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it, unless it has ended."""
        self.send_signal(signal.SIGKILL)

    def _end(self, seconds: float | None) -> int | None:
        if self.returncode is None and select.select([self._connection], [], [], seconds)[0]:
            with self._connection as connection:
                self.returncode = int(connection.recv(100))
        return self.returncode


@functools.cache
def prepared_process() -> Path:
    """The socket of the prepared process, which all processes of one run of pytest share.

    Raises:
        RuntimeError: it did not get ready.
    """
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    owner = os.getppid() if run else os.getpid()
    name = run or f"{owner}-{psutil.Process().create_time():.0f}"  # a process id comes again
    folder = Path(tempfile.gettempdir()) / f"prepared-{name}"
    for other in folder.parent.glob("prepared-*"):
        _remove_if_left(other)
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "socket"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            process = subprocess.Popen(
                [sys.executable, str(HERE / "server.py"), str(path), str(owner)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={k: v for k, v in os.environ.items() if not k.startswith(OF_TESTS)},
                cwd=folder,
                text=True,
            )
            assert process.stdout is not None
            if (said := process.stdout.readline()) != "ready\n":
                raise RuntimeError(f"the prepared process: {said}{process.stdout.read()}")
    return path


def _remove_if_left(folder: Path) -> None:
    """Remove the folder of a prepared process that was killed, unless it is somebody else's, or its process is being started."""
    with suppress(OSError), (folder / "lock").open("r+") as lock, socket.socket(socket.AF_UNIX) as connection:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            connection.connect(str(folder / "socket"))
        except ConnectionRefusedError:
            shutil.rmtree(folder)


def start(
    arguments: Sequence[str], folder: str | Path, environment: Mapping[str, str], streams: Sequence[int] | None = None
) -> Forked:
    """Start ``python ARGUMENTS``, with nothing to read.

    Args:
        arguments: of the interpreter.
        folder: where it runs.
        environment: all of its variables.
        streams: descriptors of its standard output and errors; None pipes both into ``stdout``.
    """
    path = prepared_process()
    with open(os.devnull) as nothing:
        if streams is not None:
            pid, connection = ask(str(path), arguments, str(folder), environment, (nothing.fileno(), *streams))
            return Forked(arguments, pid, connection, None)
        reading, writing = os.pipe()
        try:
            pid, connection = ask(str(path), arguments, str(folder), environment, (nothing.fileno(), writing, writing))
        finally:
            os.close(writing)
        return Forked(arguments, pid, connection, open(reading))


def run(
    arguments: Sequence[str], folder: str | Path, environment: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    """``python ARGUMENTS`` to its end, with standard output and errors apart."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        status = start(arguments, folder, environment, (out.fileno(), errors.fileno())).wait()
        out.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(list(arguments), status, out.read(), errors.read())


def stand_in(program: Path, *arguments: str) -> None:
    """Write a program that is ``python ARGUMENTS …`` for a shell, forked from the prepared process."""
    program.write_text(
        f"#!{sys.executable} -IS\nimport sys\nsys.path.insert(0, {str(HERE.parents[1])!r})\n"
        f"from tests.prepared.shell import main\n"
        f"main({str(prepared_process())!r}, [*{list(arguments)!r}, *sys.argv[1:]])\n"
    )
    program.chmod(0o755)


def prepared_process_id() -> int:
    """The id of the prepared process: all commands are its children."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(prepared_process()))
        size = struct.calcsize("3i")
        process, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(process)
