"""Keeping the memory of a pass bounded, however large its files are.

Belongs here: how much may be decoded at one time. Does not belong here: what a file takes (``View.cost``), the
pass itself (``one_pass.py``), asking the system (``resources.machine``, ``resources.memory``).

What a process already holds (PyTorch alone is hundreds of megabytes) counts: the views in flight get what is left of
``$AROT_MEMORY_MB``. One is always let in, so a small limit makes a run slower, never impossible.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from resources.machine import Machine
from resources.memory import resident_bytes
from resources.parallel import THREADS_VARIABLE

MEMORY_VARIABLE = "AROT_MEMORY_MB"
DAGSTER = 750_000_000
"""Bytes of `arot ui` without its runs: page, daemon and code server (measured: 740 MB)."""
SHARE_OF_MACHINE = 0.5
"""Default of ``$AROT_MEMORY_MB`` (10^6 bytes) as a share of what the machine or the container has beside ``DAGSTER``: two runs
at a time, as many as `arot ui` starts, fit together."""

RESERVE = 120_000_000
"""For everything besides pixels: a model's buffers (90 MB for 4 images), rows of results, file contents."""


class MemoryBudget:
    """Lets views in as long as what those in flight take stays below a limit.

    Args:
        size: the limit in bytes; default what ``$AROT_MEMORY_MB`` leaves beside what the process holds now.
    """

    def __init__(self, size: int | None = None) -> None:
        self.size = _left() if size is None else size
        self._used = 0
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Wait until so many bytes are free, or until nothing is in flight; give them back at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._used == 0 or self._used + size <= self.size)
            self._used += size
        try:
            yield
        finally:
            with self._changed:
                self._used -= size
                self._changed.notify_all()


def _left() -> int:
    return max(0, memory_limit() - resident_bytes() - RESERVE)


def memory_limit() -> int:
    """Bytes that a process which decodes may hold: ``$AROT_MEMORY_MB``, or ``SHARE_OF_MACHINE``, and of that only as much as it
    uses of the cores: several units that a machine works on at once share both."""
    own = int(os.environ.get(MEMORY_VARIABLE) or 0) * 1_000_000
    machine = Machine()
    threads = int(os.environ.get(THREADS_VARIABLE) or 0) or machine.cores
    return own or int(SHARE_OF_MACHINE * max(0, machine.memory - DAGSTER) * min(1.0, threads / machine.cores))
