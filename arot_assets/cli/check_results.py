"""Results of asset checks as the Dagster instance has them: those that failed, those that are of something else by now.

Belongs here: reading results. Does not belong here: running checks (``launch.py``), what they check (the rooms' ``checks.py``).
"""

from collections.abc import Iterator

import dagster as dg

from arot_assets.steps import CHECK_VERSION, Check, Graph, Look


def failed_checks(graph: Graph, instance: dg.DagsterInstance) -> list[str]:
    """One line for each check whose last evaluation failed as an error, whichever run that was in."""
    found = (_last(instance, key) for key, _ in _checks(graph))
    return [line for check in found if check is not None for line in check_problem(check)]


def stale_checks(graph: Graph, look: Look, instance: dg.DagsterInstance) -> list[dg.AssetCheckKey]:
    """Checks of a version whose last result is of another one, or that never ran."""
    stale = []
    for key, check in _checks(graph):
        now = check.version(look) if check.version is not None else None
        if now is None:
            continue
        last = _last(instance, key)
        seen = last.metadata.get(CHECK_VERSION) if last is not None else None
        if seen is None or seen.value != now:
            stale.append(key)
    return stale


def check_problem(check: dg.AssetCheckEvaluation) -> list[str]:
    """A line if a check failed as an error."""
    if check.passed or check.severity != dg.AssetCheckSeverity.ERROR:
        return []
    return [f"check {check.asset_key.to_user_string()}:{check.check_name} failed: {check.description or 'see the UI'}"]


def _checks(graph: Graph) -> Iterator[tuple[dg.AssetCheckKey, Check]]:
    for key, check in sorted(graph.checks(), key=lambda pair: (pair[0], pair[1].name)):
        yield dg.AssetCheckKey(dg.AssetKey(list(key)), check.name), check


def _last(instance: dg.DagsterInstance, key: dg.AssetCheckKey) -> dg.AssetCheckEvaluation | None:
    record = instance.get_latest_asset_check_evaluation_record(key)
    event = record.event.dagster_event if record is not None and record.event is not None else None
    if event is None or event.event_type != dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        return None
    return event.asset_check_evaluation_data
