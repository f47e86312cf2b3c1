"""The user's own Python files among the declarations: assets, checks, sensors and jobs in ``defs/**/*.py``.

Belongs here: finding those files, and what they define. Does not belong here: the user's own metrics (``metrics/registry.py``).
"""

import traceback
import warnings
from pathlib import Path

import dagster as dg

from arot_assets.own_files import import_file
from resources.errors import ArotError

PACKAGE = "arot_project_defs"


class OwnAssetsError(ArotError):
    """A Python file among the declarations cannot be used; the message names file, line and cause."""


def own_assets(folder: Path) -> tuple[list[dg.Definitions], dict[str, OwnAssetsError]]:
    """What the Python files below a folder define for Dagster.

    A file that cannot be used is left out and reported. Files and folders whose names begin with ``_`` or ``.`` are ignored.

    Args:
        folder: the folder of declarations.

    Returns:
        The definitions of each file; and, by path below the folder, what is wrong with the others.
    """
    found: list[dg.Definitions] = []
    errors: dict[str, OwnAssetsError] = {}
    for path in sorted(folder.rglob("*.py")):
        if any(part.startswith(("_", ".")) for part in path.relative_to(folder).parts):
            continue
        try:
            name = ".".join((PACKAGE, *path.relative_to(folder).with_suffix("").parts))
            module = import_file(name, path)
            with warnings.catch_warnings():  # Dagster's loader is a preview, which users can do nothing about
                warnings.simplefilter("ignore", dg.PreviewWarning)
                found.append(dg.load_definitions_from_module(module))
        except (Exception, SystemExit) as error:  # a user's file may do anything, even leave the process
            text = f"{_place(path, error)}: cannot be loaded: {type(error).__name__}: {error}"
            errors[path.relative_to(folder).as_posix()] = OwnAssetsError(text)
    return found, errors


def _place(path: Path, error: BaseException) -> str:
    """``file:line`` where loading failed, as precisely as known."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    return f"{path}:{lines[-1]}" if lines else str(path)
