"""What a model is to learn, and what its numbers mean.

Belongs here: the four tasks, how many numbers a model gives for each, and the way from those numbers to probabilities and scores.
It is the catalogue's own arithmetic (``resources.models.outputs``), so that what is evaluated is what will be stored. numpy only.
Does not belong here: losses (``trainers/losses.py``), figures (``figures.py``).
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from resources.models.output_values import activated
from resources.models.outputs import Activation, Ordinal, Probabilities, Score

Kind = Literal["classification", "multi_label", "regression", "ordinal"]
Loss = Literal["auto", "cross_entropy", "bce", "mse", "huber", "coral", "corn", "pairwise"]
LOSSES: dict[Kind, tuple[Loss, ...]] = {
    "classification": ("cross_entropy",),
    "multi_label": ("bce",),
    "regression": ("mse", "huber", "pairwise"),
    "ordinal": ("corn", "coral"),
}
"""The losses of each task; the first is what ``auto`` means."""
ACTIVATIONS: dict[Loss, Activation] = {
    "cross_entropy": "softmax",
    "bce": "sigmoid",
    "mse": "none",
    "huber": "none",
    "pairwise": "none",
    "coral": "cumulative",
    "corn": "conditional",
}


@dataclass(frozen=True)
class Predictions:
    """What a model says of N samples.

    Attributes:
        probabilities: ``float32 [N, C]`` of the classes, tags or levels; None for regression.
        scores: ``float64 [N]``: the value of a regression, the expected level of an ordinal scale; None otherwise.
    """

    probabilities: NDArray[np.float32] | None
    scores: NDArray[np.float64] | None

    def __getitem__(self, rows: Any) -> "Predictions":
        """Those of some samples."""
        return Predictions(
            None if self.probabilities is None else self.probabilities[rows],
            None if self.scores is None else self.scores[rows],
        )


@dataclass(frozen=True)
class Task:
    """What is learnt.

    Attributes:
        kind: which of the four.
        classes: names of the classes, tags or levels, in the order of the outputs; levels from the lowest. Empty for regression.
        loss: one of ``LOSSES[kind]``.
    """

    kind: Kind
    classes: tuple[str, ...]
    loss: Loss

    @property
    def width(self) -> int:
        """How many numbers a model gives for a sample."""
        if self.kind == "regression":
            return 1
        return len(self.classes) - (self.kind == "ordinal")

    def values(self) -> tuple[float, ...]:
        """The value of each level: the number that it is named with if all are numbers, otherwise 0, 1, 2 …"""
        try:
            return tuple(float(name) for name in self.classes)
        except ValueError:
            return tuple(float(k) for k in range(len(self.classes)))

    def predictions(self, logits: NDArray[Any]) -> Predictions:
        """``[N, width]`` -> what they say."""
        if self.kind == "regression":
            return Predictions(None, logits.reshape(len(logits), -1)[:, 0].astype(np.float64))
        found = activated(logits, ACTIVATIONS[self.loss])
        if self.kind == "ordinal":
            return Predictions(found, found.astype(np.float64) @ np.asarray(self.values()))
        return Predictions(found, None)

    def outputs(self, meaning: str) -> tuple[Probabilities | Score | Ordinal, ...]:
        """The columns of the model's table, as a catalogue entry states them.

        Args:
            meaning: what is scored, for the descriptions of the columns.
        """
        activation = ACTIVATIONS[self.loss]
        if self.kind == "regression":
            return (Score("score", meaning),)
        if self.kind == "ordinal":
            return (Ordinal("ordinal", self.classes, self.values(), meaning, activation=activation),)
        if self.kind == "multi_label":
            return tuple(
                Score(
                    "score", f"probability of {tag}, 0-1", tag_column(tag), index=k, activation="sigmoid", low=0, high=1
                )
                for k, tag in enumerate(self.classes)
            )
        return (Probabilities("probabilities", self.classes, meaning, confidence="confidence"),)


def tag_column(name: str) -> str:
    """The column of a tag's probability, as the catalogue names those of classes."""
    return "p_" + "".join(c if c.isascii() and c.isalnum() else "_" for c in name.lower())


def loss_of(kind: Kind, asked: Loss) -> Loss:
    """The loss that is meant.

    Raises:
        ValueError: it is none of the task's.
    """
    if asked == "auto":
        return LOSSES[kind][0]
    if asked not in LOSSES[kind]:
        raise ValueError(f"loss {asked!r} is not one of task {kind!r}, which has: {', '.join(LOSSES[kind])}")
    return asked
