"""Which metrics exist: the files of ``metrics/catalogue/``, those of the project's own ``metrics/``, and the entries of models.

Belongs here: finding them, and reporting what is wrong with a file. A file is named after its metric, so the names are known
without importing anything. A project's metric takes precedence over one of the catalogue with the same name, and Python over an
entry of the model catalogue.
"""

import importlib
import pkgutil
import traceback
from functools import cache
from pathlib import Path

from arot_assets.metrics import catalogue
from arot_assets.metrics.metric import Metric
from arot_assets.metrics.of_entry import metric_of
from arot_assets.names import NAME
from arot_assets.own_files import import_file
from arot_assets.project import metrics_folder
from resources.errors import ArotError
from resources.models.entries import find_entry, known_models
from resources.models.entry import ModelError


class MetricFileError(ArotError):
    """The file of a metric cannot be used; the message names the file, the line if it is known, and the cause."""


def known_metrics() -> frozenset[str]:
    """The names of all metrics; imports none of them, and reads no entry."""
    return _python() | frozenset(name for name in known_models() if NAME.fullmatch(name))


def _python() -> frozenset[str]:
    return frozenset(m.name for m in pkgutil.iter_modules(catalogue.__path__)) | frozenset(_own())


def get_metric(name: str) -> Metric:
    """The metric that the file of this name declares, or the entry of this name makes.

    Raises:
        KeyError: no such file.
        MetricFileError: it cannot be imported or read, or declares no metric of its own name.
    """
    if name in _python():
        return _load(name, _own().get(name))
    if name not in known_metrics():
        raise KeyError(f"no metric {name!r}; known: {', '.join(sorted(known_metrics()))}")
    try:
        return metric_of(find_entry(name))
    except (ModelError, ValueError) as error:
        raise MetricFileError(f"metric '{name}' cannot be made of its model: {error}") from error


def misnamed_files() -> list[Path]:
    """Files in the project's ``metrics/`` that are ignored, because no table may have their name."""
    folder = metrics_folder()
    files = sorted(folder.glob("*.py")) if folder is not None else []
    return [p for p in files if not NAME.fullmatch(p.stem) and not p.stem.startswith("_")]


def _own() -> dict[str, Path]:
    """Name -> file of the project's own metrics."""
    folder = metrics_folder()
    return {p.stem: p for p in folder.glob("*.py") if NAME.fullmatch(p.stem)} if folder is not None else {}


@cache
def _load(name: str, file: Path | None) -> Metric:
    try:
        if file is None:
            module = importlib.import_module(f"{catalogue.__name__}.{name}")
        else:
            module = import_file(f"arot_project_metrics.{name}", file)
    except (Exception, SystemExit) as error:  # a user's file may do anything, even leave the process
        place = _place(error)
        raise MetricFileError(f"{place}metric '{name}' cannot be loaded: {type(error).__name__}: {error}") from error
    for value in vars(module).values():
        if isinstance(value, Metric) and value.name == name:
            return value
    raise MetricFileError(
        f"{module.__file__} does not declare a metric named {name!r}: the function or Metric must have that name"
    )


def _place(error: BaseException) -> str:
    """``file:line: `` in the file where loading a metric failed; empty if it did not fail inside one."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: "
    inside = [
        f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).parent.name in ("catalogue", "metrics")
    ]
    inside = [f for f in inside if Path(f.filename) != Path(__file__)]
    return f"{inside[-1].filename}:{inside[-1].lineno}: " if inside else ""
