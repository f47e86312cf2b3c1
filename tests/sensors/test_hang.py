"""A run of shards that stands still is told once; one that makes progress or waits, and one without shards, are not."""

import time

import dagster as dg
import pytest

from arot_assets import progress
from arot_assets.progress import SHARD_DONE, WAITING
from arot_assets.shard_progress import TAG
from sensors import hang
from sensors.interval import SettingError

SHARDS = {"dagster/asset_partition_range_start": "00000"}


@dg.job
def work() -> None:
    """Nothing."""


def started(instance: dg.DagsterInstance, tags: dict[str, str], *lines: tuple[str, float]) -> str:
    """A run that is under way and has logged these lines so many minutes ago."""
    run = instance.create_run_for_job(work, tags=tags, status=dg.DagsterRunStatus.STARTED)
    for line, minutes in lines:
        record(instance, run.run_id, line, minutes)
    return run.run_id


def record(instance: dg.DagsterInstance, run_id: str, line: str, minutes: float) -> None:
    """A line that a run has logged so many minutes ago."""
    instance.handle_new_event(
        dg.EventLogEntry(
            error_info=None, level=20, user_message=line, run_id=run_id, timestamp=time.time() - 60 * minutes
        )
    )


def look(instance: dg.DagsterInstance, cursor: str | None) -> str | None:
    """One tick of the sensor; gives its cursor."""
    with dg.build_sensor_context(instance, cursor=cursor) as context:
        hang.hanging_runs(context)
        return context.cursor


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What people are told."""
    lines: list[str] = []
    monkeypatch.setattr(hang, "tell", lambda _context, message, _run: lines.append(message))
    monkeypatch.delenv(hang.HANG_VARIABLE, raising=False)
    return lines


def test_a_run_without_progress_for_long_is_told_once(told: list[str]) -> None:
    warnings = [(f"s3: asked again {n}", 119 - n / 10) for n in range(1100)]
    with dg.DagsterInstance.ephemeral() as instance:
        hanging = started(instance, {**SHARDS, TAG: "metrics 20%"}, (f"{SHARD_DONE}d 00000: 3 rows/s", 120), *warnings)
        started(instance, SHARDS, (f"{SHARD_DONE}d 00003: 3 rows/s", 5))
        started(instance, {}, ("a model is trained", 600))
        cursor = look(instance, None)
        record(instance, hanging, "s3: asked again", 0)
        look(instance, cursor)
        run = instance.get_run_by_id(hanging)
        assert run is not None and run.tags[TAG].startswith("no progress since ")
        assert run.tags[TAG].endswith(" UTC, metrics 20%")
    assert len(told) == 1 and "hangs: no progress for 120 minutes" in told[0] and told[0].endswith(f"(run {hanging})")


def test_a_slow_run_whose_samples_get_done_is_not_told(told: list[str]) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        started(
            instance,
            SHARDS,
            (f"{SHARD_DONE}d 00000: 3 rows/s", 300),
            ("d/captions 00001: 70 of 5,000, 0.2/s, 9,000 s left", 1),
        )
        started(instance, SHARDS, ("begun", 90), ("d/samples 00000: 7, 0.2/s", 10))
        look(instance, None)
    assert told == []


def test_a_run_that_waits_for_another_one_is_not_told(told: list[str]) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        started(
            instance, SHARDS, (f"{SHARD_DONE}d 00000: 3 rows/s", 300), (f"{WAITING} for a slot in the pool 'gpu'", 299)
        )
        look(instance, None)
    assert told == []


def test_lines_of_progress_are_known_as_they_are_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress, "LOG_EVERY_SECONDS", 0.0)
    with caplog.at_level("INFO", "arot"):
        for total in (None, 9000):
            with progress.log_lines("d/samples 00003", total) as advance:
                advance(1200)
    assert len(caplog.messages) == 4 and all(map(progress.tells_progress, caplog.messages))
    assert not progress.tells_progress("s3: 503 for the 4th time, 20 s until the next")


def test_a_wrong_number_of_minutes_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(hang.HANG_VARIABLE, "soon")
    with pytest.raises(SettingError, match="AROT_HANG_MINUTES='soon': must be a whole number of minutes"):
        hang.hang_minutes()
