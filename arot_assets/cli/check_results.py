"""Results of asset checks as the Dagster instance has them: those that failed, those that are of something else by now.

Belongs here: reading results. Does not belong here: running checks (``launch.py``), what they check (the rooms' ``checks.py``).
"""

from collections.abc import Iterator, Mapping

import dagster as dg

from arot_assets.steps import CHECK_VERSION, Check, Graph, Look

Results = Mapping[dg.AssetCheckKey, dg.AssetCheckEvaluation]
"""Check -> its last evaluation."""


def last_results(graph: Graph, instance: dg.DagsterInstance) -> Results:
    """The last evaluation of each check of the graph that ever ran, whichever run that was in."""
    keys = [key for key, _ in _checks(graph)]
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    found = {}
    for key, record in records.items():
        event = record.event.dagster_event if record.event is not None else None
        if event is not None and event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            found[key] = event.asset_check_evaluation_data
    return found


def failed_checks(results: Results) -> list[str]:
    """One line for each check that failed as an error."""
    return [line for key in sorted(results) for line in check_problem(results[key])]


def stale_checks(graph: Graph, look: Look, results: Results) -> list[dg.AssetCheckKey]:
    """Checks of a version whose last result is of another one, or that never ran."""
    stale = []
    for key, check in _checks(graph):
        now = check.version(look) if check.version is not None else None
        if now is None:
            continue
        seen = results[key].metadata.get(CHECK_VERSION) if key in results else None
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
