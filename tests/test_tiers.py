"""`make check` leaves out what is slow by its nature, wherever a test's code says so."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context

import pytest

from tests.tiers import QUICK, draws, is_heavy


def starts_a_process() -> int:
    return subprocess.run([sys.executable, "--version"]).returncode


class Helper:
    @property
    def version(self) -> int:
        return starts_a_process()


def uses_a_helper() -> int:
    return next(one.version for one in (Helper(),))


@contextmanager
def process_that_waits() -> Iterator[None]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield
        process.kill()


def uses_it_in_a_context() -> None:
    with process_that_waits():
        print("runs")


def loads_a_network() -> object:
    from torch import nn

    return nn


CONTEXT = get_context("spawn")
start = subprocess.run


def starts_one_of_a_context() -> None:
    CONTEXT.Process(target=print).start()


def calls_it_by_another_name() -> None:
    start(["true"])


def names_a_model() -> str:
    return "efficientnet_lite0"


def says_the_name_of_a_model() -> str:
    return "the embedding of efficientnet_lite0 is no part of this"


@pytest.mark.parametrize(
    "test",
    [
        *(
            starts_a_process,
            Helper,
            uses_a_helper,
            uses_it_in_a_context,
            starts_one_of_a_context,
            calls_it_by_another_name,
        ),
        *(loads_a_network, names_a_model),
    ],
)
def test_processes_and_networks_are_found_behind_helpers(test) -> None:  # type: ignore[no-untyped-def]
    assert is_heavy(test)


@pytest.mark.parametrize("test", [draws, says_the_name_of_a_model])
def test_what_computes_is_quick(test) -> None:  # type: ignore[no-untyped-def]
    assert not is_heavy(test)


def test_all_examples_are_drawn_unless_quick_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(QUICK, raising=False)
    assert draws(150) == 150
    monkeypatch.setenv(QUICK, "1")
    assert (draws(150), draws(20)) == (15, 5)
