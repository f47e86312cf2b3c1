"""Ctrl-C is not lost.

Python runs a signal's handler between any two instructions of the main thread, also within a finalizer or the callback of a
weak reference. What is raised there is printed and dropped, and the work goes on. Training does this to every other
Ctrl-C, because it makes and drops many tensors.

Belongs here: sending such an interrupt again. Does not belong here: what a command does once it is stopped (``main.py``).
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

INTERRUPTS = frozenset({"KeyboardInterrupt", "DagsterExecutionInterruptedError"})
"""What the handlers of Python and of Dagster raise, by name: Dagster is not loaded for this."""
AGAIN_SECONDS = 0.05
"""Time to leave the finalizer."""


@contextmanager
def interrupts_kept() -> Iterator[None]:
    """Meanwhile an interrupt that a finalizer dropped is sent again, until it arrives elsewhere."""
    before = sys.unraisablehook

    def hook(dropped: Any) -> None:
        if dropped.exc_type.__name__ not in INTERRUPTS:
            before(dropped)
            return
        returning = threading.Event()
        threading.Thread(target=_send_again, args=(returning,), daemon=True).start()
        returning.set()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def _send_again(returning: threading.Event) -> None:
    returning.wait()  # what arrives within the hook would be dropped as well
    time.sleep(AGAIN_SECONDS)
    os.kill(os.getpid(), signal.SIGINT)
