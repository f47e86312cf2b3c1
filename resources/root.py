"""Which folder is the user's project: the one that relative paths and the default store are based on.

Belongs here: finding it. Does not belong here: what it contains (``arot_assets.project``).
"""

import os
from pathlib import Path

from resources.errors import ArotError

PROJECT_VARIABLE = "AROT_PROJECT"
MARKER = "arot.toml"
REPOSITORY = Path(__file__).resolve().parents[1]
"""Where these packages are installed; this is a project too if it is a checkout of the repository."""


class NoProjectError(ArotError):
    """There is no project to work in."""


def project_root() -> Path:
    """``$AROT_PROJECT``; else the nearest folder, from the current one upward, with an ``arot.toml``; else this repository.

    Raises:
        NoProjectError: there is none of these.
    """
    named = os.environ.get(PROJECT_VARIABLE)
    if named:
        folder = Path(named).expanduser().resolve()
        if not folder.is_dir():
            raise NoProjectError(f"project '{folder}': there is no such folder; `arot init {folder}` creates one")
        return folder
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / MARKER).is_file():
            return folder
    if (REPOSITORY / "dbt_like_sql").is_dir():
        return REPOSITORY
    raise NoProjectError(
        f"no project at {here} or above it; `arot init DIR` creates one, `arot --project DIR …` or ${PROJECT_VARIABLE} "
        "selects one"
    )
