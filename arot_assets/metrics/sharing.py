"""Which metrics share a pass, and the models that they need.

Belongs here: putting metrics into as few passes as their models' memory allows, and loading the models of one before any image is
decoded. Does not belong here: the pass itself (``one_pass.py``), and what fits into memory (``resources.models``).
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from arot_assets.metrics.metric import Metric
from resources.models.entry import ModelError

if TYPE_CHECKING:
    from resources.models import Models
    from resources.models.runner import Runner


def passes(models: "Models", metrics: Iterable[Metric]) -> list[frozenset[str]]:
    """The names of the metrics of each pass; those without a model are in the first one."""
    by_model: dict[str, set[str]] = {}
    plain: set[str] = set()
    for metric in metrics:
        (by_model.setdefault(metric.model, set()) if metric.model else plain).add(metric.name)
    groups = [set().union(*(by_model[name] for name in group)) for group in models.groups(list(by_model))] or [set()]
    groups[0] |= plain
    return [frozenset(group) for group in groups if group]


def load(models: "Models", metrics: Iterable[Metric]) -> "tuple[dict[str, Runner], dict[str, str]]":
    """The models of some metrics, and for each metric whose model cannot be used: why."""
    loaded: dict[str, Runner] = {}
    broken: dict[str, str] = {}
    failed: dict[str, str] = {}
    for metric in metrics:
        name = metric.model
        if name is None:
            continue
        if name not in loaded and name not in broken:
            try:
                loaded[name] = models.get(name)
            except ModelError as error:
                broken[name] = str(error)
        if name in broken:
            failed[metric.name] = broken[name]
    return loaded, failed
