"""Running a process to its end, and what it took.

Belongs here: the child, its times and its memory. Does not belong here: what is run. Imports only the standard library: a child's
peak memory starts at that of its parent.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

MIB = 2**20


class Ended(NamedTuple):
    """A process that ended well: seconds of the clock and of CPU, its peak memory in MiB, what it printed."""

    seconds: float
    cpu: float
    mib: float
    text: str


def run(command: Sequence[str], environment: Mapping[str, str], folder: str | Path) -> Ended:
    """Run a process to its end.

    Raises:
        SystemExit: it failed.
    """
    with tempfile.TemporaryFile("w+") as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)[:300]} ended with {process.returncode}:\n{text[-3000:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Ended(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / MIB, text)
