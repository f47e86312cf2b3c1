"""A classifier of the samples of a dataset."""

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.steps import classifier_steps
from arot_assets.declarations.errors import error_at
from arot_assets.declarations.kind import KindOfDataset
from arot_assets.declarations.kinds.ratings import evaluation_sets
from arot_assets.errors import did_you_mean
from arot_assets.metrics.registry import known_metrics
from arot_assets.ratings.declaration import RatingsDeclaration
from arot_assets.ratings.groups import PHASH
from arot_assets.steps import Step
from resources.errors import ArotError

if TYPE_CHECKING:
    import dagster as dg

    from arot_assets.declarations.declared import Declarations


class Classifiers(KindOfDataset[ClassifierDeclaration]):
    """A small classifier on stored embeddings or on images: labels, split, model, and its scores as a metric table."""

    name, noun = "Classifier", "classifier"
    command = "promote"
    model = ClassifierDeclaration

    def needs(self, one: ClassifierDeclaration) -> Iterator[tuple[str, str]]:
        """What it is trained on, and near-duplicates, which the split keeps together."""
        yield from ((table, "inputs") for table in (*one.tables, PHASH))

    def fault(self, one: ClassifierDeclaration, declared: "Declarations") -> ArotError | None:
        """The dataset lacks something, has several rows a sample, or has a metric of the classifier's name."""
        file, dataset = declared.files[one.name], declared.datasets.get(one.dataset)
        if dataset is not None and dataset.medium.tables:
            text = f"'{dataset.name}' has several stills for each {dataset.medium.name}; classifiers take samples with one row"
            return error_at(file, ("attributes", "dataset"), text)
        fault = super().fault(one, declared)
        if fault is None and one.name in known_metrics():
            text = f"'{one.name}' is the name of a metric; choose another name"
            fault = error_at(file, ("attributes", "name"), text)
        ratings, pairs = declared.of(RatingsDeclaration), one.labels.pairs
        if fault is None and pairs is not None and pairs not in ratings:
            text = f"no ratings '{pairs}' are declared.{did_you_mean(pairs, ratings)}"
            fault = declared.fault(pairs) or error_at(file, ("attributes", "labels", "pairs"), text)
        if dataset is not None:
            one.set_files(dataset)
        one.set_evaluation_sets(evaluation_sets(declared))
        return fault

    def tables(self, one: ClassifierDeclaration) -> Mapping[str, Collection[str]]:
        """Its scores."""
        return {one.name: (*one.tables, PHASH)}

    def tables_elsewhere(self, one: ClassifierDeclaration, dataset: str) -> Mapping[str, Collection[str]]:
        """Its scores, where another dataset lists it among its metrics."""
        return {one.name: one.tables} if dataset in one.elsewhere else {}

    def steps(self, one: ClassifierDeclaration) -> list[Step]:
        """Labels, split, model, scores."""
        return classifier_steps(one)

    def definitions(self, one: ClassifierDeclaration) -> "dg.Definitions":
        """Assets and checks of this classifier."""
        import dagster as dg

        from arot_assets.classifiers.assets import classifier_assets
        from arot_assets.classifiers.checks import classifier_checks
        from arot_assets.datasets.assets import shard_partitions

        return dg.Definitions(
            assets=classifier_assets(one, shard_partitions(one.dataset)), asset_checks=[*classifier_checks(one)]
        )


KIND = Classifiers()
