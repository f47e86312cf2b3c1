"""How good a model is on samples that it has not seen.

Belongs here: what an evaluation holds: figures with their uncertainty, slices, baselines, mistakes. Does not belong here: making
one (``evaluate.py``), drawing it (``report.py``).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from arot_assets.classifiers.calibration import Bin
from arot_assets.classifiers.tasks import Kind

SMALL_SLICE = 30
"""Samples below which a slice says little: it is shown with its interval, and never ranked."""
PRIMARY: dict[Kind, str] = {
    "classification": "macro_f1",
    "multi_label": "average_precision",
    "regression": "spearman",
    "ordinal": "kappa",
}
"""The figure that champion and challenger are compared by, where the gate names none."""


@dataclass(frozen=True)
class Figure:
    """A figure with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f}–{self.high:.3f})"


@dataclass(frozen=True)
class Mistake:
    """A test sample that the model is wrong about.

    Attributes:
        confidence: probability of its wrong prediction, 0-1; for numbers, how far off it is.
    """

    sample_id: str
    label: str
    predicted: str
    confidence: float


@dataclass(frozen=True)
class Slice:
    """Figures of a part of the test samples."""

    name: str
    value: str
    samples: int
    figures: Mapping[str, Figure]

    @property
    def is_small(self) -> bool:
        """Whether it has too few samples to be compared."""
        return self.samples < SMALL_SLICE


@dataclass(frozen=True)
class Calibration:
    """Whether probabilities are right, before and after a temperature that was fitted on the validation samples.

    Attributes:
        temperature: divisor of the logits, 1 where none was fitted.
        before, after: expected calibration error on the test samples.
        isotonic: that of an isotonic regression; None with too few validation samples.
        reliability: bins of the calibrated probabilities on the test samples.
    """

    temperature: float
    before: float
    after: float
    isotonic: float | None
    reliability: tuple[Bin, ...]


@dataclass(frozen=True)
class Evaluation:
    """Figures of one model on the test set.

    Attributes:
        task: its kind.
        classes: of the task.
        samples, groups: how much evidence there is.
        figures: by name.
        confusion: ``[C][C]``, rows are true classes, columns predicted ones; None for tags and numbers.
        by_class: a row per class or tag.
        baselines: name -> figures of something trivial.
        calibration: None for a regression.
        mistakes: the worst first, at most ``evaluate.WORST``.
    """

    task: Kind
    classes: tuple[str, ...]
    samples: int
    groups: int
    figures: Mapping[str, Figure]
    confusion: tuple[tuple[int, ...], ...] | None
    by_class: tuple[Mapping[str, Any], ...]
    slices: tuple[Slice, ...] = ()
    baselines: Mapping[str, Mapping[str, Figure]] = field(default_factory=dict)
    calibration: Calibration | None = None
    mistakes: tuple[Mistake, ...] = ()

    def confusion_rows(self) -> list[dict[str, Any]]:
        """One row per true class, one column per predicted class."""
        rows = self.confusion or ()
        return [
            {"true \\ predicted": name, **dict(zip(self.classes, row, strict=True))}
            for name, row in zip(self.classes, rows, strict=bool(rows))
        ]

    def as_json(self) -> dict[str, Any]:
        """What is kept of it."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Evaluation":
        """The inverse of ``as_json``."""

        def of(found: Mapping[str, Any]) -> dict[str, Figure]:
            return {name: Figure(**one) for name, one in found.items()}

        said = dict(kept)
        calibration = said["calibration"]
        return cls(
            **{k: said[k] for k in ("task", "samples", "groups")},
            classes=tuple(said["classes"]),
            figures=of(said["figures"]),
            confusion=None if said["confusion"] is None else tuple(tuple(row) for row in said["confusion"]),
            by_class=tuple(said["by_class"]),
            slices=tuple(Slice(**{**one, "figures": of(one["figures"])}) for one in said["slices"]),
            baselines={name: of(one) for name, one in said["baselines"].items()},
            calibration=None
            if calibration is None
            else Calibration(**{**calibration, "reliability": tuple(Bin(**b) for b in calibration["reliability"])}),
            mistakes=tuple(Mistake(**one) for one in said["mistakes"]),
        )
