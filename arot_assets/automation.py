"""When assets are materialized automatically, and why the conditions are what they are.

The source sensor only notices that a source changed and requests its ``inventory``. Everything below follows from there by
the conditions of this module; nothing else starts work.

``shard_condition`` is for tables with one partition per shard. Dagster's own ``on_missing()`` and ``eager()`` are edge-triggered:
they fire when a partition becomes missing, so a shard that was missing before the automation sensor's first tick (declared while
the daemon was off, or lost with a killed run) would never be requested. This condition is level-triggered: a missing shard is
requested for as long as it is missing, unless it is in progress or its last attempt failed (then a person decides, and ``arot
run`` covers it too). Updates of upstream shards count as well, so that a retried sample gets its measurements; the unpartitioned
inventory does not, because its update says nothing about a given shard. A new code version requests every shard: current rows are
kept, so that costs reading a footer.

``WHOLE`` is for tables made from all shards (SQL models, labels, heads). Under plain ``eager()`` such a table would wait forever
while a shard is missing (a failed one, say). Here a missing shard does not hold it back, but a shard in progress does, so that a
burst of new shards leads to a single rebuild.

Two gaps, in ``since_last_handled()`` and in blocking checks, are closed here:

- ``since_last_handled()`` counts any materialization as handling all earlier updates, even one that had started before the update
  and did not see it. ``_unanswered`` remembers updates that arrived while the table was in progress. (Not for updates of upstream
  shards: within one run, Dagster distinguishes those only for the run's last partition, so every burst would be processed twice;
  a shard is written once, and retries go through ``arot retry``.)
- A blocking check stops its downstream within its own run only; ``_sound`` holds automation back as well.
"""

from typing import Any

import dagster as dg

BY_CONDITION = "dagster/from_automation_condition"
"""The tag of runs that conditions start."""
_Condition: Any = dg.AutomationCondition  # its self types exclude each other, so a type checker rejects any mixture

# a run that ends during a tick may be seen as ended before its results or its failure are: look again on the next tick
_just_ended = (~_Condition.in_progress()).newly_true() & ~_Condition.missing().newly_true()
_first_time = (_Condition.missing() & ~_Condition.execution_failed() & ~_just_ended).with_label(
    "missing, and not failed"
)
_not_now = _Condition.in_progress() | _Condition.any_deps_in_progress() | _Condition.newly_requested()
_sound = (
    ~_Condition.any_deps_match(_Condition.any_checks_match(_Condition.check_failed(), blocking_only=True))
).with_label("no blocking check upstream has failed")


def _unanswered(change: Any, under_way: Any) -> Any:
    """A change that no later materialization or request has handled.

    Args:
        change: true on the tick that notices it.
        under_way: true while a materialization that started before the change may be in progress.
    """
    asked = (_Condition.newly_requested() & ~change) | _Condition.initial_evaluation()
    return change.since_last_handled() | (change & under_way).since(asked).with_label("changed while in progress")


def shard_condition(*unpartitioned: dg.AssetKey, another: Any = None) -> dg.AutomationCondition[Any]:
    """The condition of a table with one partition per shard.

    Args:
        unpartitioned: upstream assets whose updates say nothing about a given shard (the inventory).
        another: a further condition, true on the tick on which shards became outdated for another reason.
    """
    updated = _Condition.any_deps_updated()
    if unpartitioned:
        updated = updated.ignore(dg.AssetSelection.assets(*unpartitioned))
    wanted = _first_time | (updated | _Condition.code_version_changed()).since_last_handled()
    if another is not None:
        wanted = wanted | _unanswered(another, _Condition.in_progress())
    ready = wanted & ~_Condition.any_deps_missing() & _sound & ~_not_now
    condition: dg.AutomationCondition[Any] = ready.with_label("shard missing or outdated")
    return condition


# in one tick, a finished materialization cannot be distinguished from one that began before the change: one check too
# many costs a footer, one too few leaves a table outdated without notice
_changed = _unanswered(
    _Condition.any_deps_updated() | _Condition.code_version_changed(),
    _Condition.in_progress() | _Condition.newly_updated(),
)


def asked_by_automation() -> bool:
    """Whether a condition started the run that an asset is made in, rather than a person, a command or a sensor."""
    return dg.AssetExecutionContext.get().run.tags.get(BY_CONDITION) == "true"


WHOLE: dg.AutomationCondition[Any] = (
    (_first_time | _changed)
    & _Condition.all_deps_match(~_Condition.missing() | _Condition.will_be_requested())
    & _sound
    & ~_not_now
).with_label("missing, or something upstream was updated")
"""The condition of a table made from all shards of its upstream tables: each of them must have something."""
