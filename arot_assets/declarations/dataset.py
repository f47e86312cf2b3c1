"""What all datasets have in common, whatever their medium.

Belongs here: checking a dataset against the catalogue of metrics, its steps and its assets. Does not belong here: a medium
(``kinds/image_dataset.py``, ``kinds/video_dataset.py``).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from pydantic import PrivateAttr, field_validator, model_validator

from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.datasets.declaration import DatasetDeclaration
from arot_assets.datasets.steps import dataset_steps
from arot_assets.declarations.errors import error_at
from arot_assets.declarations.kind import Kind
from arot_assets.errors import did_you_mean
from arot_assets.metrics.registry import known_metrics
from arot_assets.metrics.steps import metric_steps
from arot_assets.steps import Step
from resources.errors import ArotError

if TYPE_CHECKING:
    import dagster as dg

    from arot_assets.declarations.declared import Declarations


class Dataset(DatasetDeclaration):
    """A dataset whose metrics are checked against the catalogue. Names that are not in it are those of classifiers."""

    _scored_by: tuple[str, ...] = PrivateAttr(default=())

    @field_validator("metrics")
    @classmethod
    def _each_once(cls, metrics: list[str]) -> list[str]:
        if len(set(metrics)) < len(metrics):
            raise ValueError("a metric is listed twice; remove one of them")
        own = sorted({table.name for table in cls.medium.tables} & set(metrics))
        if own:
            raise ValueError(
                f"'{own[0]}' is a table of every dataset of {cls.medium.name}s; remove it from the metrics"
            )
        return metrics

    @model_validator(mode="after")
    def _names_of_classifiers(self) -> Self:
        known = known_metrics()
        others = tuple(name for name in self.metrics if name not in known)
        if others:
            self._scored_by = others
            self.metrics = [name for name in self.metrics if name in known]
        return self

    @property
    def scored_by(self) -> tuple[str, ...]:
        """The names among the declared metrics that are no metric: classifiers, whose promoted models score it."""
        return self._scored_by


def unknown_metric(name: str, declared: "Declarations") -> str:
    """Why there is no metric of a name, in a line; empty if there is one, or a classifier, even if it has a fault."""
    classifiers = declared.of(ClassifierDeclaration)
    if name in known_metrics() or name in classifiers or declared.fault(name) is not None:
        return ""
    return f"no metric {name!r}.{did_you_mean(name, [*known_metrics(), *classifiers])}"


S = TypeVar("S", bound=Dataset)


class DatasetKind(Kind[S], Generic[S]):
    """A kind of dataset."""

    noun = "dataset"

    def remedy(self, name: str) -> str:
        """How to declare one of this name, of images or of films."""
        return f"`arot new image-dataset {name} SOURCE`, or `arot new video-dataset {name} SOURCE`"

    def fault(self, one: S, declared: "Declarations") -> ArotError | None:
        """One of its metrics is neither in the catalogue nor a classifier."""
        text = next((text for name in one.scored_by if (text := unknown_metric(name, declared))), "")
        return error_at(declared.files[one.name], ("attributes", "metrics"), text) if text else None

    def steps(self, one: S) -> Iterator[Step]:
        """Inventory, samples and metric tables."""
        yield from dataset_steps(one)
        yield from metric_steps(one)

    def definitions(self, one: S) -> "dg.Definitions":
        """Assets and checks of the dataset and of its metrics."""
        import dagster as dg

        from arot_assets.datasets.assets import dataset_assets
        from arot_assets.datasets.checks import dataset_checks
        from arot_assets.metrics.assets import metric_assets
        from arot_assets.metrics.checks import metric_checks
        from resources.defaults import default_resources

        return dg.Definitions(
            assets=[*dataset_assets(one), *metric_assets(one, default_resources().models)],
            asset_checks=[*dataset_checks(one), *metric_checks(one)],
        )
