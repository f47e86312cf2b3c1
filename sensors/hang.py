"""The sensor of hanging runs: a run of shards that has made no progress for a long time is told, once.

Belongs here: noticing. How people are told is in ``failure.py``, what progress is in ``arot_assets.progress``. The variable is
``AROT_HANG_MINUTES``.

A shard may take hours, of captions by a large model for example. As long as its samples get done, the log has a line every few
seconds; a run that hangs has none.
"""

import json
import os
import time
from datetime import UTC, datetime

import dagster as dg

from arot_assets.progress import WAITING, tells_progress
from arot_assets.shard_progress import TAG
from sensors.failure import tell
from sensors.interval import SettingError, seconds_between_looks

HANG_VARIABLE = "AROT_HANG_MINUTES"
HANG_MINUTES = 60
PARTITION_TAGS = ("dagster/partition", "dagster/asset_partition_range_start")
RECORDS = 500
"""Of a run, that are read at a time, the newest first."""


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
    description=f"Tells runs without progress for ${HANG_VARIABLE} minutes ({HANG_MINUTES} by default), as failed ones.",
)
def hanging_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Look at the runs that are under way, and tell those that hang and were not told for the same standstill."""
    told: dict[str, float] = json.loads(context.cursor or "{}")
    minutes = hang_minutes()
    now, standing = time.time(), dict[str, float]()
    for run in context.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        if not any(tag in run.tags for tag in PARTITION_TAGS):
            continue
        seen = told.get(run.run_id)
        last = last_progress(context.instance, run.run_id)
        if now - last < minutes * 60:
            continue
        standing[run.run_id] = last
        if seen != last:
            tell(context, hang_message(run, (now - last) / 60), run.run_id)
            since = datetime.fromtimestamp(last, UTC).strftime("no progress since %H:%M UTC")
            # until the run itself says how far it is
            context.instance.add_run_tags(run.run_id, {TAG: ", ".join(filter(None, [since, run.tags.get(TAG)]))})
    context.update_cursor(json.dumps(standing))
    return dg.SkipReason(f"{len(standing)} hang{'s' if len(standing) == 1 else ''}" if standing else "no run hangs")


def hang_message(run: dg.DagsterRun, minutes: float) -> str:
    """One line for people: which assets, since when, what to do, which run."""
    names = ", ".join(sorted(key.to_user_string() for key in run.asset_selection or ())) or "a run"
    far = f" ({run.tags[TAG]})" if run.tags.get(TAG) else ""
    return (
        f"arot: {names} hangs: no progress for {minutes:,.0f} minutes{far}; look at its log, and terminate it "
        f"if it stands still: finished rows are kept, and `arot run` or another backfill goes on from there; if its files or "
        f"answers just take that long, raise {HANG_VARIABLE} (run {run.run_id})"
    )


def last_progress(instance: dg.DagsterInstance, run_id: str) -> float:
    """When a run last made progress, as seconds since 1970: its log said so, or Dagster recorded that a part of it ended.

    A run that waits for another one, which has a shard or the GPU, is as far as it can be: now.
    """
    cursor, newest = None, True
    while True:
        found = instance.get_records_for_run(run_id, cursor=cursor, limit=RECORDS, ascending=False)
        for record in found.records:
            entry = record.event_log_entry
            if entry.dagster_event is not None or tells_progress(entry.user_message):
                return entry.timestamp
            if newest and entry.user_message.startswith(WAITING):
                return time.time()
            newest = False
        if not found.has_more:
            return time.time()
        cursor = found.cursor
