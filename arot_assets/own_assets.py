"""The user's own Python files among the declarations: assets, checks, sensors and jobs in ``defs/**/*.py``.

Belongs here: finding and importing those files. Does not belong here: the user's own metrics (``metrics/registry.py``).
"""

import importlib.util
import sys
import traceback
import warnings
from pathlib import Path
from types import ModuleType

import dagster as dg

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
            module = _import_file(folder, path)
            with warnings.catch_warnings():  # Dagster's loader is a preview, which users can do nothing about
                warnings.simplefilter("ignore", dg.PreviewWarning)
                found.append(dg.load_definitions_from_module(module))
        except (Exception, SystemExit) as error:  # a user's file may do anything, even leave the process
            text = f"{_place(path, error)}: cannot be loaded: {type(error).__name__}: {error}"
            errors[path.relative_to(folder).as_posix()] = OwnAssetsError(text)
    return found, errors


def _import_file(folder: Path, path: Path) -> ModuleType:
    """Import a file under a name that no other module has."""
    name = ".".join((PACKAGE, *path.relative_to(folder).with_suffix("").parts))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None, "a file that ends in .py has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # as an import would: Dagster looks up the module of a function
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _place(path: Path, error: BaseException) -> str:
    """``file:line`` where loading failed, as precisely as known."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    return f"{path}:{lines[-1]}" if lines else str(path)
