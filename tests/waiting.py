"""Waiting in tests: as long as something moves, however slow the machine; an error once nothing has moved for a while.

Belongs here: the ways in which tests wait for processes and conditions. A test names no number of seconds of its own: a
machine five times slower, or loaded, must give the same answer.
"""

import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import psutil

from tests.prepared.python import Forked

T = TypeVar("T")

STALL_SECONDS = 120.0
"""How long nothing may move. What is waited for uses the CPU, prints, or writes far more often than that."""
POLL_SECONDS = 0.02
LOOK_SECONDS = 2.0
"""How often it is seen whether anything moves: to read the work of all processes costs milliseconds, which are theirs."""


def until(
    what: str,
    condition: Callable[[], T],
    moves: Callable[[], Any],
    *,
    poll: float = POLL_SECONDS,
    told: Callable[[], str] = str,
) -> T:
    """Poll until a condition gives something true, and give it.

    Args:
        what: what is waited for, for the error.
        condition: asked again and again.
        moves: any value that changes while the work goes on (``work_of`` a process); the wait ends when it stands still.
            It is looked at every ``LOOK_SECONDS``.
        poll: seconds between two looks.
        told: more text for the error.

    Raises:
        AssertionError: nothing moved for ``STALL_SECONDS``.
    """
    last, since = None, time.monotonic()
    look = since + LOOK_SECONDS
    while not (found := condition()):
        if time.monotonic() >= look:
            now = moves()
            if now != last:
                last, since = now, time.monotonic()
            elif time.monotonic() - since > STALL_SECONDS:
                raise AssertionError(f"{what}: nothing has moved for {STALL_SECONDS:.0f} s\n{told()}")
            look = time.monotonic() + LOOK_SECONDS
        time.sleep(poll)
    return found


def work_of(pid: int) -> Callable[[], Any]:
    """A measure of the work of a process and its children: their CPU time in tenths of a second, and bytes written."""

    def measure() -> tuple[int, ...]:
        with suppress(psutil.Error):
            parent = psutil.Process(pid)
            seconds = written = 0.0
            for process in (parent, *parent.children(recursive=True)):
                with suppress(psutil.Error):
                    times = process.cpu_times()
                    seconds += times.user + times.system + times.children_user + times.children_system
                    written += process.io_counters().write_chars
            return round(seconds * 10), round(written)
        return ()

    return measure


def finish(process: "subprocess.Popen[str] | Forked", helpers: Callable[[], Any] = tuple) -> str:
    """Wait for the end of a process whose output is piped; returns what it printed.

    Args:
        process: it, and its children, work or print.
        helpers: the work of other processes that it may wait for.

    Raises:
        AssertionError: it neither worked nor printed for ``STALL_SECONDS``; it is killed then.
    """
    assert process.stdout is not None
    stream = process.stdout
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(iter(stream.readline, "")), daemon=True)
    reader.start()
    work = work_of(process.pid)
    try:
        until(
            f"{process.args!r}",
            lambda: process.poll() is not None,
            lambda: (work(), len(lines), helpers()),
            told=lambda: "".join(lines),
        )
    except AssertionError:
        process.kill()
        raise
    reader.join()
    stream.close()
    return "".join(lines)


def kill_when(
    process: "subprocess.Popen[str] | Forked", moment: Callable[[], object], poll: float = POLL_SECONDS
) -> str:
    """Kill a process at a moment, or see it end before; gives what it printed. ``poll`` is the seconds between two looks for the
    moment."""
    until("the moment to kill at", lambda: process.poll() is not None or moment(), work_of(process.pid), poll=poll)
    process.kill()
    return process.communicate()[0] or ""


def run(
    command: list[str], *, helpers: Callable[[], Any] = tuple, **options: Any
) -> "subprocess.CompletedProcess[str]":
    """``subprocess.run`` with standard output and errors in one text, which waits as ``finish`` does."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    output = finish(process, helpers)
    return subprocess.CompletedProcess(command, process.returncode, output, "")
