"""All missing work of a dataset, upstream first: shared by `arot run`, `arot retry` and `arot demo`.

Belongs here: walking the graph, asking each step whether it is current, running those that are not. Does not belong here: any
kind of asset (the rooms' ``steps.py``), running in Dagster (``launch.py``).

Automation conditions do the same while the daemon runs; this covers what they cannot see (no daemon, a killed run,
partitions that were missing before the daemon's first tick).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from arot_assets.cli.check_results import Results, failed_checks, stale_checks
from arot_assets.cli.runs import Runs
from arot_assets.declarations import Declarations
from arot_assets.steps import Graph, Key, Look, State, Step, batches, names_of
from arot_assets.subsets.leftovers import leftover_models, remove_models
from arot_assets.subsets.project import Project
from arot_assets.subsets.steps import model_path
from resources.compute import compute_of
from resources.defaults import Resources

States = Mapping[Key, State]
"""First key of a step -> its state."""


@dataclass
class Work:
    """One invocation: its context, and what was done.

    Attributes:
        declared: the project's declarations.
        resources: the store and the sources.
        project: the SQL project.
        graph: the steps of both.
        runs: access to Dagster, opened when there is work.
        done: one line for each step that did something.
        made: the steps that ran, upstream first.
        totals: a line for each step of shards that worked on something: how much, how fast, at what cost.
        failures: what could not be built, one text per failed run.
        failed_checks: one line per check whose last result is a failure, from this invocation or earlier.
    """

    declared: Declarations
    resources: Resources
    project: Project
    graph: Graph
    runs: Runs
    done: list[str] = field(default_factory=list)
    made: list[Step] = field(default_factory=list)
    totals: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    failed_checks: list[str] = field(default_factory=list)

    def bring_up_to_date(self, dataset: str, tables: Sequence[str] | None = None) -> States:
        """Do all missing work of one dataset, and of what is built from it.

        Args:
            dataset: its name.
            tables: only these of its tables, and what they are built from; None for all.

        Returns:
            The resulting states. Failures are reported by ``raise_failures``.
        """
        if tables is not None:
            return self.walk(self.graph.above([(dataset, table) for table in tables]))
        graph = self.graph.of_dataset(dataset)
        states = self.walk(graph)
        results = self._run_stale_checks(graph, self.runs.last_results(graph))
        self._remove_models()
        if not self.made:
            self.resources.warehouse.refresh()  # the store may have been moved, or the catalogue removed
        self.failed_checks += failed_checks(graph, results)
        return states

    def walk(self, graph: Graph, retry: str | None = None, sources: bool = True) -> States:
        """Check each step, upstream first, and run those that are not current.

        If a step fails, what is built from it is skipped; everything else continues.

        Args:
            graph: the steps.
            retry: failed rows whose status or reason contains this text count as work too; None for missing work only.
            sources: whether to list the sources.
        """
        compute_of().check()  # told now, not after a source was listed
        look = Look(self.resources, sources)
        failed: set[Key] = set()
        try:
            for batch in batches(graph):
                steps = []
                for step in batch:
                    if failed & {*step.upstream}:
                        failed |= {*step.keys}
                    elif not step.by_hand:
                        steps.append(step)
                states = {step.keys[0]: look.of(step) for step in steps}
                failed |= self._faulty(steps, states)
                sound = [step for step in steps if not states[step.keys[0]].fault]
                if wanted := self._wanted(graph, sound, states, retry):
                    failed |= self._run(wanted, retry)
                    look.close()
                    look = Look(self.resources, sources)
            look.sources = False  # they have been listed
            return {step.keys[0]: look.of(step) for step in graph if not step.by_hand}
        finally:
            look.close()

    def materialize(self, path: Key) -> dict[str, Any]:
        """Run an asset that is only built by hand, with its checks, where the UI shows it; returns what the run recorded.

        Raises:
            click.ClickException: it failed.
        """
        import dagster as dg

        from arot_assets.cli.launch import materialize

        key = dg.AssetKey(list(path))
        outcome = materialize(self.runs.definitions(), self.runs.instance, [key])
        event = self.runs.instance.get_latest_materialization_event(key)
        found = event.asset_materialization if event is not None and event.run_id == outcome.run_id else None
        if outcome.problems or found is None:
            lines = "\n  ".join(outcome.problems) or "nothing was recorded"
            raise click.ClickException(f"{lines}\nrun {outcome.run_id} is in the UI (`arot ui`)")
        return {name: value.value for name, value in found.metadata.items()}

    def raise_failures(self) -> None:
        """Report failures, at the end, when everything else is done.

        Raises:
            click.ClickException: something failed; finished work is kept.
        """
        if self.failures:
            raise click.ClickException(
                "\n".join([*self.failures, "finished work is kept; `arot run` continues where it stopped"])
            )
        if self.failed_checks:
            raise click.ClickException("\n  ".join(["everything was computed, but", *self.failed_checks]))

    def _faulty(self, steps: Sequence[Step], states: States) -> set[Key]:
        """The keys of those steps of which nobody can tell what is there; why is told with what failed."""
        faulty = [step for step in steps if states[step.keys[0]].fault]
        lines = dict.fromkeys(states[step.keys[0]].fault for step in faulty)
        self.failures += [line for line in lines if line not in self.failures]
        return {key for step in faulty for key in step.keys}

    def _wanted(
        self, graph: Graph, steps: Sequence[Step], states: States, retry: str | None
    ) -> list[tuple[Step, tuple[str, ...]]]:
        """The steps of a batch that are not current, with the shards to work on; no shards for a step without any."""
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
        return [(step, shards[step.keys[0]]) for step in steps if step.keys[0] in shards]

    def _run(self, wanted: Sequence[tuple[Step, tuple[str, ...]]], retry: str | None) -> set[Key]:
        """Run steps: unsharded ones at once, sharded ones once per set of shards. Returns the keys of failed assets."""
        groups: dict[tuple[str, tuple[str, ...]], list[Step]] = {}
        for step, shards in wanted:
            groups.setdefault((step.dataset, shards), []).append(step)
        failed: set[Key] = set()
        for (dataset, together), steps in groups.items():
            failed |= self._materialize(steps, dataset, together, retry)
        return failed

    def _materialize(self, steps: Sequence[Step], dataset: str, shards: Sequence[str], retry: str | None) -> set[Key]:
        import dagster as dg

        from arot_assets.cli.launch import materialize
        from arot_assets.shard_progress import taken_totals

        keys = [key for step in steps for key in step.keys]
        passed = retry if all(step.retries for step in steps) else None
        assets = [dg.AssetKey(list(key)) for key in keys]
        outcome = materialize(self.runs.definitions(), self.runs.instance, assets, dataset or None, shards, passed)
        self.totals += taken_totals()
        if outcome.problems:
            self.failures.append("\n  ".join([*outcome.problems, f"run {outcome.run_id} is in the UI (`arot ui`)"]))
        failed = {tuple(key.path) for key in outcome.failed}
        made = [step for step in steps if not failed & {*step.keys}]
        self.made += made
        told = [f"{step.name}: {line}" for step in made if step.told for line in step.told(self.resources)]
        named = [key for step in made if not step.told for key in step.keys]
        self.done += told
        if named:
            self.done.append(names_of(named) + (f": {_count(shards)}" if dataset else ""))
        return failed

    def _run_stale_checks(self, graph: Graph, results: Results) -> Results:
        """Run checks that are new or changed, or whose asset was built without them. Returns the last results."""
        with Look(self.resources) as look:
            stale = stale_checks(graph, look, results)
        if not stale:
            return results
        from arot_assets.cli.launch import run_checks

        run_checks(
            self.runs.definitions(), self.runs.instance, stale
        )  # failures are reported at the end, together with older ones
        self.done.append(f"tests: {len(stale)}")
        return self.runs.last_results(graph)

    def _remove_models(self) -> None:
        """Remove the tables of SQL models that are no longer declared, if this Dagster instance built them: others may
        belong to someone else."""
        names = leftover_models(self.project, self.resources.tables)
        if not names:
            return
        import dagster as dg

        instance = self.runs.instance
        keys = {name: dg.AssetKey(list(model_path(name))) for name in names}
        ours = [n for n in names if instance.get_latest_materialization_event(keys[n]) is not None]
        if ours:
            remove_models(ours, self.resources.tables, self.resources.warehouse)
            instance.wipe_assets([keys[n] for n in ours])  # if declared again, automation sees it as missing
            self.done.append(f"SQL models removed because they are no longer declared: {', '.join(ours)}")


def _count(shards: Sequence[str]) -> str:
    return f"shard {shards[0]}" if len(shards) == 1 else f"{len(shards)} shards"
