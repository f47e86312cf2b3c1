"""A kind of declaration: all that the commands and Dagster must know to work with one.

Belongs here: what every kind offers. Does not belong here: any kind (``kinds/``, a file each).
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from pydantic import BaseModel

from arot_assets.declarations.errors import error_at
from arot_assets.errors import did_you_mean
from resources.errors import ArotError

if TYPE_CHECKING:
    import dagster as dg

    from arot_assets.declarations.declared import Declarations
    from arot_assets.steps import Step

D = TypeVar("D", bound=BaseModel)

COMPONENTS = "arot_assets.components"
"""The module that holds a component class for each kind, so that Dagster's own tools know them."""


class Kind(ABC, Generic[D]):
    """One kind of declaration. Its docstring describes it in Dagster's UI and tools.

    Attributes:
        name: of its component class.
        model: its fields: what ``attributes`` may contain.
        noun: what one is called in errors.
        command: the subcommand of `arot` that works on one.
    """

    name: ClassVar[str]
    model: type[D]
    noun: ClassVar[str]
    command: ClassVar[str] = "run"

    @property
    def type(self) -> str:
        """What a defs.yaml states as its ``type``."""
        return f"{COMPONENTS}.{self.name}"

    def remedy(self, name: str) -> str:
        """How to declare one of this name."""
        return f"write a defs.yaml of type {self.type} that has this name"

    def fault(self, one: D, declared: "Declarations") -> ArotError | None:
        """Why a declaration with valid fields cannot be used beside the others; None if it can."""
        return None

    def tables(self, one: D) -> Mapping[str, Collection[str]]:
        """The tables that it adds to a dataset, with the tables of that dataset from which each is made."""
        return {}

    def tables_elsewhere(self, one: D, dataset: str) -> Mapping[str, Collection[str]]:
        """The same for another dataset than its own."""
        return {}

    def subsets(self, one: D) -> Iterable[tuple[str, str]]:
        """The SQL models that it needs, each with the field that names it; each must be tagged ``subset``."""
        return ()

    @abstractmethod
    def steps(self, one: D) -> "Iterable[Step]":
        """What `arot run` and `arot status` walk."""

    @abstractmethod
    def definitions(self, one: D) -> "dg.Definitions":
        """What Dagster shows and runs. Dagster is imported when this is called, not before."""


class KindOfDataset(Kind[D]):
    """A kind whose declarations are each for one dataset, named by the field ``dataset``."""

    def needs(self, one: D) -> Iterable[tuple[str, str]]:
        """The metrics that its dataset must have, each with the field that asks for it."""
        return ()

    def fault(self, one: D, declared: "Declarations") -> ArotError | None:
        """The dataset is not declared, or lacks a metric. A fault of these is reported in place of one of its own."""
        name, wanted = str(one.name), str(one.dataset)  # type: ignore[attr-defined]
        file = declared.files[name]
        dataset = declared.datasets.get(wanted)
        if dataset is None:
            hint = did_you_mean(wanted, declared.datasets)
            text = f"no dataset '{wanted}' is declared.{hint}"
            return declared.fault(wanted) or error_at(file, ("attributes", "dataset"), text)
        for metric, field in self.needs(one):
            if metric not in dataset.metrics:
                text = f"'{name}' needs the metric '{metric}': add it to the metrics of '{wanted}'"
                return declared.left_out.get(wanted, {}).get(metric) or error_at(file, ("attributes", field), text)
        return None
