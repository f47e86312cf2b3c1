"""How fast the shards of a step get done, how long the others take, and what that costs."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from arot_assets import pace
from arot_assets.metadata import pace_metadata
from arot_assets.metrics.assets.shards import gpu_of
from arot_assets.metrics.table_builder import MetricResult
from arot_assets.pace import Pace, PaceError, duration
from resources.models.runner import DEVICE_LOAD, DEVICE_MEMORY

At = Callable[[float], None]


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> At:
    """A clock that is set to a second."""
    now = [0.0]
    monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return lambda second: now.__setitem__(0, second)


def equal(shards: int, size: int = 100) -> dict[str, int]:
    """Shards of the same size."""
    return {f"{n:05}": size for n in range(shards)}


def test_rate_and_time_left(at: At) -> None:
    step = Pace(equal(4), "images")
    at(60)
    step.finished("00000", 120)
    assert (step.rate, step.seconds_left, step.share) == (2.0, 180.0, 0.25)
    assert str(step) == "1 of 4 shards, 2.0 images/s, at most 3 min left"


def test_loading_a_model_is_not_expected_of_every_shard(at: At) -> None:
    step = Pace(equal(50), "images")
    for n, second in enumerate((90, 95, 100)):
        at(second)
        step.finished(f"{n:05}", 50)
    assert step.rate == 10.0 and step.seconds_left == 47 * 5
    assert step.average == 1.5


def test_shards_that_need_nothing_say_nothing_of_those_that_do(at: At) -> None:
    step = Pace(equal(40))
    for n in range(30):
        at((n + 1) / 100)
        step.finished(f"{n:05}", 0)
    assert step.seconds_left is None and str(step) == "30 of 40 shards, nothing to compute so far"
    for n in (30, 31, 32):
        at(60 * (n - 29))
        step.finished(f"{n:05}", 100)
    assert step.seconds_left == pytest.approx(7 * 60)


def test_time_left_follows_the_size_of_shards(at: At) -> None:
    step = Pace({"00000": 5000, "00001": 5000, "00002": 50, "00003": 50}, "images")
    at(100)
    step.finished("00000", 5000)
    at(200)
    step.finished("00001", 5000)
    assert step.seconds_left == 2.0
    assert step.share == pytest.approx(0.99, abs=0.001)


def test_the_rate_is_that_of_the_last_shards(at: At) -> None:
    step = Pace(equal(100))
    for n in range(40):
        at(n if n < 20 else 20 + 4 * (n - 20))
        step.finished(f"{n:05}", 100)
    assert step.rate == 25.0 and step.seconds_left == 240.0


def test_a_burst_of_results_of_many_machines_is_no_rate(at: At) -> None:
    step = Pace(equal(16), in_turn=False)
    for n in range(8):
        at(60 + n / 10)
        step.finished(f"{n:05}", 100)
    assert step.seconds_left == pytest.approx(60.7)


def test_a_shard_that_is_done_again_counts_once(at: At) -> None:
    step = Pace(equal(2))
    at(10)
    for shard in ("00000", "00001", "00001"):
        step.finished(shard, 10)
    assert (step.done, step.shards, step.share, step.items) == (2, 2, 1.0, 30)


def test_cost_of_a_thousand(at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AROT_COST_PER_HOUR", "3")
    step = Pace(equal(2))
    assert step.cost_per_thousand is None
    at(60)
    step.finished("00000", 500)
    assert step.cost_per_thousand == pytest.approx(0.1) and ", 0.1 per 1,000" in str(step)
    monkeypatch.setenv("AROT_COST_PER_HOUR", "dear")
    with pytest.raises(PaceError, match="AROT_COST_PER_HOUR='dear': must be a number"):
        Pace(equal(2))


def test_runs_that_share_a_machine_share_its_cost(at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AROT_COST_PER_HOUR", "3")
    steps = [Pace(equal(1)), Pace(equal(1))]
    at(60)
    for step in steps:
        step.finished("00000", 500, sharing=2)
    assert sum((step.cost_per_thousand or 0) * step.items / 1000 for step in steps) == pytest.approx(3 / 60)


def test_what_a_gpu_did_is_told_and_without_one_nothing_is(at: At) -> None:
    step = Pace(equal(2), "images")
    at(60)
    found = MetricResult(model={DEVICE_LOAD: 93.4, DEVICE_MEMORY: 2500.5})
    step.finished("00000", 60, gpu_of([MetricResult(), found]))
    assert step.speed == "1.0 images/s, GPU 93 %"
    assert {name: value.value for name, value in pace_metadata(step).items()} == {
        "images/s": 1.0,
        "GPU utilization, %": 93.4,
    }
    step.finished("00001", 60, gpu_of([MetricResult()]))
    assert "GPU" not in str(step) and pace_metadata(step).keys() == {"images/s"}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (99, "99 s"), (100, "2 min"), (5900, "98 min"), (12000, "3 h 20 min"), (187200, "2 d 4 h")],
)
def test_lengths_of_time_are_told_as_people_say_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words
