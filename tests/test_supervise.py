"""A program that was started in front ends as one: when it is asked to, and with whoever started it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from arot_assets.cli.supervise import LOOK_SECONDS
from tests.conftest import REPOSITORY

PROGRAM = """
import pathlib, subprocess, sys, time
folder, stubborn = pathlib.Path(sys.argv[1]), sys.argv[2] == "stubborn"
child = subprocess.Popen(["sleep", "600"])
(folder / "pids.part").write_text(f"{__import__('os').getpid()} {child.pid}")
(folder / "pids.part").rename(folder / "pids")
while True:
    try:
        time.sleep(600)
    except KeyboardInterrupt:
        if not stubborn:
            sys.exit(0)
        (folder / "asked").touch()
"""
SUPERVISOR = """
import os, sys
from arot_assets.cli.supervise import supervise
with open(sys.argv[1] + "/supervisor", "w") as file:
    file.write(str(os.getpid()))
sys.exit(supervise([sys.executable, "-c", sys.argv[2], *sys.argv[1:2], *sys.argv[3:]], print))
"""


def script(folder: Path, how: str = "orderly", hangup: signal.Handlers = signal.SIG_DFL) -> "subprocess.Popen[bytes]":
    """A script that starts the supervisor in its background, as ``arot ui &`` does: with an ignored SIGINT.

    Args:
        folder: for its files.
        how: how the program takes an interrupt.
        hangup: what the script inherits for SIGHUP, whatever these tests were started with; ignored under ``nohup``.
    """
    (folder / "supervise.py").write_text(SUPERVISOR)
    (folder / "program.py").write_text(PROGRAM)
    text = f'"{sys.executable}" supervise.py "{folder}" "$(cat program.py)" {how} & wait $!; echo $? > status'
    process = subprocess.Popen(
        ["bash", "-c", text],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        preexec_fn=lambda: signal.signal(signal.SIGHUP, hangup),
    )
    until_there(folder / "pids")
    return process


def until_there(path: Path) -> None:
    """Wait for a file; the test's own time limit is what ends a hang."""
    while not path.exists():
        time.sleep(0.05)


def until_gone(folder: Path) -> None:
    """Wait until the program and its child have ended."""
    for pid in map(int, (folder / "pids").read_text().split()):
        while _runs(pid):
            time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def supervisor(folder: Path) -> int:
    return int((folder / "supervisor").read_text())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_background_of_a_script_takes_signals(tmp_path: Path, number: signal.Signals) -> None:
    process = script(tmp_path)
    os.kill(supervisor(tmp_path), number)
    process.wait()
    until_gone(tmp_path)
    assert (tmp_path / "status").read_text() == "0\n"


def test_it_does_not_outlive_the_script_that_started_it(tmp_path: Path) -> None:
    process = script(tmp_path)
    process.kill()
    process.wait()
    until_gone(tmp_path)


def test_under_nohup_it_outlives_terminal_and_script(tmp_path: Path) -> None:
    process = script(tmp_path, hangup=signal.SIG_IGN)
    os.kill(supervisor(tmp_path), signal.SIGHUP)
    process.kill()
    process.wait()
    time.sleep(3 * LOOK_SECONDS)
    program, _ = map(int, (tmp_path / "pids").read_text().split())
    assert _runs(program)
    os.kill(supervisor(tmp_path), signal.SIGTERM)
    until_gone(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent was killed")
def test_it_does_not_outlive_its_supervisor(tmp_path: Path) -> None:
    process = script(tmp_path)
    program, _ = map(int, (tmp_path / "pids").read_text().split())
    os.kill(supervisor(tmp_path), signal.SIGKILL)
    process.wait()
    while _runs(program):
        time.sleep(0.05)
    os.kill(int((tmp_path / "pids").read_text().split()[1]), signal.SIGKILL)  # of a program that leaves children behind


def test_second_signal_kills_at_once(tmp_path: Path) -> None:
    process = script(tmp_path, "stubborn")
    os.kill(supervisor(tmp_path), signal.SIGTERM)
    until_there(tmp_path / "asked")
    os.kill(supervisor(tmp_path), signal.SIGTERM)
    process.wait()
    until_gone(tmp_path)
    assert (tmp_path / "status").read_text() == "137\n"


def test_exit_status_of_the_program_is_kept(tmp_path: Path) -> None:
    code = f"import sys\nfrom arot_assets.cli.supervise import supervise\nsys.exit(supervise([{sys.executable!r}, '-c', 'raise SystemExit(3)'], print))"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 3
