"""The last state read from Dagster's records, so that commands that find nothing to do need not open Dagster to read it
again.

Belongs here: the file that stores it, valid as long as nothing else is recorded. Does not belong here: reading the
records (``launch.py``).
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from arot_assets.cli.check_results import CheckId, CheckResult, Results
from arot_assets.cli.home import prepare_home, records_stamp
from resources.beside import replace_file

FILE = "arot-last-look.json"
FORMAT = 1


def recall(home: Path) -> Results | None:
    """The stored state of a home: no run is in progress, and these are the last results of checks.

    None if nothing is stored, or something may have been recorded since.
    """
    stamp = records_stamp(home)
    try:
        found = json.loads((home / FILE).read_bytes())
    except (OSError, ValueError):
        return None
    if stamp is None or found.get("format") != FORMAT or found.get("records") != stamp:
        return None
    return {(tuple(key), name): CheckResult(**said) if said else None for key, name, said in found["checks"]}


def remember(checks: Sequence[CheckId]) -> None:
    """Read the results of checks, and store them if no run is in progress.

    Args:
        checks: all checks of the project.

    Raises:
        HomeError: Dagster's home cannot be used.
    """
    from arot_assets.cli.launch import last_results, open_instance, open_runs

    home = prepare_home()
    stamp = records_stamp(home)
    with open_instance() as instance:
        busy = bool(open_runs(instance))
        results = last_results(instance, checks)
    if stamp is None or busy or records_stamp(home) != stamp:  # another process is working
        return
    said = [[key, name, asdict(found) if found else None] for (key, name), found in results.items()]
    replace_file(home / FILE, json.dumps({"format": FORMAT, "records": stamp, "checks": said}))
