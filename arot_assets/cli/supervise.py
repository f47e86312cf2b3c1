"""Running a program of several processes in the foreground, so that all of them end together: on request, and with the parent.

Belongs here: signals and process groups. Does not belong here: what is started (``ui.py``).

A command that a script starts in the background inherits an ignored SIGINT, and is orphaned if the script is killed: it
can then not be interrupted, and runs on unnoticed. Therefore signals are handled here whatever was inherited, and the
parent is watched.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType

LOOK_SECONDS = 0.5
ORDERLY_SECONDS = 30.0
"""Time for Dagster to end its runs and servers after being asked to."""
SUDDEN_SECONDS = 5.0
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PR_SET_PDEATHSIG = 1


def supervise(
    command: Sequence[str], say: Callable[[str], object], meanwhile: Callable[[], object] = lambda: None
) -> int:
    """Run a program to its end, in its own process group.

    SIGINT, SIGTERM, SIGHUP (unless ignored, as under ``nohup``) and the end of the parent process end it: it is interrupted, and
    killed if that does not help. A second signal kills it at once.

    Args:
        command: the program and its arguments.
        say: called with a line for the user.
        meanwhile: called between two looks, while the program runs.

    Returns:
        The program's exit status; 0 if it ended on request.
    """
    asked: list[int] = []

    def ask(number: int, _frame: FrameType | None) -> None:
        asked.append(number)

    outlives = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    parent = os.getppid()
    before = {n: signal.signal(n, ask) for n in ENDING if not (n == signal.SIGHUP and outlives)}
    child = subprocess.Popen(command, start_new_session=True, preexec_fn=_interrupted_with_us)
    try:
        while child.poll() is None and not asked:
            if not outlives and os.getppid() != parent:
                say(
                    "the process that started this one has ended, so this one ends too; start it with nohup to keep it running"
                )
                break
            time.sleep(LOOK_SECONDS)
            meanwhile()
        if child.poll() is not None:
            return child.returncode
        child.send_signal(signal.SIGINT)
        return 0 if _wait(lambda: child.poll() is not None, ORDERLY_SECONDS, asked) else 128 + signal.SIGKILL
    finally:
        _end_group(child, asked)
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_group(child: "subprocess.Popen[bytes]", asked: list[int]) -> None:
    """End what remains of a program: its runs are interrupted, so that they can record it, and then killed."""
    if _signal_group(child, signal.SIGINT):
        _wait(lambda: not _signal_group(child, 0), SUDDEN_SECONDS, asked)
    _signal_group(child, signal.SIGKILL)
    child.wait()


def _wait(ended: Callable[[], bool], seconds: float, asked: list[int]) -> bool:
    """Wait for the end, until a deadline or another signal; returns whether it came."""
    before, deadline = len(asked), time.monotonic() + seconds
    while not ended():
        if time.monotonic() > deadline or len(asked) > before:
            return False
        time.sleep(LOOK_SECONDS / 5)
    return True


def _signal_group(child: "subprocess.Popen[bytes]", number: int) -> bool:
    """Send a signal to all remaining processes of a program; returns whether there are any."""
    child.poll()  # a zombie of ours would count as left
    try:
        os.killpg(child.pid, number)
    except ProcessLookupError:
        return False
    return True


def _interrupted_with_us() -> None:
    """Called in the child before it becomes the program: have it interrupted if this process is killed. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)
