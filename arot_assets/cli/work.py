"""All missing work of a dataset, in order: what `arot run`, `arot retry` and `arot demo` share.

Belongs here: which assets and shards to run next. Does not belong here: running them (``launch.py``), what is missing
(``arot_assets.status``).

Automation conditions do the same while the daemon runs; this covers what they cannot see (no daemon, a killed run, partitions
that were missing before the daemon's first tick).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import click
import dagster as dg

from arot_assets.classifiers.assets import classifier_is_current, unpartitioned_keys
from arot_assets.cli.launch import RunOutcome, failed_checks, materialize, run_checks
from arot_assets.datasets.assets import inventory_key, samples_key
from arot_assets.datasets.inventory import INVENTORY, NOT_TAKEN, PROBLEMS
from arot_assets.datasets.samples import SAMPLES
from arot_assets.declarations import Declarations, ImageDataset
from arot_assets.metrics.assets import metric_key
from arot_assets.status import DatasetStatus, dataset_status
from arot_assets.subsets.assets import model_key
from arot_assets.subsets.checks import stale_checks
from arot_assets.subsets.leftovers import leftover_models, remove_models
from arot_assets.subsets.project import Project
from arot_assets.subsets.runner import stale_models
from resources.defaults import Resources
from resources.tables import TableRef


@dataclass
class Work:
    """One invocation: what to work with, and what was done.

    Attributes:
        definitions: loads all Dagster definitions, only when there is work.
        say: tells the person one line.
        done: one line for each step that did something.
        built_models: SQL models that were built, upstream first.
    """

    declared: Declarations
    resources: Resources
    project: Project
    instance: dg.DagsterInstance
    definitions: Callable[[], dg.Definitions]
    say: Callable[[str], None]
    done: list[str] = field(default_factory=list)
    built_models: list[str] = field(default_factory=list)

    def bring_up_to_date(self, dataset: ImageDataset, metrics: Sequence[str] | None = None) -> DatasetStatus:
        """Inventory, samples, metrics, classifiers, SQL models: all missing work of one dataset.

        Args:
            dataset: its declaration.
            metrics: only these metric tables; None for all. Classifiers and SQL models are left out then.

        Raises:
            click.ClickException: a step failed; what was done before stays.
        """
        before = self.resources.tables.footer_if_any(TableRef(dataset.name, INVENTORY)) or {}
        self._step([inventory_key(dataset.name)])
        after = self.resources.tables.footer(TableRef(dataset.name, INVENTORY))
        if before.get("changed_at") != after.get("changed_at"):
            left = f"; not taken: {after[NOT_TAKEN]}" if after.get(NOT_TAKEN) else ""
            self.done.append(f"{dataset.name}/inventory: {after['change']}{left}")
            self.done.extend(f"{dataset.name}/inventory: {line}" for line in after.get(PROBLEMS, "").splitlines())
        self.fill_shards(dataset, None, metrics)
        if metrics is None:
            self.train_and_score(dataset)
            self.build_models()
            self.run_tests()
            self.remove_models()
            self._complain_of_checks(dataset)
        return self.status(dataset)

    def status(self, dataset: ImageDataset) -> DatasetStatus:
        """What is done and missing now."""
        return dataset_status(self.resources, dataset, self.declared.classifiers)

    def fill_shards(self, dataset: ImageDataset, retry: str | None, metrics: Sequence[str] | None = None) -> None:
        """Samples and metric tables: the shards that miss any, or with ``retry`` those that have failed rows."""
        status = self.status(dataset)
        samples = status.tables[SAMPLES]
        shards = samples.missing if retry is None else samples.failing
        if shards:
            self._step([samples_key(dataset.name)], dataset.name, shards, retry)
            self.done.append(f"{dataset.name}/samples: {_shards(shards)}")
        status = self.status(dataset)
        wanted = [m for m in dataset.metrics if metrics is None or m in metrics]
        tables = {m: status.tables[m] for m in wanted}
        for names, shards in _together(
            {m: sorted({*t.missing, *(t.failing if retry is not None else ())}) for m, t in tables.items()}
        ):
            self._step([metric_key(dataset.name, m) for m in names], dataset.name, shards, retry)
            self.done.append(f"{dataset.name}: {', '.join(names)}: {_shards(shards)}")

    def train_and_score(self, dataset: ImageDataset) -> None:
        """Classifiers whose labels, inputs or settings changed, and scores that are missing."""
        for name, classifier in self.declared.classifiers.items():
            if classifier.dataset != dataset.name:
                continue
            if not classifier_is_current(classifier, self.resources.tables, self.resources.warehouse):
                self._step(unpartitioned_keys(name))
                self.done.append(f"classifiers/{name}: labels, split, head")
            missing = self.status(dataset).tables[name].missing
            if missing:
                self._step([metric_key(dataset.name, name)], dataset.name, missing)
                self.done.append(f"{dataset.name}/{name}: {_shards(missing)}")

    def build_models(self) -> None:
        """SQL models whose inputs or text changed, and whose inputs are there."""
        stale = stale_models(self.project, self.resources.tables, self.resources.warehouse)
        if stale:
            self._step([model_key(name) for name in stale])
            self.built_models += stale
            self.done.append(f"SQL models: {', '.join(stale)}")

    def run_tests(self) -> None:
        """Tests of SQL models that are new or changed, or whose model was built without them."""
        stale = stale_checks(self.project, self.resources.tables, self.instance)
        if stale:
            run_checks(self.definitions(), self.instance, stale)  # what fails is told at the end, with older failures
            self.done.append(f"tests of SQL models: {len(stale)}")

    def remove_models(self) -> None:
        """Tables of SQL models that are declared no more, if this Dagster instance built them: others are somebody else's."""
        names = leftover_models(self.project, self.resources.tables)
        ours = [n for n in names if self.instance.get_latest_materialization_event(model_key(n)) is not None]
        if ours:
            remove_models(ours, self.resources.tables, self.resources.warehouse)
            self.instance.wipe_assets([model_key(n) for n in ours])  # put back, it is missing to automation
            self.done.append(f"SQL models removed, since they are declared no more: {', '.join(ours)}")

    def _complain_of_checks(self, dataset: ImageDataset) -> None:
        """A check that failed in an earlier run is still true when there is nothing to do now."""
        groups = {dataset.name, "classifiers", "models"}
        lines = failed_checks(self.definitions(), self.instance, groups)
        if lines:
            raise click.ClickException("\n  ".join(["everything is computed, but", *lines]))

    def _step(
        self,
        keys: Sequence[dg.AssetKey],
        dataset: str | None = None,
        shards: Sequence[str] = (),
        retry: str | None = None,
    ) -> None:
        outcome: RunOutcome = materialize(self.definitions(), self.instance, keys, dataset, shards, retry)
        if outcome.problems:
            lines = "\n  ".join(outcome.problems)
            raise click.ClickException(
                f"{lines}\nrun {outcome.run_id} is in the UI (`arot ui`); what was done before stays, `arot run` goes on there"
            )


def _shards(shards: Sequence[str]) -> str:
    return f"shard {shards[0]}" if len(shards) == 1 else f"{len(shards)} shards"


def _together(missing: dict[str, list[str]]) -> list[tuple[list[str], list[str]]]:
    """Groups of metrics that miss the same shards, so that each group is one decode; metrics that miss none are left out."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for metric, shards in missing.items():
        if shards:
            groups.setdefault(tuple(shards), []).append(metric)
    return [(names, list(shards)) for shards, names in groups.items()]
