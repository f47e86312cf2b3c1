"""Kinds of work that no engine is ever given: a run says so once of each, not once of each table.

Belongs here: what is said of a kind. Does not belong here: work that is given to an engine under some circumstances,
whose door says by itself when it is not.
"""

from collections import deque

import dagster as dg

from resources.compute import Compute, stays_here

SQL_MODELS = "SQL models", "a query reads all shards at once", "cores and memory of this machine make large ones faster"
INVENTORIES = (
    "inventories",
    "a listing is compared as a whole",
    "divide a source of many millions into several datasets",
)
RATINGS = "ratings", "a scale is fitted to all of them at once", ""
RUNS = 1_000
"""Runs of this process that are remembered; a process has one, but for tests and notebooks."""
_told: deque[tuple[str, str]] = deque(maxlen=RUNS)
"""Run and kind of what was said."""


def say_once(context: dg.AssetExecutionContext, compute: Compute, kind: tuple[str, str, str]) -> None:
    """Tell the log of a run that all of a kind is made by this process.

    Args:
        context: of a step.
        compute: the engine; nothing is said where it is local.
        kind: its name in the plural, why, and what makes it faster.
    """
    what, why, remedy = kind
    if (context.run.run_id, what) in _told:
        return
    _told.append((context.run.run_id, what))
    for line in stays_here(compute, what, why, remedy, several=True):
        context.log.info(line)
