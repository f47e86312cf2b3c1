"""Which metrics share a pass, and the models that they need.

Belongs here: putting metrics into as few passes as their models' memory allows, and loading the models of one, with the names
of a tagger's tags, before any image is decoded. Does not belong here: the pass itself (``one_pass.py``), and what fits into
memory (``resources.models``).
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from arot_assets.metrics.metric import Metric
from arot_assets.metrics.tag_lists import write_tag_list
from resources.models.entry import ModelError
from resources.models.tag_files import read_tags, tags_output
from resources.tables import Tables

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


@contextmanager
def loaded_models(
    models: "Models", metrics: Iterable[Metric], tables: Tables
) -> "Iterator[tuple[dict[str, Runner], dict[str, str]]]":
    """The models of some metrics, and for each metric whose model cannot be used: why.

    The list of a tagger's tags is written before its first row, so that ids are never without names. After the block the models
    are nobody's but the resource's, which can drop them to make room for those of the next pass.
    """
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
                keep_tag_list(models, loaded[name], metric, tables)
            except ModelError as error:
                loaded.pop(name, None)
                broken[name] = str(error)
        if name in broken:
            failed[metric.name] = broken[name]
    try:
        yield loaded, failed
    finally:
        loaded.clear()


def keep_tag_list(models: "Models", model: "Runner", metric: Metric, tables: Tables) -> None:
    """Write what the ids of a tagger's table mean, if its table has ids.

    Raises:
        ModelError: the list is not there, or not of this model.
    """
    output = tags_output(model.entry)
    if output is not None and output.name in {column.name for column in metric.columns}:
        folder = models.files.find(model.entry)
        assert folder is not None, "a model that is loaded has its files"
        write_tag_list(tables, metric.name, read_tags(model.entry, folder), model.fingerprint)
