"""The scale of a regression's target: learnt with mean 0 and deviation 1, given back in the labels' own units.

Belongs here: that line, and which targets have one. Does not belong here: models.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arot_assets.classifiers.tasks import Task
from arot_assets.classifiers.trainers import Targets


@dataclass(frozen=True)
class Scale:
    """``label = output * factor + offset``."""

    factor: float = 1.0
    offset: float = 0.0

    def standardised(self, values: NDArray[Any]) -> NDArray[Any]:
        """Labels as the model learns them; those of other tasks as they are."""
        if (self.factor, self.offset) == (1.0, 0.0):
            return values
        return ((values - self.offset) / self.factor).astype(np.float32)

    def of_line(self, outputs: NDArray[Any], values: NDArray[Any]) -> "Scale":
        """The scale that fits outputs to values best, never turned upside down."""
        spread = float(np.var(outputs.astype(np.float64)))
        slope = float(np.cov(outputs.astype(np.float64), values.astype(np.float64), bias=True)[0, 1]) / max(
            spread, 1e-12
        )
        slope = max(slope, 1e-6)
        return Scale(slope, float(values.mean() - slope * outputs.mean()))


def scale_of(task: Task, targets: Targets) -> Scale:
    """The weighted mean and deviation of a regression's training values; nothing for other tasks."""
    if task.kind != "regression" or task.loss == "pairwise":
        return Scale()
    values = targets.values.astype(np.float64)
    weights = targets.weights if targets.weights.sum() > 0 else np.ones(len(values))
    mean = float(np.average(values, weights=weights))
    spread = float(np.sqrt(np.average((values - mean) ** 2, weights=weights)))
    return Scale(spread if spread > 0 else 1.0, mean)
