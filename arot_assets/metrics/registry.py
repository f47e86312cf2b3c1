"""Which metrics there are: each file of ``metrics/catalogue/``, and each file of the project's own ``metrics/``.

Belongs here: finding them. A file is named after its metric, so the names are known without importing anything. A project's
metric wins over one of the catalogue of the same name.
"""

import importlib
import importlib.util
import pkgutil
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

from arot_assets.metrics import catalogue
from arot_assets.metrics.metric import Metric
from arot_assets.project import metrics_folder


def known_metrics() -> frozenset[str]:
    """The names of all metrics; imports none of them."""
    return frozenset(m.name for m in pkgutil.iter_modules(catalogue.__path__)) | frozenset(_own())


def get_metric(name: str) -> Metric:
    """The metric that the file of this name declares.

    Raises:
        KeyError: no such file.
        TypeError: the file declares no metric of its own name.
    """
    if name not in known_metrics():
        raise KeyError(f"no metric {name!r}; there are: {', '.join(sorted(known_metrics()))}")
    return _load(name, _own().get(name))


def _own() -> dict[str, Path]:
    """Name -> file of the project's own metrics."""
    folder = metrics_folder()
    return {p.stem: p for p in folder.glob("*.py") if p.stem.isidentifier()} if folder is not None else {}


@cache
def _load(name: str, file: Path | None) -> Metric:
    module = importlib.import_module(f"{catalogue.__name__}.{name}") if file is None else _import_file(name, file)
    for value in vars(module).values():
        if isinstance(value, Metric) and value.name == name:
            return value
    raise TypeError(
        f"{module.__file__} declares no metric named {name!r}: the function or Metric must be called {name!r}"
    )


def _import_file(name: str, file: Path) -> ModuleType:
    """Import a file that belongs to no package, under a name that meets no other."""
    full = f"arot_project_metrics.{name}"
    spec = importlib.util.spec_from_file_location(full, file)
    assert spec is not None and spec.loader is not None, "a file that ends in .py has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[full] = module  # as importing does: what the file defines can be pickled
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[full]
        raise
    return module
