"""Which tests `make check` leaves out, and how much less the others do there.

Left out is what starts processes or servers, runs Dagster, decodes films or loads a network. That is seen in what a test's function,
its fixtures and the helpers that they call name in their code, followed within ``tests``: no list of tests needs to be kept.
"""

import functools
import inspect
import os
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType

import pytest

from arot_assets.metrics.registry import get_metric, known_metrics
from resources.models.entries import known_models

PROCESSES = {"Popen", "multiprocessing", "nbclient", "subprocess"}
NETWORKS = {"fetch", "open_clip", "timm", "torch", "torchvision", "transformers"}
DAGSTER = {"build_definitions", "evaluate_automation_conditions", "execute_in_process", "materialize"}
FILMS = {"FILMS", "VideoDataset", "av"}
HEAVY = PROCESSES | NETWORKS | DAGSTER | FILMS
"""Modules, functions and classes whose use makes a test slow; so do the names of models, and of metrics that ask one."""
SERVERS = {"bucket", "hub", "swift", "s3", "hf"}
"""Fixtures that start a server in processes of its own, and schemes that stand for them in parameters."""


QUICK = "AROT_QUICK_TESTS"
"""Variable that `make check` sets."""


def draws(number: int) -> int:
    """How many examples a test takes of so many: a tenth in `make check`."""
    return max(5, number // 10) if os.environ.get(QUICK) else number


def is_slow(item: pytest.Item) -> bool:
    """Whether a test starts processes or loads what takes seconds to load."""
    if not isinstance(item, pytest.Function):
        return False
    callspec = getattr(item, "callspec", None)
    parameters = callspec.params.values() if callspec else ()
    texts = {value.lower() for value in parameters if isinstance(value, str)}
    if (SERVERS | _models()) & (texts | set(item.fixturenames)):
        return True
    fixtures = [d.func for defs in item._fixtureinfo.name2fixturedefs.values() for d in defs]  # type: ignore[attr-defined]
    code = [c for c in (item.function, *fixtures, *parameters) if isinstance(c, FunctionType | type)]
    return any(is_heavy(start) for start in code)


@functools.cache
def is_heavy(start: FunctionType | type) -> bool:
    """Whether a function or class of the tests names one of ``HEAVY``, or calls what does."""
    seen: set[object] = set()
    found: list[object] = [start]
    while found:
        one = found.pop()
        if isinstance(one, FunctionType):
            one = inspect.unwrap(one)  # a context manager, a test of hypothesis
        if not isinstance(one, FunctionType | type) or not one.__module__.startswith("tests.") or one in seen:
            continue
        seen.add(one)
        if isinstance(one, type):
            members = [
                getattr(member, "fget", None) or getattr(member, "__func__", member) for member in vars(one).values()
            ]
            found += [*members, *one.__bases__]
            continue
        names = set(_names(one.__code__))
        if (HEAVY | _models()) & {name.split(".")[0] for name in names}:
            return True
        for name in names & one.__globals__.keys():
            value = one.__globals__[name]
            if _home(value) in HEAVY:
                return True
            found.append(value)
            if isinstance(value, ModuleType) and value.__name__.startswith("tests."):
                found += [vars(value).get(used) for used in names]
    return False


def _home(value: object) -> str:
    """The package of what a global stands for: a module, a function, a class, or a value of a class."""
    named = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    return str(named).partition(".")[0]


def _names(code: CodeType) -> Iterator[str]:
    """What a function's code names, and its texts of one word."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
        elif isinstance(constant, str):
            yield constant


@functools.cache
def _models() -> set[str]:
    """The models of the catalogue, and the metrics that ask one."""
    models = set(known_models())
    return models | {name for name in set(known_metrics()) - models if get_metric(name).model is not None}
