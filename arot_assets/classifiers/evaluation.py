"""How good a head is on samples that it has not seen.

Belongs here: figures, their uncertainty, the worst mistakes. Does not belong here: fitting (``head.py``), drawing
(``report.py``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
WORST = 24


@dataclass(frozen=True)
class Figure:
    """A figure with its 95 % bootstrap interval, all 0-1."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f}–{self.high:.3f})"


@dataclass(frozen=True)
class Mistake:
    """A test sample that the head classifies wrongly.

    Attributes:
        confidence: probability that the head assigns to its wrong prediction, 0-1.
    """

    sample_id: str
    label: str
    predicted: str
    confidence: float


@dataclass(frozen=True)
class Evaluation:
    """Figures of one head on the test set.

    Attributes:
        confusion: ``int64 [C, C]``, rows are true classes, columns predicted ones.
        precision, recall, f1: ``float64 [C]``; 0 for classes that were never predicted or do not occur.
        mistakes: the most confident ones first, at most ``WORST``.
    """

    classes: tuple[str, ...]
    confusion: NDArray[np.int64]
    accuracy: Figure
    macro_f1: Figure
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    mistakes: tuple[Mistake, ...]

    def per_class(self) -> list[dict[str, Any]]:
        """One row per class: support, precision, recall, F1."""
        return [
            {
                "class": name,
                "test samples": int(self.confusion[k].sum()),
                "precision": float(self.precision[k]),
                "recall": float(self.recall[k]),
                "F1": float(self.f1[k]),
            }
            for k, name in enumerate(self.classes)
        ]

    def confusion_rows(self) -> list[dict[str, Any]]:
        """One row per true class, one column per predicted class."""
        return [
            {"true \\ predicted": name, **dict(zip(self.classes, map(int, self.confusion[k]), strict=True))}
            for k, name in enumerate(self.classes)
        ]

    def as_json(self) -> dict[str, Any]:
        """The content of ``head.json``."""
        return {
            "accuracy": [self.accuracy.value, self.accuracy.low, self.accuracy.high],
            "macro_f1": [self.macro_f1.value, self.macro_f1.low, self.macro_f1.high],
            "per_class": self.per_class(),
            "confusion": self.confusion.tolist(),
        }

    @classmethod
    def from_json(cls, classes: Sequence[str], kept: Mapping[str, Any]) -> "Evaluation":
        """The inverse of ``as_json``, without the mistakes: those are in the report."""

        def column(name: str) -> NDArray[np.float64]:
            return np.array([row[name] for row in kept["per_class"]], np.float64)

        return cls(
            tuple(classes),
            np.array(kept["confusion"], np.int64),
            Figure(*kept["accuracy"]),
            Figure(*kept["macro_f1"]),
            column("precision"),
            column("recall"),
            column("F1"),
            (),
        )


def evaluate(
    classes: Sequence[str],
    sample_ids: Sequence[str],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    group_ids: Sequence[str],
    seed: int = 0,
) -> Evaluation:
    """Measure predictions.

    The intervals resample groups of near duplicates, not samples: variants of one image are not independent evidence
    (cluster bootstrap, percentile method).

    Args:
        classes: names, in the order of the columns of ``probabilities``.
        sample_ids: one for each row.
        labels: ``int64 [N]``, true classes.
        probabilities: ``float32 [N, C]``.
        group_ids: the near-duplicate group of each row.
        seed: of the resampling.

    Raises:
        ValueError: no samples.
    """
    if len(labels) == 0:
        raise ValueError("cannot evaluate a head without test samples")
    predicted = probabilities.argmax(axis=1)
    n = len(classes)
    _, group = np.unique(np.asarray(group_ids), return_inverse=True)
    by_group = np.zeros((group.max() + 1, n * n), np.int64)
    np.add.at(by_group, (group, labels * n + predicted), 1)
    confusion = by_group.sum(axis=0).reshape(n, n)
    accuracy, macro_f1, precision, recall, f1 = _figures(confusion[None].astype(np.float64))
    draws = np.random.default_rng(seed).multinomial(len(by_group), np.full(len(by_group), 1 / len(by_group)), RESAMPLES)
    resampled = (draws @ by_group).reshape(RESAMPLES, n, n).astype(np.float64)
    accuracies, macro_f1s, *_ = _figures(resampled)
    confidence = probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:WORST]
    return Evaluation(
        tuple(classes),
        confusion,
        Figure(float(accuracy[0]), *_interval(accuracies)),
        Figure(float(macro_f1[0]), *_interval(macro_f1s)),
        precision[0],
        recall[0],
        f1[0],
        tuple(
            Mistake(sample_ids[k], classes[labels[k]], classes[predicted[k]], float(confidence[k]))
            for k in worst.tolist()
        ),
    )


def _figures(confusion: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Accuracy ``[B]``, macro F1 ``[B]``, and precision, recall, F1 ``[B, C]`` of confusion matrices ``[B, C, C]``.

    Macro F1 is the mean over the classes that occur, as a true or a predicted class.
    """
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    true, said = confusion.sum(axis=2), confusion.sum(axis=1)
    precision = np.divide(hits, said, out=np.zeros_like(hits), where=said > 0)
    recall = np.divide(hits, true, out=np.zeros_like(hits), where=true > 0)
    f1 = np.divide(2 * hits, true + said, out=np.zeros_like(hits), where=true + said > 0)
    macro_f1 = f1.sum(axis=1) / (true + said > 0).sum(axis=1)
    return hits.sum(axis=1) / true.sum(axis=1), macro_f1, precision, recall, f1


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
