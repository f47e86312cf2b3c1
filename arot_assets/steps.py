"""Steps: what is made, from what, and whether it is current. The graph of all work, without Dagster.

Belongs here: the one question that `arot run` and `arot status` ask of every asset, and walking the graph of the steps. Does
not belong here: any kind of asset. A room says in its ``steps.py`` which steps a declaration leads to, ``graph.py`` puts them
together, the room's ``assets.py`` declares the same keys to Dagster.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    import duckdb

    from resources.defaults import Resources

Key = tuple[str, ...]
"""The parts of an asset's key."""
CHECK_VERSION = "version"
"""The metadata of a check's result that says of which version it is."""
T = TypeVar("T")


class Look:
    """One look at the store: what many steps ask is found out once. It is outdated as soon as anything is made.

    Attributes:
        resources: how the store and the sources are reached.
        sources: whether sources may be listed; without, what is known of them counts.
    """

    def __init__(self, resources: "Resources", sources: bool = False) -> None:
        self.resources = resources
        self.sources = sources
        self._found: dict[Hashable, Any] = {}
        self._connection: duckdb.DuckDBPyConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, if one was opened."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def once(self, what: Hashable, find: Callable[[], T]) -> T:
        """What ``find`` gives, asked once in this look.

        Args:
            what: names it; whoever asks the same thing uses the same name.
            find: finds it out.
        """
        if what not in self._found:
            self._found[what] = find()
        found: T = self._found[what]
        return found

    def of(self, step: "Step") -> "State":
        """What is found of a step, asked once in this look."""
        return self.once(("state", step.keys), lambda: step.state(self))

    def connection(self) -> "duckdb.DuckDBPyConnection":
        """A connection with every view of the catalogue, open as long as this look lasts."""
        if self._connection is None:
            self._connection = self.resources.warehouse.connect()
        return self._connection


@dataclass(frozen=True)
class State:
    """What a look finds of one step.

    Attributes:
        current: whether a run would find nothing to do.
        shards: all shards of a step that has any, in order.
        missing: those among them that a run would work on.
        failing: those that have failed rows.
        rows: rows that views show now.
        failed: rows among them that failed.
        outside: column -> values outside the range that it declares.
        lost: failed rows whose sample had a value of an earlier version.
        counts: what else a person should see of it: objects by state, say.
        waits: what is not there yet and must come first; a run leaves such a step out.
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


@dataclass(frozen=True)
class Check:
    """An asset check of a step.

    Attributes:
        name: its name.
        version: what its result is of: a check whose last result is of another version runs by itself. None for checks
            that run with their asset only. Gives None when there is nothing to check yet.
    """

    name: str
    version: Callable[[Look], str | None] | None = None


@dataclass(frozen=True)
class Step:
    """What is made in one go, usually one asset.

    Attributes:
        keys: the assets that it makes, in the order in which they are made.
        upstream: the assets that they are made from, apart from each other.
        state: the question whether they are current. It finds out by itself what it needs; nothing is changed by asking,
            but that a source was seen again may be noted.
        dataset: whose shards its partitions are; empty for a step without partitions.
        together: steps of the same word are run in one go where the graph allows: those that share a decode, say.
        retries: whether a run can be asked to compute failed rows again.
        by_hand: only a person starts it.
        checks: asset -> its checks.
        told: what a person should know of the last run, a line each.
        shown: what a person looks at after the last run, on the terminal; empty if there is nothing to see.
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
    def name(self) -> str:
        """How people call it."""
        return names_of(self.keys)


def names_of(keys: Sequence[Key]) -> str:
    """How people call some assets: ``demo/cv2``, ``classifiers/style: labels, split, head``."""
    first = keys[0]
    if len(keys) == 1:
        return "/".join(first)
    return f"{'/'.join(first[:-1])}: {', '.join(key[-1] for key in keys)}"


class Graph:
    """All steps of a project, upstream before downstream.

    Attributes:
        steps: in that order.
        more_checks: asset -> checks that are declared elsewhere than at its step.
    """

    def __init__(self, steps: Iterable[Step], more_checks: Mapping[Key, Sequence[Check]] | None = None) -> None:
        found = list(steps)
        self.more_checks = more_checks or {}
        self._making = {key: step for step in found for key in step.keys}
        self.steps: tuple[Step, ...] = tuple(self._ordered(found))

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def making(self, key: Key) -> Step | None:
        """The step that makes an asset; None if none does, as of a table that somebody else writes."""
        return self._making.get(key)

    def checks(self) -> Iterator[tuple[Key, Check]]:
        """Every check of the assets that are made here."""
        for step in self.steps:
            for key in step.keys:
                yield from ((key, check) for check in (*step.checks.get(key, ()), *self.more_checks.get(key, ())))

    def upstream(self, step: Step) -> list[Step]:
        """The steps that make what this one is made from."""
        made = (self._making.get(key) for key in step.upstream)
        return [other for other in made if other is not None and other is not step]

    def above(self, keys: Collection[Key]) -> "Graph":
        """The steps of some assets, and everything upstream of them."""
        wanted: set[Key] = set()
        queue = [step for key in keys if (step := self._making.get(key)) is not None]
        while queue:
            step = queue.pop()
            if step.keys[0] not in wanted:
                wanted.add(step.keys[0])
                queue += self.upstream(step)
        return Graph((step for step in self.steps if step.keys[0] in wanted), self.more_checks)

    def of_dataset(self, dataset: str) -> "Graph":
        """The steps that are made, by way of others too, from a dataset; and those that are made from none.

        The steps of a dataset are those whose keys begin with its name.
        """
        origins = self._datasets()
        wanted = (step for step in self.steps if not origins[step.keys[0]] or dataset in origins[step.keys[0]])
        return Graph(wanted, self.more_checks)

    def _datasets(self) -> dict[Key, set[str]]:
        """First key of each step -> the datasets that it is made from."""
        sharded = {step.dataset for step in self.steps if step.dataset}
        found: dict[Key, set[str]] = {}
        for step in self.steps:
            own = {key[0] for key in step.keys} & sharded
            found[step.keys[0]] = own.union(*(found[other.keys[0]] for other in self.upstream(step)))
        return found

    def _ordered(self, steps: Sequence[Step]) -> Iterator[Step]:
        """Upstream first; in the given order where nothing else decides."""
        done: set[Key] = set()
        under_way: list[Step] = []

        def visit(step: Step) -> Iterator[Step]:
            if step.keys[0] in done:
                return
            if step in under_way:
                circle = " -> ".join(other.name for other in [*under_way[under_way.index(step) :], step])
                raise ValueError(f"assets are made from each other in a circle: {circle}")
            under_way.append(step)
            for other in self.upstream(step):
                yield from visit(other)
            under_way.pop()
            done.add(step.keys[0])
            yield step

        for step in steps:
            yield from visit(step)


def batches(graph: Graph) -> Iterator[list[Step]]:
    """The steps in groups to ask and to run together, upstream first.

    A group holds steps of one ``together``, all of whose upstream steps are in earlier groups, or earlier in the same one.
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
