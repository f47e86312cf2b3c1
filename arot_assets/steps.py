"""Steps: what is built, from what, and whether it is current. The graph of all work, without Dagster.

Belongs here: the question that `arot run` and `arot status` ask of every asset, and walking the graph of steps. Does
not belong here: any particular kind of asset. Each room's ``steps.py`` defines the steps of a declaration, ``graph.py``
assembles them, and the room's ``assets.py`` declares the same keys to Dagster.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from resources.tables import TablesError
from resources.warehouse import Connection

if TYPE_CHECKING:
    from resources.defaults import Resources

Key = tuple[str, ...]
"""The parts of an asset's key."""
CHECK_VERSION = "version"
"""The metadata of a check result that says which version it is for."""
T = TypeVar("T")


class Look:
    """A view of the store in which everything is determined only once. It is outdated as soon as anything is built.

    Attributes:
        resources: access to the store and the sources.
        sources: whether sources may be listed; if not, the last known state is used.
    """

    def __init__(self, resources: "Resources", sources: bool = False) -> None:
        self.resources = resources
        self.sources = sources
        self._found: dict[Hashable, Any] = {}
        self._connection: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, if it was opened."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def once(self, what: Hashable, find: Callable[[], T]) -> T:
        """The result of ``find``, called at most once per look.

        Args:
            what: identifies the result; equal keys share it.
            find: determines the result.
        """
        if what not in self._found:
            self._found[what] = find()
        found: T = self._found[what]
        return found

    def of(self, step: "Step") -> "State":
        """The state of a step, determined at most once per look; a damaged file is a fault of this step alone."""

        def state() -> State:
            try:
                return step.state(self)
            except TablesError as error:
                return State(current=False, fault=str(error))

        return self.once(("state", step.keys), state)

    def connection(self) -> Connection:
        """A connection with every view of the catalogue, open as long as this object."""
        if self._connection is None:
            self._connection = self.resources.warehouse.connect()
        return self._connection


@dataclass(frozen=True)
class State:
    """The state of one step.

    Attributes:
        current: whether a run would have nothing to do.
        shards: all shards of a sharded step, in order.
        missing: those that a run would work on.
        failing: those that have failed rows.
        rows: the rows that views show now.
        failed: the failed ones among them.
        outside: column -> number of values outside its declared range.
        lost: failed rows whose sample had a value of an earlier version.
        counts: other numbers to show, such as objects by state.
        waits: what has to exist first; a run skips such a step.
        note: what users should know beside, in a line.
        fault: why the state cannot be determined, in a line; a run skips the step, and what is made from it.
    """

    current: bool
    shards: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()
    rows: int = 0
    failed: int = 0
    outside: Mapping[str, int] = field(default_factory=dict)
    lost: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    waits: tuple[str, ...] = ()
    note: str = ""
    fault: str = ""


@dataclass(frozen=True)
class Check:
    """An asset check of a step.

    Attributes:
        name: its name.
        version: returns the version that a result would be for: if the last result is for another version, the check
            runs by itself. None for checks that only run with their asset. Returns None when there is nothing to check
            yet.
    """

    name: str
    version: Callable[[Look], str | None] | None = None


@dataclass(frozen=True)
class Step:
    """What is built in one go, usually one asset.

    Attributes:
        keys: the assets that it builds, in the order in which they are built.
        upstream: the assets that they are built from, except each other.
        state: determines whether they are current. It finds out everything it needs itself, and changes nothing, except
            that it may record that a source was seen again.
        dataset: the dataset whose shards are its partitions; empty for a step without partitions.
        together: steps with the same value run together where the graph allows it: those that share a decode, for
            example.
        retries: whether a run can compute failed rows again.
        by_hand: only a user starts it.
        checks: asset -> its checks.
        told: what users should know about the last run, one line each.
        shown: what the terminal shows after the last run; empty if there is nothing to show.
    """

    keys: tuple[Key, ...]
    upstream: tuple[Key, ...]
    state: Callable[[Look], State]
    dataset: str = ""
    together: str = ""
    retries: bool = False
    by_hand: bool = False
    checks: Mapping[Key, tuple[Check, ...]] = field(default_factory=dict)
    told: Callable[["Resources"], Sequence[str]] | None = None
    shown: Callable[["Resources"], str] | None = None

    @property
    def table(self) -> str:
        """The table whose rows its state counts: of several that are made together, the last."""
        return self.keys[-1][-1]

    @property
    def name(self) -> str:
        """Its name for users."""
        return names_of(self.keys)


def names_of(keys: Sequence[Key]) -> str:
    """The name of several assets for users: ``demo/cv2``, ``classifiers/style: labels, split, head``."""
    first = keys[0]
    if len(keys) == 1:
        return "/".join(first)
    return f"{'/'.join(first[:-1])}: {', '.join(key[-1] for key in keys)}"


class Graph:
    """All steps of a project, upstream before downstream.

    Attributes:
        steps: in this order.
        more_checks: asset -> checks that are declared elsewhere than in its step.
    """

    def __init__(self, steps: Iterable[Step], more_checks: Mapping[Key, Sequence[Check]] | None = None) -> None:
        found = list(steps)
        self.more_checks = more_checks or {}
        self._making = {key: step for step in found for key in step.keys}
        self.steps: tuple[Step, ...] = tuple(self._ordered(found))

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def checks(self) -> Iterator[tuple[Key, Check]]:
        """Every check of the assets that are built here."""
        for step in self.steps:
            for key in step.keys:
                yield from ((key, check) for check in (*step.checks.get(key, ()), *self.more_checks.get(key, ())))

    def upstream(self, step: Step) -> list[Step]:
        """The steps that build the inputs of this one."""
        made = (self._making.get(key) for key in step.upstream)
        return [other for other in made if other is not None and other is not step]

    def above(self, keys: Collection[Key]) -> "Graph":
        """The steps of these assets, and everything upstream of them."""
        wanted: set[Key] = set()
        queue = [step for key in keys if (step := self._making.get(key)) is not None]
        while queue:
            step = queue.pop()
            if step.keys[0] not in wanted:
                wanted.add(step.keys[0])
                queue += self.upstream(step)
        return Graph((step for step in self.steps if step.keys[0] in wanted), self.more_checks)

    def of_dataset(self, dataset: str) -> "Graph":
        """The steps that are built from a dataset, directly or indirectly; and those that are built from no dataset.

        The steps of a dataset are those whose keys start with its name. What they are made from belongs to them: a dataset of
        clips is cut from another of films.
        """
        origins = self._datasets()
        above = {step.keys[0] for step in self.above([key for key in self._making if key[0] == dataset])}
        wanted = (
            step
            for step in self.steps
            if step.keys[0] in above or not origins[step.keys[0]] or dataset in origins[step.keys[0]]
        )
        return Graph(wanted, self.more_checks)

    def _datasets(self) -> dict[Key, set[str]]:
        """First key of each step -> the datasets that it is built from."""
        sharded = {step.dataset for step in self.steps if step.dataset}
        found: dict[Key, set[str]] = {}
        for step in self.steps:
            own = {key[0] for key in step.keys} & sharded
            found[step.keys[0]] = own.union(*(found[other.keys[0]] for other in self.upstream(step)))
        return found

    def _ordered(self, steps: Sequence[Step]) -> Iterator[Step]:
        """Upstream first; otherwise in the given order."""
        done: set[Key] = set()
        under_way: list[Step] = []

        def visit(step: Step) -> Iterator[Step]:
            if step.keys[0] in done:
                return
            if step in under_way:
                circle = " -> ".join(other.name for other in [*under_way[under_way.index(step) :], step])
                raise ValueError(f"assets depend on each other in a circle: {circle}")
            under_way.append(step)
            for other in self.upstream(step):
                yield from visit(other)
            under_way.pop()
            done.add(step.keys[0])
            yield step

        for step in steps:
            yield from visit(step)


def batches(graph: Graph) -> Iterator[list[Step]]:
    """The steps in groups that are checked and run together, upstream first.

    A group contains steps with one value of ``together`` whose upstream steps are all in earlier groups, or earlier in
    the same one.
    """
    pending = list(graph.steps)
    inside = {step.keys[0] for step in pending}
    done: set[Key] = set()

    def ready(step: Step, beside: Collection[Key]) -> bool:
        above = {other.keys[0] for other in graph.upstream(step)} & inside
        return all(key in done or key in beside for key in above)

    while pending:
        first = next(step for step in pending if ready(step, ()))
        batch = [first]
        for step in pending:
            beside = step is not first and step.together and step.together == first.together
            if beside and ready(step, {other.keys[0] for other in batch}):
                batch.append(step)
        yield batch
        done |= {step.keys[0] for step in batch}
        pending = [step for step in pending if step.keys[0] not in done]
