"""The graph of steps: what is asked and run, in which order; that a new kind needs no more than its steps."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import click
import dagster as dg
import pytest
from rich.console import Console

from arot_assets.cli.runs import Runs
from arot_assets.cli.status import _show_dataset, _show_others
from arot_assets.cli.work import Work
from arot_assets.declarations import Declarations, load_declarations
from arot_assets.definitions import build_definitions
from arot_assets.graph import project_graph
from arot_assets.project import sql_folder
from arot_assets.steps import Check, Graph, Key, Look, State, Step, batches
from arot_assets.subsets.load import load_project
from resources.defaults import Resources
from resources.tables import StoreFile
from tests.conftest import Dataset

SHARDS = dg.DynamicPartitionsDefinition(name="d_shards")


def step(key: Key, *upstream: Key, together: str = "", dataset: str = "") -> Step:
    return Step((key,), upstream, lambda _look: State(True), together=together, dataset=dataset)


def names(groups: Iterator[list[Step]]) -> list[list[str]]:
    return [[one.name for one in group] for group in groups]


def test_steps_come_after_what_they_are_made_from_in_whatever_order_they_are_declared() -> None:
    graph = Graph([step(("c",), ("b",), ("a",)), step(("b",), ("a",)), step(("a",))])
    assert [one.name for one in graph] == ["a", "b", "c"]
    assert [one.name for one in graph.above([("b",)])] == ["a", "b"]


def test_circle_is_named() -> None:
    with pytest.raises(ValueError, match="a -> b -> a"):
        Graph([step(("a",), ("b",)), step(("b",), ("a",))])


def test_steps_of_one_kind_are_run_together_as_far_as_the_graph_allows() -> None:
    models = {"together": "models"}
    graph = Graph(
        [
            step(("models", "a"), ("d", "x"), **models),
            step(("models", "b"), ("models", "a"), **models),
            step(("labels",), ("models", "b")),
            step(("models", "c"), ("labels",), **models),
            step(("d", "x"), dataset="d"),
        ]
    )
    assert names(batches(graph)) == [["d/x"], ["models/a", "models/b"], ["labels"], ["models/c"]]


def test_dataset_has_what_is_made_from_it_and_what_is_made_from_none() -> None:
    graph = Graph(
        [
            step(("d", "x"), dataset="d"),
            step(("e", "x"), dataset="e"),
            step(("models", "both"), ("d", "x"), ("e", "x")),
            step(("models", "other"), ("e", "x")),
            step(("models", "file")),
        ]
    )
    assert [one.name for one in graph.of_dataset("d")] == ["d/x", "models/both", "models/file"]


@dataclass
class Poems:
    """A kind of asset that nothing in the package knows: a poem of each shard, and a book of all poems.

    Attributes:
        resources: where they are stored.
        shards: those of the dataset.
        made: what ran, in order.
        sound: whether the check of the book passes.
    """

    resources: Resources
    shards: Sequence[str]
    made: list[str] = field(default_factory=list)
    sound: bool = True

    def poem(self, shard: str) -> StoreFile:
        return StoreFile(f"poems/{shard}.txt")

    def steps(self) -> list[Step]:
        return [
            Step((("d", "poem"),), (("d", "samples"),), self.poem_state, dataset="d"),
            Step(
                (("books", "poems"),), (("d", "poem"),), self.book_state, checks={("books", "poems"): (Check("sound"),)}
            ),
        ]

    def poem_state(self, _look: Look) -> State:
        missing = tuple(s for s in self.shards if not self.resources.tables.exists(self.poem(s)))
        rows = len(self.shards) - len(missing)
        return State(current=not missing, shards=tuple(self.shards), missing=missing, rows=rows)

    def book_text(self) -> bytes:
        return b"".join(self.resources.tables.read_bytes(self.poem(s)) for s in self.shards)

    def book_state(self, look: Look) -> State:
        place = StoreFile("poems/book.txt")
        if not look.resources.tables.exists(place):
            return State(current=False)
        return State(current=look.resources.tables.read_bytes(place) == self.book_text(), rows=1)

    def definitions(self) -> dg.Definitions:
        tables = self.resources.tables

        @dg.asset(key=["d", "poem"], partitions_def=SHARDS, backfill_policy=dg.BackfillPolicy.multi_run(50))
        def poem(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
            for shard in context.partition_keys:
                tables.write_bytes(shard.encode(), self.poem(shard))
                self.made.append(f"poem {shard}")
            return dg.MaterializeResult()

        @dg.asset(key=["books", "poems"], deps=[["d", "poem"]])
        def book() -> dg.MaterializeResult:
            tables.write_bytes(self.book_text(), StoreFile("poems/book.txt"))
            self.made.append("book")
            return dg.MaterializeResult()

        @dg.asset_check(asset=["books", "poems"])
        def sound() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=self.sound)

        return dg.Definitions([poem, book], asset_checks=[sound])


@pytest.fixture
def poems(dataset: Dataset) -> Poems:
    """The kind, over the shards of a dataset that has its samples."""
    dataset.run()
    return Poems(dataset.resources, dataset.shards())


@pytest.fixture
def work(poems: Poems, dataset: Dataset) -> Iterator[Callable[[], Work]]:
    """Makes invocations over one Dagster instance."""
    from arot_assets.datasets.steps import dataset_steps

    graph = Graph([*poems.steps(), *dataset_steps(dataset.declaration)])
    project = load_project(sql_folder())
    with dg.DagsterInstance.ephemeral() as instance:
        yield lambda: Work(
            Declarations(), dataset.resources, project, graph, Runs(lambda: nullcontext(instance), poems.definitions)
        )


def test_new_kind_is_run_by_its_steps_alone_and_only_where_it_is_missing(
    poems: Poems, work: Callable[[], Work]
) -> None:
    first = work()
    first.bring_up_to_date("d")
    assert poems.made == ["poem 00000", "poem 00001", "poem 00002", "book"]
    assert first.done == ["d/poem: 3 shards", "books/poems"]
    again = work()
    again.bring_up_to_date("d")
    assert again.done == [] and len(poems.made) == 4
    poems.resources.storage.delete(poems.resources.tables.uri(poems.poem("00001")))
    third = work()
    third.bring_up_to_date("d", ["poem"])
    assert third.done == ["d/poem: shard 00001"]


def test_failed_check_of_a_new_kind_is_told_as_long_as_it_fails(poems: Poems, work: Callable[[], Work]) -> None:
    poems.sound = False
    for _ in range(2):
        again = work()
        again.bring_up_to_date("d")
        with pytest.raises(click.ClickException, match="books/poems:sound failed"):
            again.raise_failures()
    assert len(poems.made) == 4


def test_nothing_to_do_loads_no_definitions(
    poems: Poems, work: Callable[[], Work], monkeypatch: pytest.MonkeyPatch
) -> None:
    work().bring_up_to_date("d")
    monkeypatch.setattr(poems, "definitions", lambda: pytest.fail("definitions were built"))
    again = work()
    again.bring_up_to_date("d")
    assert again.made == [] and again.failures == []


def test_new_kind_is_in_status_by_its_steps_alone(poems: Poems, work: Callable[[], Work]) -> None:
    console = Console(width=120, record=True)

    def status() -> str:
        with Look(poems.resources) as look:
            _show_dataset(console, work().graph, look, "d")
            _show_others(console, work().graph, look, {"d"})
        return console.export_text()

    before = status()
    assert "poem" in before and "0 of 3" in before and "to be built" in before
    work().bring_up_to_date("d")
    after = status()
    assert "3 of 3" in after and "current" in after


def test_every_asset_and_check_of_the_project_has_its_step() -> None:
    graph = project_graph(load_declarations(), load_project(sql_folder()))
    known = build_definitions().resolve_asset_graph()
    steps = {key: one for one in graph for key in one.keys}
    assert {tuple(key.path) for key in known.materializable_asset_keys} == steps.keys()
    assert {(tuple(k.asset_key.path), k.name) for k in known.asset_check_keys} == {
        (key, check.name) for key, check in graph.checks()
    }
    for one in graph:
        parents = {tuple(p.path) for key in one.keys for p in known.get(dg.AssetKey(list(key))).parent_keys}
        assert parents - {*one.keys} == {*one.upstream}, one.name
        partitioned = {known.get(dg.AssetKey(list(key))).is_partitioned for key in one.keys}
        assert partitioned == {bool(one.dataset)}, one.name


def test_step_that_fails_stops_what_is_made_from_it_and_nothing_else(dataset: Dataset) -> None:
    """`fails` and `below` are missing, `aside` is made though it comes after them."""
    made: list[str] = []

    def made_by(name: str) -> Callable[[Look], State]:
        return lambda _look: State(current=name in made)

    graph = Graph(
        [
            Step((("x", "fails"),), (), made_by("fails")),
            Step((("x", "below"),), (("x", "fails"),), made_by("below")),
            Step((("x", "aside"),), (), made_by("aside")),
        ]
    )

    def asset_of(name: str, *deps: str) -> dg.AssetsDefinition:
        @dg.asset(key=["x", name], deps=[["x", d] for d in deps])
        def body() -> None:
            if name == "fails":
                raise dg.Failure("the disk is full")
            made.append(name)

        return body

    defs = dg.Definitions([asset_of("fails"), asset_of("below", "fails"), asset_of("aside")])
    with dg.DagsterInstance.ephemeral() as instance:
        runs = Runs(lambda: nullcontext(instance), lambda: defs)
        work = Work(Declarations(), dataset.resources, load_project(sql_folder()), graph, runs)
        work.walk(graph)
        assert made == ["aside"] and work.done == ["x/aside"]
        with pytest.raises(click.ClickException, match="the disk is full"):
            work.raise_failures()
