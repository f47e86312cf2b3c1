"""The user's project: the one place that knows where its declarations, SQL, metrics and settings of Dagster are.

Belongs here: the folders of a project, and making a new one. Does not belong here: which folder is the project
(``resources.root``), reading what lies in it.

A project of its own is a folder with an ``arot.toml``; its declarations are in ``defs/``. This repository is a project too, whose
declarations are in ``arot_assets/defs/``.
"""

import shutil
from pathlib import Path

from resources.errors import ArotError
from resources.root import REPOSITORY, project_root

TEMPLATE = Path(__file__).parent / "template"
OWN_DEFS = Path(__file__).parent / "defs"


class ProjectExistsError(ArotError):
    """A project is to be made where something is already."""


def defs_folder() -> Path:
    """The folder of declarations."""
    root = project_root()
    return OWN_DEFS if root == REPOSITORY else root / "defs"


def sql_folder() -> Path:
    """The SQL project: a folder with a ``dbt_project.yml``."""
    return project_root() / "dbt_like_sql"


def metrics_folder() -> Path | None:
    """The project's own metrics, a file each; None in this repository, whose metrics are the catalogue."""
    root = project_root()
    return None if root == REPOSITORY else root / "metrics"


def dagster_settings() -> Path:
    """The ``dagster.yaml`` for ``$DAGSTER_HOME``: the project's, else the one that new projects get."""
    own = project_root() / "dagster.yaml"
    return own if own.is_file() else TEMPLATE / "dagster.yaml"


def init_project(folder: Path) -> list[Path]:
    """Make a project; gives the files that were written.

    Raises:
        ProjectExistsError: one of them is there already; nothing is written then.
    """
    files = sorted(p.relative_to(TEMPLATE) for p in TEMPLATE.rglob("*") if p.is_file() and p.suffix != ".pyc")
    for file in files:
        if (folder / file).exists():
            raise ProjectExistsError(
                f"'{folder / file}' is there already; choose another folder, or go on in that project"
            )
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(TEMPLATE / file, folder / file)
    return [folder / file for file in files]
