"""Lazy access to Dagster: it is opened only when something is to be run or recorded, which is often not the case.

Belongs here: when Dagster is loaded. Does not belong here: how something is run (``launch.py``).
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from arot_assets.cli.check_results import Results, checks_of
from arot_assets.steps import Graph

if TYPE_CHECKING:
    import dagster as dg


class Runs:
    """The runs of a project, and their records; use as a context manager.

    Args:
        open_instance: opens the instance that records runs.
        definitions: loads all Dagster definitions.
        known: the last results of checks, valid until an instance is opened; None if they must be read.
    """

    def __init__(
        self,
        open_instance: "Callable[[], AbstractContextManager[dg.DagsterInstance]]",
        definitions: "Callable[[], dg.Definitions]",
        known: Results | None = None,
    ) -> None:
        self.definitions = definitions
        self._open, self._known = open_instance, known
        self._instance: dg.DagsterInstance | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace)  # what failed may be the records

    @property
    def instance(self) -> "dg.DagsterInstance":
        """The instance that records runs."""
        if self._instance is None:
            self._instance = self._stack.enter_context(self._open())
        return self._instance

    @property
    def is_open(self) -> bool:
        """Whether the instance was opened: something may have been recorded."""
        return self._instance is not None

    def last_results(self, graph: Graph) -> Results:
        """The last result of each check of a graph, in whichever run."""
        wanted = checks_of(graph)
        if not self.is_open and self._known is not None and self._known.keys() >= {*wanted}:
            return self._known
        from arot_assets.cli.launch import last_results

        return last_results(self.instance, wanted)
