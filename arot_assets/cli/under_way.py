"""Runs that are under way or queued, for commands that only look.

Belongs here: how they are told in the terminal. Does not belong here: how far a run is (``arot_assets.shard_progress``), whether
anything can be under way at all (``memory.py``): as long as nothing was recorded since the last look, Dagster is not even loaded.
"""

from collections.abc import Collection

from arot_assets.cli.home import SETTINGS, HomeError, home_folder
from arot_assets.cli.memory import recall
from arot_assets.steps import Key

ID_DIGITS = 8
"""Of a run, as the UI shows it."""


def runs_under_way(keys: Collection[Key]) -> list[str]:
    """A line for each run that is under way and makes one of these assets, and one for those that are queued."""
    home = home_folder()
    if not (home / SETTINGS).exists() or recall(home) is not None:
        return []
    import dagster as dg

    from arot_assets.cli.launch import open_instance, open_runs
    from arot_assets.shard_progress import TAG

    def ours(runs: "Collection[dg.DagsterRun]") -> "list[dg.DagsterRun]":
        return [run for run in runs if {tuple(key.path) for key in run.asset_selection or ()} & {*keys}]

    try:
        with open_instance() as instance:
            started = ours(open_runs(instance))
            queued = ours(instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED])))
    except HomeError as error:
        return [f"whether runs are under way is not known: {error}"]
    lines = []
    for run in started:
        made = sorted("/".join(key.path) for key in run.asset_selection or ())
        lines.append(f"run {run.run_id[:ID_DIGITS]} is under way: {run.tags.get(TAG) or ', '.join(made)}")
    if queued:
        lines.append(f"{len(queued):,} more run{'s are' if len(queued) > 1 else ' is'} queued")
    return lines
