"""Automation conditions tick by tick, without a daemon: what they ask for, and that they come to rest."""

from collections.abc import Callable, Iterator

import dagster as dg
import pytest

from arot_assets.automation import WHOLE, shard_condition
from arot_assets.cli.launch import RANGE_END, RANGE_START

SHARDS = dg.DynamicPartitionsDefinition(name="shards")
BURST = dg.BackfillPolicy.multi_run(50)


class Graph:
    """inventory → samples → metric (shards), and whole → summary of all shards; ``done`` is what ran, in order.

    Attributes:
        during: asset -> what to do once while it is being materialized.
        failing: assets whose materialization fails.
        unsound: whether the blocking check of ``metric`` fails.
        seen: for tests, ticks of their own.
    """

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.during: dict[str, Callable[[], None]] = {}
        self.failing: set[str] = set()
        self.unsound = False
        self.seen: list[dict[str, set[str | None]]] = []
        self.cursor: object = None
        self.definitions = dg.Definitions(
            assets=[
                self._asset("inventory", [], None, None),
                self._asset("samples", ["inventory"], shard_condition(dg.AssetKey("inventory")), SHARDS),
                self._asset("metric", ["samples"], shard_condition(), SHARDS),
                self._asset("whole", ["metric"], WHOLE, None),
                self._asset("summary", ["whole"], WHOLE, None),
            ],
            asset_checks=[self._check()],
        )

    def _asset(
        self,
        name: str,
        deps: list[str],
        condition: dg.AutomationCondition | None,
        shards: dg.PartitionsDefinition | None,
    ) -> dg.AssetsDefinition:
        @dg.asset(
            name=name,
            deps=deps,
            automation_condition=condition,
            partitions_def=shards,
            backfill_policy=BURST if shards else None,
        )
        def made() -> None:
            self.during.pop(name, lambda: None)()
            if name in self.failing:
                raise dg.Failure("as the test wants it", allow_retries=False)

        return made

    def _check(self) -> dg.AssetChecksDefinition:
        @dg.asset_check(asset="metric", blocking=True)
        def sound() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=not self.unsound)

        return sound

    def run(self, *assets: str, shard: str | None = None, last: str | None = None) -> None:
        """Materialize some assets with their checks in one run, for a shard or for all from one to the last."""
        job = self.definitions.resolve_implicit_global_asset_job_def()
        keys = [dg.AssetKey(a) for a in assets]
        tags = {RANGE_START: shard, RANGE_END: last or shard} if shard else {}
        job.execute_in_process(instance=self.instance, asset_selection=keys, tags=tags, raise_on_error=False)

    def add_shard(self, shard: str) -> None:
        """What an inventory does when new files came."""
        self.instance.add_dynamic_partitions("shards", [shard])
        self.run("inventory")

    def tick(self) -> dict[str, set[str | None]]:
        """One evaluation: asset -> partitions asked for; None stands for an asset without partitions."""
        result = dg.evaluate_automation_conditions(self.definitions, self.instance, cursor=self.cursor)  # type: ignore[arg-type]
        self.cursor = result.cursor
        names = ("samples", "metric", "whole", "summary")
        asked = {n: set(result.get_requested_partitions(dg.AssetKey(n))) for n in names}
        return {name: partitions for name, partitions in asked.items() if partitions}

    def settle(self, ticks: int = 12) -> list[dict[str, set[str | None]]]:
        """Do what is asked for until nothing is; returns what was asked for."""
        all_asked = []
        for _ in range(ticks):
            asked = self.tick()
            if not asked:
                if not self.tick() and not self.tick():
                    return all_asked
                raise AssertionError("asked for something after a tick that asked for nothing")
            all_asked.append(asked)
            for wanted in {frozenset(partitions) for partitions in asked.values()}:
                shards = sorted(p for p in wanted if p is not None)
                names = [n for n, partitions in asked.items() if partitions == wanted]
                self.run(*names, shard=shards[0] if shards else None, last=shards[-1] if shards else None)
        raise AssertionError(f"no rest after {ticks} ticks: {all_asked}")


@pytest.fixture
def graph() -> Iterator[Graph]:
    """The graph, with nothing materialized."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield Graph(instance)


def test_inventory_leads_to_everything_once_and_then_to_rest(graph: Graph) -> None:
    assert graph.tick() == {}
    graph.instance.add_dynamic_partitions("shards", ["0", "1"])
    graph.run("inventory")
    assert graph.settle() == [
        {"samples": {"0", "1"}, "metric": {"0", "1"}},
        {"whole": {None}, "summary": {None}},
    ]


def test_shards_that_were_missing_before_the_first_tick_are_asked_for(graph: Graph) -> None:
    graph.add_shard("0")
    assert graph.tick() == {"samples": {"0"}, "metric": {"0"}}


def test_ticks_while_runs_are_under_way_ask_for_nothing_more(graph: Graph) -> None:
    graph.instance.add_dynamic_partitions("shards", ["0", "1", "2"])
    graph.run("inventory")
    for asset in ("samples", "metric", "whole", "summary"):
        graph.during[asset] = lambda: graph.seen.append(graph.tick())
    assert graph.settle() == [
        {"samples": {"0", "1", "2"}, "metric": {"0", "1", "2"}},
        {"whole": {None}, "summary": {None}},
    ]
    assert graph.seen == [{}, {}, {}, {}]


def test_new_shard_is_the_only_one_worked_on(graph: Graph) -> None:
    graph.add_shard("0")
    graph.settle()
    graph.add_shard("1")
    assert graph.settle() == [{"samples": {"1"}, "metric": {"1"}}, {"whole": {None}, "summary": {None}}]


def test_inventory_without_new_shards_starts_nothing(graph: Graph) -> None:
    graph.add_shard("0")
    graph.settle()
    graph.run("inventory")
    assert graph.settle() == []


def test_work_done_by_hand_is_not_done_again(graph: Graph) -> None:
    graph.add_shard("0")
    graph.settle()
    graph.add_shard("1")
    graph.run("samples", shard="1")
    graph.run("metric", shard="1")
    asked = graph.settle()
    assert asked == [{"whole": {None}, "summary": {None}}]


def test_retried_shard_is_measured_again(graph: Graph) -> None:
    graph.add_shard("0")
    graph.add_shard("1")
    graph.settle()
    graph.run("samples", shard="1")
    assert graph.settle()[0] == {"metric": {"1"}}


def test_failed_shard_waits_for_a_person_and_holds_nothing_else_back(graph: Graph) -> None:
    graph.add_shard("0")
    graph.settle()
    graph.failing = {"metric"}
    graph.add_shard("1")
    assert graph.settle() == [{"samples": {"1"}, "metric": {"1"}}]
    graph.failing = set()
    graph.add_shard("2")
    assert graph.settle() == [{"samples": {"2"}, "metric": {"2"}}, {"whole": {None}, "summary": {None}}]
    graph.run("metric", shard="1")
    assert graph.settle() == [{"whole": {None}, "summary": {None}}]


def test_failed_model_waits_for_a_person_or_for_new_input(graph: Graph) -> None:
    graph.failing = {"whole"}
    graph.add_shard("0")
    assert graph.settle()[-1] == {"whole": {None}, "summary": {None}}
    graph.failing = set()
    graph.add_shard("1")
    assert graph.settle()[-1] == {"whole": {None}, "summary": {None}}


def test_update_while_a_model_is_being_built_is_not_lost(graph: Graph) -> None:
    graph.add_shard("0")
    graph.settle()

    def another_shard_comes() -> None:
        graph.run("metric", shard="0")
        assert graph.tick() == {}  # the model is under way

    graph.during["whole"] = another_shard_comes
    graph.run("whole")
    assert graph.settle()[0] == {"whole": {None}, "summary": {None}}


def test_update_and_model_between_two_ticks_are_looked_at_once_more(graph: Graph) -> None:
    graph.add_shard("0")
    graph.settle()
    graph.during["whole"] = lambda: graph.run("metric", shard="0")  # after the model had read its input
    graph.run("whole")
    assert graph.settle() == [{"whole": {None}, "summary": {None}}]


def test_failed_blocking_check_stops_what_is_downstream_until_it_passes(graph: Graph) -> None:
    graph.unsound = True
    graph.add_shard("0")
    assert graph.settle() == [{"samples": {"0"}, "metric": {"0"}}]
    graph.unsound = False
    graph.run("metric", shard="0")
    assert graph.settle() == [{"whole": {None}, "summary": {None}}]
