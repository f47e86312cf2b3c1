"""The injected resource ``compute``: one function over many units of work, wherever they run.

Belongs here: the protocol, and the local engine. Does not belong here: Ray (``ray_cluster.py``), the choice (``choice.py``), what
a unit does (the rooms), in which order shards that other runs have come (``arot_assets.datasets.turns``).

A unit is a shard and the tables asked for: its description is small, its result too (counts; the table is in the store), so any
engine does. What a unit does must not depend on where it runs: the tables are the same, bit for bit.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol, TypeVar

from resources.errors import ArotError

A = TypeVar("A")
B = TypeVar("B")

COMPUTE_VARIABLE = "AROT_COMPUTE"
ADDRESS_VARIABLE = "RAY_ADDRESS"
ENGINES = ("local", "ray")


class ComputeError(ArotError):
    """An engine that is unknown, not installed or not reachable, or a worker that is lost for good."""


@dataclass(frozen=True)
class Needs:
    """What one unit takes on a machine.

    Attributes:
        device: whether it computes with a model, on a GPU where there is one.
    """

    device: bool = False


@dataclass(frozen=True)
class Node:
    """A machine of a cluster that works on units.

    Attributes:
        id: the engine's own; another one after it was started anew.
        name: for people.
        cores, gpus: what it has in all.
    """

    id: str
    name: str
    cores: float
    gpus: float


class Compute(Protocol):
    """An engine."""

    @property
    def is_local(self) -> bool:
        """Whether units run in this process, one after the other."""
        ...

    @property
    def divides_devices(self) -> bool:
        """Whether runs that work at the same time never get the same device from it: else somebody else has to see to that."""
        ...

    def check(self) -> None:
        """Make sure, in a moment and without joining a cluster, that work can be asked for.

        Raises:
            ComputeError: nobody answers.
        """
        ...

    def nodes(self) -> list[Node]:
        """The machines of the cluster, which is joined for that; none where units run in this process.

        Raises:
            ComputeError: it cannot be joined.
        """
        ...

    def ask(
        self, question: Callable[[], B], nodes: Sequence[Node], needs: Needs
    ) -> Iterator[tuple[Node, B | Exception]]:
        """Ask some machines, each in a process like those of its units; gives them as they answer, but for those that are lost.

        Args:
            question: can be pickled, and its answer too.
            nodes: of the cluster.
            needs: of the units to come.

        Raises:
            ComputeError: the cluster has no room for such units.
        """
        ...

    def map(self, work: Callable[[A], B], units: Iterable[A], needs: Needs) -> Generator[tuple[A, B], None, None]:
        """Run a function for every unit; gives each unit with its result, as they finish.

        Args:
            work: it, the units and the results can be pickled. It may run again if a machine is lost while it runs.
            units: read only as fast as they can be worked on.
            needs: of one unit.

        Raises:
            Exception: what the work raised; units that have not begun are left.
            ComputeError: a machine was lost, again and again.
        """
        ...

    def workers(
        self, work: Callable[[A], B], needs: Needs
    ) -> AbstractContextManager[Callable[[Iterable[A]], Generator[tuple[A, B], None, None]]]:
        """``map`` of one work, several times: what a process has loaded for it stays until the end of the ``with``.

        Args:
            work: see ``map``.
            needs: of one unit.

        Returns:
            A context manager that gives a function from units to each unit with its result, as they finish.
        """
        ...


def stays_here(compute: Compute, what: str, why: str, remedy: str = "", several: bool = False) -> list[str]:
    """What people are told of work that this process does whatever the engine; nothing where that is no surprise.

    Args:
        compute: the engine.
        what: the work.
        why: it is not handed to the engine.
        remedy: what makes it faster; empty for nothing.
        several: whether the work is named in the plural.
    """
    told = f"{what} {'are' if several else 'is'} made by this process, not by Ray: {why}"
    return [] if compute.is_local else [f"{told}; {remedy}" if remedy else told]


@dataclass(frozen=True)
class Local:
    """This process: one unit after the other, each in as many threads as there are cores."""

    @property
    def is_local(self) -> bool:
        """See ``Compute``."""
        return True

    @property
    def divides_devices(self) -> bool:
        """See ``Compute``."""
        return False

    def check(self) -> None:
        """See ``Compute``: this process is there."""

    def nodes(self) -> list[Node]:
        """See ``Compute``."""
        return []

    def ask(
        self, question: Callable[[], B], nodes: Sequence[Node], needs: Needs
    ) -> Iterator[tuple[Node, B | Exception]]:
        """See ``Compute``."""
        return iter(())

    def map(self, work: Callable[[A], B], units: Iterable[A], needs: Needs) -> Generator[tuple[A, B], None, None]:
        """See ``Compute``."""
        for unit in units:
            yield unit, work(unit)

    def workers(
        self, work: Callable[[A], B], needs: Needs
    ) -> AbstractContextManager[Callable[[Iterable[A]], Generator[tuple[A, B], None, None]]]:
        """See ``Compute``."""
        return nullcontext(lambda units: self.map(work, units, needs))
