"""How often something is tried, and how long is waited before it."""

import email.utils
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources import retry
from resources.retry import LONGEST, Retry, retry_after


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of each wait, none of which is waited."""
    seconds: list[float] = []
    monkeypatch.setattr(retry.time, "sleep", seconds.append)
    return seconds


def test_waits_double_up_to_the_longest_and_the_last_try_waits_for_nothing(waited: list[float]) -> None:
    tries = Retry(attempts=8, first=1.0, longest=10.0)
    assert [tries.again() for _ in range(8)] == [True] * 7 + [False]
    for seconds, doubled in zip(waited, (1, 2, 4, 8, 10, 10, 10), strict=True):
        assert doubled * 0.5 <= seconds <= min(10.0, doubled * LONGEST)


def test_those_who_failed_together_come_back_apart() -> None:
    waits = {Retry(3, 1.0, 60.0, failed=4).seconds() for _ in range(50)}
    assert len(waits) == 50 and max(waits) - min(waits) > 2.0


def test_some_failures_allow_fewer_tries(waited: list[float]) -> None:
    tries = Retry(attempts=10, first=0.1, longest=1.0)
    assert [tries.again(most=3) for _ in range(3)] == [True, True, False]


def test_failures_of_other_kinds_do_not_use_up_the_few_tries_of_one(waited: list[float]) -> None:
    retry = Retry(attempts=7, first=1.0, longest=8.0)
    assert [retry.again() for _ in range(3)] == [True] * 3
    assert [retry.again(3) for _ in range(3)] == [True, True, False]


def test_a_try_that_brought_something_does_not_count(waited: list[float]) -> None:
    tries = Retry(attempts=2, first=0.1, longest=1.0)
    for _ in range(20):
        assert tries.again()
        tries.progressed()


def test_a_server_is_given_the_time_that_it_asks_for_within_reason(waited: list[float]) -> None:
    tries = Retry(attempts=9, first=0.1, longest=20.0)
    assert tries.again(asked=7.0) and tries.again(asked=1000.0) and tries.again(asked=0.0)
    assert waited[:2] == [7.0, 20.0] and waited[2] >= 0.2


def test_at_the_deadline_no_further_try_begins(waited: list[float]) -> None:
    assert Retry(None, 0.1, 1.0, deadline=time.monotonic() + 3600, failed=10**6).again()
    assert not Retry(None, 0.1, 1.0, deadline=time.monotonic() - 1).again()


@given(st.integers(0, 10**6))
def test_retry_after_in_seconds_or_as_a_date(seconds: int) -> None:
    assert retry_after(str(seconds)) == seconds
    date = retry_after(email.utils.formatdate(time.time() + seconds, usegmt=True))
    assert date is not None and seconds - 60 <= date <= seconds
