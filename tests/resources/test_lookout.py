"""What a run says while no machine of a cluster has what a unit asks for, and when it gives up."""

import logging
import math

import pytest

from resources.compute import ComputeError
from resources.compute.lookout import AGAIN_SECONDS, TELL_SECONDS, Lookout, wait_minutes
from resources.compute.share import Machine, Share

HEAD: Machine = {"CPU": 8.0}
WITH_GPU: Machine = {"CPU": 16.0, "GPU": 2.0, "accelerator_type:H100": 1.0}


class Watch:
    """A lookout over machines that come and go, with a clock of its own."""

    def __init__(self, machines: list[Machine], minutes: float = 60.0) -> None:
        self.machines, self.now = machines, 0.0
        self.lookout = Lookout(Share(4, 1, "H100"), lambda: self.machines, minutes, lambda: self.now)

    def look(self, seconds: float, idle: bool = False) -> None:
        """So many seconds later."""
        self.now += seconds
        self.lookout.look(idle)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    lines = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return lines


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "arot.waiting")
    return caplog


def test_lost_machine_is_told_with_what_there_is_then_now_and_again_and_its_return_too(
    log: pytest.LogCaptureFixture,
) -> None:
    watch = Watch([HEAD])
    watch.look(0)
    watch.look(TELL_SECONDS - 1)
    assert said(log) == [], "one that is replaced at once is not worth a word"
    watch.look(1)
    assert said(log) == [
        "waiting for a machine: a unit takes 4 cores and 1 GPU of the kind H100; no machine of the Ray cluster has that now: "
        "there are machines with 8 cores and 0 GPUs; the run ends in 60 minutes unless one comes (`ray status`, "
        "$AROT_WAIT_MINUTES)"
    ]
    watch.look(AGAIN_SECONDS - 1)
    assert said(log) == []
    watch.look(1)
    assert len(said(log)) == 1
    watch.machines = [HEAD, WITH_GPU]
    watch.look(1)
    assert said(log) == ["goes on: a machine with 4 cores and 1 GPU of the kind H100 works"]
    watch.look(10_000)
    assert said(log) == [], "a unit may take hours"


def test_wait_ends_with_one_error_and_a_machine_in_between_begins_another(log: pytest.LogCaptureFixture) -> None:
    watch = Watch([HEAD], minutes=5)
    watch.look(0)
    watch.look(299)
    watch.machines = [WITH_GPU]
    watch.look(1)
    watch.machines = []
    watch.look(1)
    watch.look(299)
    with pytest.raises(
        ComputeError, match=r"has had 4 cores and 1 GPU of the kind H100 for one unit for 5 minutes: it has no "
    ):
        watch.look(1)


def test_machines_that_others_use_are_waited_for_without_an_end(log: pytest.LogCaptureFixture) -> None:
    watch = Watch([HEAD, WITH_GPU], minutes=5)
    for _ in range(3):
        watch.look(AGAIN_SECONDS, idle=True)
    expected = "waiting for a machine: a unit takes 4 cores and 1 GPU of the kind H100; of 2 machines 1 could have it, and none is free yet"
    assert said(log) == [expected, expected]
    watch.lookout.goes_on()
    assert len(said(log)) == 1


@pytest.mark.parametrize(("text", "minutes"), [("", 60.0), ("0.5", 0.5), ("inf", math.inf), ("0", 0.0)])
def test_how_long_is_a_variable(monkeypatch: pytest.MonkeyPatch, text: str, minutes: float) -> None:
    monkeypatch.setenv("AROT_WAIT_MINUTES", text)
    assert wait_minutes() == minutes


@pytest.mark.parametrize("text", ["soon", "-1", "nan"])
def test_another_value_is_an_error(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("AROT_WAIT_MINUTES", text)
    with pytest.raises(ComputeError, match=r"\$AROT_WAIT_MINUTES='.*': must be minutes, from 0 on, or inf"):
        wait_minutes()
