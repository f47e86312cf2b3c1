"""All missing work of a dataset, upstream first: what `arot run`, `arot retry` and `arot demo` share.

Belongs here: walking the graph, asking each step whether it is current, running those that are not. Does not belong here: any
kind of asset (the rooms' ``steps.py``), running in Dagster (``launch.py``).

Automation conditions do the same while the daemon runs; this covers what they cannot see (no daemon, a killed run, partitions
that were missing before the daemon's first tick).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import click
import dagster as dg

from arot_assets.cli.check_results import failed_checks, stale_checks
from arot_assets.cli.launch import RunOutcome, materialize, run_checks
from arot_assets.declarations import Declarations
from arot_assets.steps import Graph, Key, Look, State, Step, batches, names_of
from arot_assets.subsets.leftovers import leftover_models, remove_models
from arot_assets.subsets.project import Project
from arot_assets.subsets.steps import model_path
from resources.defaults import Resources

States = Mapping[Key, State]
"""First key of a step -> what was found of it."""


@dataclass
class Work:
    """One invocation: what to work with, and what was done.

    Attributes:
        declared: what the project declares.
        resources: the store and the sources.
        project: its SQL.
        graph: the steps of both.
        instance: where runs are recorded.
        definitions: loads all Dagster definitions, only when there is work.
        done: one line for each step that did something.
        built_models: SQL models that were built, upstream first.
    """

    declared: Declarations
    resources: Resources
    project: Project
    graph: Graph
    instance: dg.DagsterInstance
    definitions: Callable[[], dg.Definitions]
    done: list[str] = field(default_factory=list)
    built_models: list[str] = field(default_factory=list)

    def bring_up_to_date(self, dataset: str, tables: Sequence[str] | None = None) -> States:
        """All missing work of one dataset, and of what is made from it.

        Args:
            dataset: its name.
            tables: only these of its tables, and what they are made from; None for all.

        Returns:
            What there is then.

        Raises:
            click.ClickException: a step failed; what was done before stays.
        """
        if tables is not None:
            graph = self.graph.above([(dataset, table) for table in tables])
            return self.walk(graph)
        graph = self.graph.of_dataset(dataset)
        states = self.walk(graph)
        self._run_stale_checks(graph)
        self._remove_models()
        if not self.done:
            self.resources.warehouse.refresh()  # the store may have been moved, the catalogue removed
        self._complain_of_checks(graph)
        return states

    def walk(self, graph: Graph, retry: str | None = None, sources: bool = True) -> States:
        """Ask each step, upstream first, and run those that are not current.

        Args:
            graph: the steps.
            retry: failed rows whose status or reason contains this text are work too; None for missing work alone.
            sources: whether to look at the sources.

        Raises:
            click.ClickException: a step failed; what was done before stays.
        """
        look = Look(self.resources, sources)
        try:
            for batch in batches(graph):
                steps = [step for step in batch if not step.by_hand]
                if self._run(graph, steps, {step.keys[0]: look.of(step) for step in steps}, retry):
                    look.close()
                    look = Look(self.resources, sources)
            look.sources = False  # they were looked at
            return {step.keys[0]: look.of(step) for step in graph if not step.by_hand}
        finally:
            look.close()

    def _run(self, graph: Graph, steps: Sequence[Step], states: States, retry: str | None) -> bool:
        """Run what is not current of one batch: in one go without shards, in one for each set of shards that are missing."""
        shards: dict[Key, tuple[str, ...]] = {}
        for step in steps:
            state = states[step.keys[0]]
            above = [other for other in graph.upstream(step) if other.keys[0] in shards]
            if state.waits:
                continue
            if step.dataset:
                wanted = {*state.missing, *(s for other in above if other.dataset for s in shards[other.keys[0]])}
                wanted |= {*state.failing} if retry is not None and step.retries else set()
                if wanted:
                    shards[step.keys[0]] = tuple(sorted(wanted))
            elif above or not state.current:
                shards[step.keys[0]] = ()
        groups: dict[tuple[str, tuple[str, ...]], list[Step]] = {}
        for step in steps:
            if step.keys[0] in shards:
                groups.setdefault((step.dataset, shards[step.keys[0]]), []).append(step)
        for (dataset, together), made in groups.items():
            self._materialize(made, dataset, together, retry)
        return bool(groups)

    def _materialize(self, steps: Sequence[Step], dataset: str, shards: Sequence[str], retry: str | None) -> None:
        keys = [key for step in steps for key in step.keys]
        passed = retry if all(step.retries for step in steps) else None
        assets = [dg.AssetKey(list(key)) for key in keys]
        outcome: RunOutcome = materialize(self.definitions(), self.instance, assets, dataset or None, shards, passed)
        if outcome.problems:
            lines = "\n  ".join(outcome.problems)
            raise click.ClickException(
                f"{lines}\nrun {outcome.run_id} is in the UI (`arot ui`); what was done before stays, `arot run` goes on there"
            )
        if told := [f"{step.name}: {line}" for step in steps if step.told for line in step.told(self.resources)]:
            self.done += told
        else:
            self.done.append(names_of(keys) + (f": {_count(shards)}" if dataset else ""))

    def _run_stale_checks(self, graph: Graph) -> None:
        """Checks that are new or changed, or whose asset was made without them."""
        with Look(self.resources) as look:
            stale = stale_checks(graph, look, self.instance)
        if stale:
            run_checks(self.definitions(), self.instance, stale)  # what fails is told at the end, with older failures
            self.done.append(f"tests: {len(stale)}")

    def _remove_models(self) -> None:
        """Tables of SQL models that are declared no more, if this Dagster instance built them: others are somebody else's."""
        names = leftover_models(self.project, self.resources.tables)
        keys = {name: dg.AssetKey(list(model_path(name))) for name in names}
        ours = [n for n in names if self.instance.get_latest_materialization_event(keys[n]) is not None]
        if ours:
            remove_models(ours, self.resources.tables, self.resources.warehouse)
            self.instance.wipe_assets([keys[n] for n in ours])  # put back, it is missing to automation
            self.done.append(f"SQL models removed, since they are declared no more: {', '.join(ours)}")

    def _complain_of_checks(self, graph: Graph) -> None:
        """A check that failed in an earlier run is still true when there is nothing to do now."""
        lines = failed_checks(graph, self.instance)
        if lines:
            raise click.ClickException("\n  ".join(["everything is computed, but", *lines]))


def _count(shards: Sequence[str]) -> str:
    return f"shard {shards[0]}" if len(shards) == 1 else f"{len(shards)} shards"
