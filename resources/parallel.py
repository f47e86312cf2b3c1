"""Many items through a few threads, in order, with bounded memory.

Belongs here: the one loop that feeds workers. What a worker does belongs to the rooms.
"""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")

THREADS_VARIABLE = "AROT_THREADS"
FETCH_THREADS_VARIABLE = "AROT_FETCH_THREADS"
FETCH_THREADS = 32
"""Threads that spend most of their time waiting for servers; enough for four hosts with eight requests each."""
WINDOW_PER_THREAD = 4


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

    Args:
        work: called in a thread for each item. What it raises is raised here, in the item's turn.
        items: read only as fast as results are taken.
        threads: workers; default ``default_threads()``.
        window: items under way, or done and not taken; default ``WINDOW_PER_THREAD`` for each worker.
        finish: when it is left early, wait for what the threads are at: what comes next must not meet them.
    """
    count = threads or default_threads()
    pool = ThreadPoolExecutor(count, thread_name_prefix="arot")
    waiting: deque[Future[B]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= (window or count * WINDOW_PER_THREAD):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=finish or not waiting, cancel_futures=True)
