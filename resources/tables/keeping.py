"""When finished rows are kept: regularly while work goes on, and at the end of work that is stopped.

Belongs here: the clock. Does not belong here: where rows are kept (``unfinished.py``), which rows those are (the rooms).
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

KEEP_SECONDS = 30.0
"""Finished rows are saved at least this often, so that a killed process loses less than a minute of work."""


class Keeping:
    """Saves what is finished every ``KEEP_SECONDS``, in a thread: one slow file that nothing finishes after delays no saving.

    Args:
        keep: saves what was finished since its last call. It is never called while something is being added, nor twice at once.
    """

    def __init__(self, keep: Callable[[], None]) -> None:
        self._keep = keep
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="arot-keeping", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End; if the work was stopped, what is finished is saved once more."""
        self._over.set()
        self._thread.join()
        if error is not None:
            self._keep()

    @contextmanager
    def adding(self) -> Iterator[None]:
        """While a finished row is added.

        Raises:
            Exception: whatever the last saving failed with, such as a ``StorageError`` of a full disk.
        """
        with self._lock:
            if self._error is not None:
                raise self._error
            yield

    def _run(self) -> None:
        while not self._over.wait(KEEP_SECONDS):
            with self._lock:
                try:
                    self._keep()
                except Exception as error:  # raised where the work goes on
                    self._error = error
                    return
