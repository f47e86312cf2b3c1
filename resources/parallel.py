"""Many items through a few threads, in order, with bounded memory.

Belongs here: the one loop that feeds workers. What a worker does belongs to the rooms.
"""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

A = TypeVar("A")
B = TypeVar("B")

THREADS_VARIABLE = "AROT_THREADS"
FETCH_THREADS_VARIABLE = "AROT_FETCH_THREADS"
FETCH_THREADS = 32
"""Threads that spend most of their time waiting for servers; enough for four hosts with eight requests each."""
WINDOW_PER_THREAD = 4
LEAVING_SECONDS = 5.0
"""How long a person who interrupts work waits for what threads are at: an image takes a fraction of it, a dead server minutes."""


def default_threads() -> int:
    """``$AROT_THREADS``, or the cores that this process may use."""
    return int(os.environ.get(THREADS_VARIABLE) or 0) or len(os.sched_getaffinity(0))


def fetching_threads(far: bool) -> int | None:
    """Threads for work that fetches first: ``$AROT_FETCH_THREADS`` or ``FETCH_THREADS``; None (the default) for local files."""
    return (int(os.environ.get(FETCH_THREADS_VARIABLE) or 0) or FETCH_THREADS) if far else None


def ordered_map(
    work: Callable[[A], B],
    items: Iterable[A],
    threads: int | None = None,
    *,
    window: int | None = None,
    finish: bool = False,
) -> Generator[B, None, None]:
    """``map`` in threads: results in the order of the items, at most a window of them held.

    Whoever may leave it early closes it (``contextlib.closing``): a traceback would keep it, and its threads, alive. Then no
    further item begins, and those under way are waited for.

    Args:
        work: called in a thread for each item. What it raises is raised here, in the item's turn.
        items: read only as fast as results are taken.
        threads: workers; default ``default_threads()``.
        window: items under way, or done and not taken; default ``WINDOW_PER_THREAD`` for each worker.
        finish: when it is left early, wait however long the threads take: what comes next must not meet them. Otherwise they
            are given up after ``LEAVING_SECONDS``.
    """
    count = threads or default_threads()
    pool = ThreadPoolExecutor(count, thread_name_prefix="arot")
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


def leave(pool: ThreadPoolExecutor, begun: Iterable[Future[Any]]) -> None:
    """Begin nothing more in a pool, and wait up to ``LEAVING_SECONDS`` for what its threads are at.

    Args:
        pool: nothing can be submitted to it afterwards.
        begun: what was submitted and may not be done.
    """
    pool.shutdown(wait=False, cancel_futures=True)
    if not wait([future for future in begun if not future.cancelled()], LEAVING_SECONDS).not_done:
        pool.shutdown()
