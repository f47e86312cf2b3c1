"""Which metrics there are: every ``Metric`` found in a file of ``metrics/catalogue/``.

Belongs here: finding them. A file is named after its metric, so the names are known without importing anything.
"""

import importlib
import pkgutil
from functools import cache

from arot_assets.metrics import catalogue
from arot_assets.metrics.metric import Metric


def known_metrics() -> frozenset[str]:
    """The names of all metrics; imports none of them."""
    return frozenset(m.name for m in pkgutil.iter_modules(catalogue.__path__))


@cache
def get_metric(name: str) -> Metric:
    """The metric that ``catalogue/<name>.py`` declares.

    Raises:
        KeyError: no such file.
        TypeError: the file declares no metric of its own name.
    """
    if name not in known_metrics():
        raise KeyError(f"no metric {name!r}; there are: {', '.join(sorted(known_metrics()))}")
    module = importlib.import_module(f"{catalogue.__name__}.{name}")
    for value in vars(module).values():
        if isinstance(value, Metric) and value.name == name:
            return value
    raise TypeError(
        f"{module.__file__} declares no metric named {name!r}: the function or Metric must be called {name!r}"
    )
