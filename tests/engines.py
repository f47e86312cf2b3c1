"""Engines for tests of what units go where."""

import pickle
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import dagster as dg

from resources.compute import Compute, Local, Needs, Node

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True)
class Watched:
    """An engine that says it is not local, whose work may be replaced by other work, and that keeps which units it was given."""

    engine: Compute = field(default_factory=Local)
    units: list[object] = field(default_factory=list)
    around: Callable[[Any, Any], Any] | None = None
    is_local: bool = False
    divides_devices: bool = True

    def check(self) -> None:
        """See ``Compute``."""
        self.engine.check()

    def nodes(self) -> list[Node]:
        """See ``Compute``."""
        return self.engine.nodes()

    def ask(
        self, question: Callable[[], B], nodes: Sequence[Node], needs: Needs
    ) -> Iterator[tuple[Node, B | Exception]]:
        """See ``Compute``."""
        return self.engine.ask(question, nodes, needs)

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


@dataclass(frozen=True)
class Scattered:
    """An engine that works on the last unit first, and on each twice, as if its worker had been lost before it could answer; work,
    units and results go through what they would between processes.

    Attributes:
        units: what it was given, as it was sent.
        works: what is done with units, as it was sent.
    """

    units: list[tuple[object, bytes]] = field(default_factory=list)
    works: list[bytes] = field(default_factory=list)
    is_local: bool = False
    divides_devices: bool = True

    def check(self) -> None:
        """See ``Compute``."""

    def nodes(self) -> list[Node]:
        """See ``Compute``: it has no machines of its own."""
        return []

    def ask(
        self, question: Callable[[], B], nodes: Sequence[Node], needs: Needs
    ) -> Iterator[tuple[Node, B | Exception]]:
        """See ``Compute``."""
        return iter(())

    def map(self, work: Callable[[A], B], units: Iterable[A], needs: Needs) -> Generator[tuple[A, B], None, None]:
        sent = pickle.dumps(work)
        self.works.append(sent)
        for unit in reversed(list(units)):
            self.units.append((unit, pickle.dumps(unit)))
            for _ in range(2):
                result = pickle.loads(sent)(pickle.loads(self.units[-1][1]))
            yield unit, pickle.loads(pickle.dumps(result))

    def workers(
        self, work: Callable[[A], B], needs: Needs
    ) -> AbstractContextManager[Callable[[Iterable[A]], Generator[tuple[A, B], None, None]]]:
        """See ``Compute``."""
        return nullcontext(lambda units: self.map(work, units, needs))


@dataclass(frozen=True)
class Machines(Scattered):
    """Machines whose answers are those of this one, but for what is changed."""

    changes: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def nodes(self) -> list[Node]:
        return [Node(name, name, 8.0, 1.0) for name in ("a", "b", "c", "d", "e")]

    def ask(
        self, question: Callable[[], B], nodes: Sequence[Node], needs: Needs
    ) -> Iterator[tuple[Node, B | Exception]]:
        for node in nodes:
            self.asked.append(node.id)
            sent: Any = pickle.loads(pickle.dumps(question))
            change: Any = self.changes.get(node.id, lambda seen: seen)
            yield node, change(sent())


def told(instance: dg.DagsterInstance, run: str, text: str) -> list[str]:
    """The lines of a run's log that have a text."""
    return [entry.user_message for entry in instance.all_logs(run) if text in entry.user_message]
