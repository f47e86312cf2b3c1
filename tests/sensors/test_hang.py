"""A run of shards that stands still is told once; one that finishes shards, and one without shards, are not."""

import time

import dagster as dg
import pytest

from arot_assets.progress import SHARD_DONE
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
        entry = dg.EventLogEntry(
            error_info=None,
            level=20,
            user_message=line,
            run_id=run.run_id,
            timestamp=time.time() - 60 * minutes,
        )
        instance.handle_new_event(entry)
    return run.run_id


def test_a_run_that_finished_no_shard_for_long_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(hang, "tell", lambda _context, message, _run: told.append(message))
    monkeypatch.delenv(hang.HANG_VARIABLE, raising=False)
    cursor = None
    with dg.DagsterInstance.ephemeral() as instance:
        hanging = started(
            instance, SHARDS, (f"{SHARD_DONE}d 00000: 3 rows/s", 120), ("d 00001: 7 of 9", 1), ("d 00001: 7 of 9", 0)
        )
        first = started(instance, SHARDS, ("begun", 90), ("progress", 0))
        started(instance, SHARDS, (f"{SHARD_DONE}d 00003: 3 rows/s", 5))
        started(instance, {}, ("a model is trained", 600))
        for _ in range(2):
            with dg.build_sensor_context(instance, cursor=cursor) as context:
                hang.hanging_runs(context)
                cursor = context.cursor
        assert len(told) == 2 and all("hangs: no shard was finished for" in line for line in told)
        assert {hanging, first} == {line.rpartition("(run ")[2].rstrip(")") for line in told}
        assert "120 minutes" in next(line for line in told if hanging in line)


def test_a_wrong_number_of_minutes_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(hang.HANG_VARIABLE, "soon")
    with pytest.raises(SettingError, match="AROT_HANG_MINUTES='soon': must be a whole number of minutes"):
        hang.hang_minutes()
