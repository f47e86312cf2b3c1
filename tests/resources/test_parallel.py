"""Many items through a few threads: in order, and nothing runs on after whoever wanted them has left."""

import os
import sys
import threading
from collections.abc import Generator
from contextlib import closing

import pytest

from resources import parallel
from resources.parallel import ordered_map


def test_results_come_in_the_order_of_the_items() -> None:
    first_may_end = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            first_may_end.wait()
        if item == 1:
            first_may_end.set()
        return item * item

    assert list(ordered_map(work, range(9), 2)) == [n * n for n in range(9)]


@pytest.mark.skipif(sys.platform != "linux", reason="only threads of Linux have priorities of their own")
def test_workers_that_give_way_have_a_lower_priority_than_their_caller() -> None:
    def niceness(_: int = 0) -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    mine = niceness()
    assert set(ordered_map(niceness, range(4), 2, giving_way=True)) == {min(19, mine + parallel.NICENESS)}
    assert set(ordered_map(niceness, range(4), 2)) == {mine}
    assert niceness() == mine


def _left_at_the_second(under_way: threading.Event, may_end: threading.Event, ended: list[int], finish: bool) -> None:
    """Takes one result of two threads, and is interrupted while the second item is under way."""

    def work(item: int) -> int:
        if item:
            under_way.set()
            may_end.wait()
            ended.append(item)
        return item

    results: Generator[int, None, None]
    with closing(ordered_map(work, range(50), 1, finish=finish)) as results:
        assert next(results) == 0
        under_way.wait()
        threading.Timer(0.05, may_end.set).start()
        raise KeyboardInterrupt


@pytest.mark.parametrize("finish", [False, True])
def test_nothing_runs_on_after_it_was_left(finish: bool) -> None:
    under_way, may_end, ended = threading.Event(), threading.Event(), list[int]()
    with pytest.raises(KeyboardInterrupt):
        _left_at_the_second(under_way, may_end, ended, finish)
    assert ended == [1], "what was under way has ended, and no other item has begun"


def test_what_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "LEAVING_SECONDS", 0.1)
    release, ended = threading.Event(), list[int]()

    def hang(item: int) -> None:
        release.wait()
        ended.append(item)

    def first_result_never_comes() -> None:
        with closing(ordered_map(hang, _interrupted_after(3), 2)) as results:
            next(results)

    with pytest.raises(KeyboardInterrupt):
        first_result_never_comes()
    assert not ended
    release.set()


def _interrupted_after(count: int) -> Generator[int, None, None]:
    yield from range(count)
    raise KeyboardInterrupt
