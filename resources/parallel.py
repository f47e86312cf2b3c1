"""Processing many items in a few threads, in order, with bounded memory.

Belongs here: the only loop that feeds workers. What a worker does belongs to the rooms.
"""

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import Any, TypeVar

from resources.machine import Machine

A = TypeVar("A")
B = TypeVar("B")

THREADS_VARIABLE = "AROT_THREADS"
FETCH_THREADS_VARIABLE = "AROT_FETCH_THREADS"
FETCH_THREADS, FETCH_THREADS_PER_CORE = 32, 2
"""Threads that spend most of their time waiting for servers: enough for four hosts with eight requests each, and for all cores of
a large machine."""
WINDOW_PER_THREAD = 4
NICENESS = 4
"""Of threads that give way: two of them weigh less than one that does not, so that of two cores one is the other's (a step of
niceness is 1.25 times the weight, ``sched(7)``)."""
LEAVING_SECONDS = 5.0
"""How long a person who interrupts work waits for what threads are at: an image takes a fraction of it, a dead server minutes."""


def default_threads() -> int:
    """``$AROT_THREADS``, or the number of cores that this process may use (``machine.py``)."""
    return int(os.environ.get(THREADS_VARIABLE) or 0) or Machine().cores


def fetching_threads(far: bool) -> int | None:
    """Threads for work that starts with fetching: ``$AROT_FETCH_THREADS``, or ``FETCH_THREADS`` and on a large machine
    ``FETCH_THREADS_PER_CORE``; None (the default) for local files."""
    if not far:
        return None
    asked = int(os.environ.get(FETCH_THREADS_VARIABLE) or 0)
    return asked or max(FETCH_THREADS, FETCH_THREADS_PER_CORE * default_threads())


def ordered_map(
    work: Callable[[A], B],
    items: Iterable[A],
    threads: int | None = None,
    *,
    window: int | None = None,
    finish: bool = False,
    giving_way: bool = False,
) -> Generator[B, None, None]:
    """``map`` in threads: results in the order of the items, with at most a window of them in memory.

    Callers that may stop early must close it (``contextlib.closing``), since a traceback would keep it and its threads alive.
    Then no further item is started, and those in progress are waited for.

    Args:
        work: called in a thread for each item. What it raises is raised here when the item's turn comes.
        items: read only as fast as results are taken.
        threads: workers; default ``default_threads()``.
        window: items in progress, or finished and not yet taken; default ``WINDOW_PER_THREAD`` per worker.
        finish: if iteration stops early, wait as long as the threads take, so that nothing that follows collides with their
            work. Otherwise they are abandoned after ``LEAVING_SECONDS``.
        giving_way: the caller's results are computed with elsewhere in this process, and that goes first: where cores are
            scarce, workers that fill the window and then wait would leave cores idle.
    """
    count = threads or default_threads()
    pool = ThreadPoolExecutor(count, thread_name_prefix="arot", initializer=_give_way if giving_way else None)
    waiting: deque[Future[B]] = deque()

    def first() -> B:
        result = waiting[0].result()  # it is under way until then, which an interrupt must know
        waiting.popleft()
        return result

    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= (window or count * WINDOW_PER_THREAD):
                yield first()
        while waiting:
            yield first()
    finally:
        if finish:
            pool.shutdown(cancel_futures=True)
        else:
            leave(pool, waiting)


def _give_way() -> None:
    """Lower the priority of this thread, where threads have one: Linux."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)


def grouped(items: Iterable[A], count: int) -> Iterator[list[A]]:
    """Lists of at most ``count`` items, for work that takes less time than handing it to a thread."""
    rest = iter(items)
    while some := list(islice(rest, count)):
        yield some


def leave(pool: ThreadPoolExecutor, begun: Iterable[Future[Any]]) -> None:
    """Begin nothing more in a pool, and wait up to ``LEAVING_SECONDS`` for what its threads are at.

    Args:
        pool: nothing can be submitted to it afterwards.
        begun: what was submitted and may not be done.
    """
    pool.shutdown(wait=False, cancel_futures=True)
    if not wait([future for future in begun if not future.cancelled()], LEAVING_SECONDS).not_done:
        pool.shutdown()
