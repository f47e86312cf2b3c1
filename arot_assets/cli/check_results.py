"""Results of asset checks: those that failed, and those that are out of date.

Belongs here: evaluating results, without Dagster. Does not belong here: where they come from (``launch.py``,
``memory.py``), running checks (``launch.py``), what they check (the rooms' ``checks.py``).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from arot_assets.steps import Check, Graph, Key, Look

CheckId = tuple[Key, str]
"""The key of an asset, and the name of one of its checks."""


@dataclass(frozen=True)
class CheckResult:
    """The last evaluation of a check.

    Attributes:
        passed: whether what it checks holds.
        is_error: whether a failure is an error; otherwise it is a warning.
        description: what was found.
        version: the version it was evaluated for; None for a check without versions.
    """

    passed: bool
    is_error: bool
    description: str | None
    version: str | None


Results = Mapping[CheckId, CheckResult | None]
"""Check -> its last result; None if it never ran."""


def checks_of(graph: Graph) -> list[CheckId]:
    """Every check of a graph, sorted by name."""
    return [name for name, _ in _sorted(graph)]


def failed_checks(graph: Graph, results: Results) -> list[str]:
    """One line for each check of a graph that failed as an error."""
    return [line for name in checks_of(graph) if (line := check_problem(name, results.get(name)))]


def stale_checks(graph: Graph, look: Look, results: Results) -> list[CheckId]:
    """Checks with a version whose last result is for another version, or that never ran."""
    stale = []
    for name, check in _sorted(graph):
        now = check.version(look) if check.version is not None else None
        seen = results.get(name)
        if now is not None and (seen is None or seen.version != now):
            stale.append(name)
    return stale


def check_problem(check: CheckId, result: CheckResult | None) -> str:
    """A line if a check failed as an error, otherwise an empty string."""
    if result is None or result.passed or not result.is_error:
        return ""
    key, name = check
    return f"check {'/'.join(key)}:{name} failed: {result.description or 'see the UI'}"


def _sorted(graph: Graph) -> Iterator[tuple[CheckId, Check]]:
    for key, check in sorted(graph.checks(), key=lambda pair: (pair[0], pair[1].name)):
        yield (key, check.name), check
