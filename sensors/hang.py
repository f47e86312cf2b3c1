"""The sensor of hanging runs: a run of shards that has finished none for a long time is told, once.

Belongs here: noticing. How people are told is in ``failure.py``. The variable is ``AROT_HANG_MINUTES``.
"""

import json
import os
import time

import dagster as dg

from arot_assets.progress import SHARD_DONE
from sensors.failure import tell
from sensors.interval import SettingError, seconds_between_looks

HANG_VARIABLE = "AROT_HANG_MINUTES"
HANG_MINUTES = 60
PARTITION_TAGS = ("dagster/partition", "dagster/asset_partition_range_start")
RECORDS = 500
"""The newest records of a run that are looked at; progress lines come every few seconds."""


def hang_minutes() -> int:
    """``$AROT_HANG_MINUTES``, or ``HANG_MINUTES``.

    Raises:
        SettingError: it is not a whole number above 0.
    """
    text = os.environ.get(HANG_VARIABLE, "").strip()
    if text and (not text.isdecimal() or int(text) == 0):
        raise SettingError(
            f"{HANG_VARIABLE}={text!r}: must be a whole number of minutes above 0; unset it for the default"
        )
    return int(text or HANG_MINUTES)


@dg.sensor(
    name="hanging_runs",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=seconds_between_looks(300),
    description=f"Tells a run of which no shard was finished for {HANG_MINUTES} minutes (${HANG_VARIABLE}), like a failed run.",
)
def hanging_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Look at the runs that are under way, and tell those that hang and were not told for the same standstill."""
    told: dict[str, float] = json.loads(context.cursor or "{}")
    minutes = hang_minutes()
    now, standing = time.time(), dict[str, float]()
    for run in context.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        if not any(tag in run.tags for tag in PARTITION_TAGS):
            continue
        last = last_progress(context.instance, run.run_id)
        if now - last < minutes * 60:
            continue
        standing[run.run_id] = last
        if told.get(run.run_id) != last:
            names = ", ".join(sorted(key.to_user_string() for key in run.asset_selection or ()))
            tell(
                context,
                f"arot: {names or 'a run'} hangs: no shard was finished for {(now - last) / 60:,.0f} minutes; look at its "
                f"log, and terminate it if it stands still: finished shards are kept (run {run.run_id})",
                run.run_id,
            )
    context.update_cursor(json.dumps(standing))
    return dg.SkipReason(f"{len(standing)} runs hang" if standing else "no run hangs")


def last_progress(instance: dg.DagsterInstance, run_id: str) -> float:
    """When a run last finished a shard, as seconds since 1970; else when it began, or the oldest record that was looked at."""
    records = instance.get_records_for_run(run_id, limit=RECORDS, ascending=False).records
    for record in records:
        if record.event_log_entry.user_message.startswith(SHARD_DONE):
            return record.event_log_entry.timestamp
    return records[-1].event_log_entry.timestamp if records else time.time()
