"""Engines for tests of what units go where."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import dagster as dg

from resources.compute import Compute, Local, Needs

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True)
class Watched:
    """An engine that says it is not local, whose work may be replaced by other work, and that keeps which units it was given."""

    engine: Compute = field(default_factory=Local)
    units: list[object] = field(default_factory=list)
    around: Callable[[Any, Any], Any] | None = None
    is_local: bool = False

    def map(self, work: Callable[[A], B], units: Iterable[A], needs: Needs) -> Generator[tuple[A, B], None, None]:
        """See ``Compute``."""
        run = work if self.around is None else partial(self.around, work)
        for unit, result in self.engine.map(run, units, needs):
            self.units.append(unit)
            yield unit, result

    @contextmanager
    def workers(
        self, work: Callable[[A], B], needs: Needs
    ) -> Iterator[Callable[[Iterable[A]], Generator[tuple[A, B], None, None]]]:
        """See ``Compute``."""
        with self.engine.workers(work if self.around is None else partial(self.around, work), needs) as run:

            def watched(units: Iterable[A]) -> Generator[tuple[A, B], None, None]:
                for unit, result in run(units):
                    self.units.append(unit)
                    yield unit, result

            yield watched


def told(instance: dg.DagsterInstance, run: str, text: str) -> list[str]:
    """The lines of a run's log that have a text."""
    return [entry.user_message for entry in instance.all_logs(run) if text in entry.user_message]
