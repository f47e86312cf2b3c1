"""The user's project: the one place that knows where its declarations, SQL, metrics and Dagster settings are.

Belongs here: the folders of a project, and creating a new one. Does not belong here: which folder is the project
(``resources.root``), and reading its files.

A project is a folder with an ``arot.toml``; its declarations are in ``defs/``. This repository is a project too, with its
declarations in ``arot_assets/defs/``.
"""

import shutil
from contextlib import suppress
from pathlib import Path

from resources.errors import ArotError
from resources.root import REPOSITORY, project_root

TEMPLATE = Path(__file__).parent / "template"
OWN_DEFS = Path(__file__).parent / "defs"


class ProjectExistsError(ArotError):
    """A project was to be created where there is something already."""


def defs_folder() -> Path:
    """The folder of declarations."""
    root = project_root()
    return OWN_DEFS if root == REPOSITORY else root / "defs"


def sql_folder() -> Path:
    """The SQL project: a folder with a ``dbt_project.yml``."""
    return project_root() / "dbt_like_sql"


def metrics_folder() -> Path | None:
    """The folder of the project's own metrics, one file each; None in this repository, whose metrics are the catalogue."""
    root = project_root()
    return None if root == REPOSITORY else root / "metrics"


def dagster_settings() -> Path:
    """The ``dagster.yaml`` for ``$DAGSTER_HOME``: the project's, else the one that new projects get."""
    own = project_root() / "dagster.yaml"
    return own if own.is_file() else TEMPLATE / "dagster.yaml"


def init_project(folder: Path) -> list[Path]:
    """Create a project; returns the files that were written.

    Raises:
        ProjectExistsError: one of them already exists; nothing is written then.
        OSError: one cannot be written; those written before it are removed.
    """
    files = sorted(p.relative_to(TEMPLATE) for p in TEMPLATE.rglob("*") if p.is_file() and p.suffix != ".pyc")
    for file in files:
        if (folder / file).exists():
            raise ProjectExistsError(
                f"'{folder / file}' already exists; choose another folder, or continue in that project"
            )
    try:
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(TEMPLATE / file, folder / file)
    except OSError:
        for file in files:
            with suppress(OSError):
                (folder / file).unlink()
        raise
    return [folder / file for file in files]
