"""The champion against the challenger: whether a newly trained model may take the place of the one that scores.

Belongs here: the gate, and the comparison on the same test samples. Does not belong here: storing the decision
(``promotion.py``).

Both models are judged on the challenger's test samples of which the champion was not trained on any, and both on the same
resampled groups, so that what the groups have in common cancels out. A challenger is refused if it is worse beyond doubt (the
interval of the difference lies below 0), or worse by more than ``MOST_WORSE``: equal ones are replaced, because the new one has
seen newer labels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arot_assets.classifiers.bootstrap import bootstrap, interval
from arot_assets.classifiers.declaration import ERRORS
from arot_assets.classifiers.evaluate import all_figures
from arot_assets.classifiers.evaluation import PRIMARY, Figure
from arot_assets.classifiers.tasks import Predictions, Task

MOST_WORSE = 0.02
"""Of a figure between 0 and 1; of an error, as a share of the champion's."""


@dataclass(frozen=True)
class ModelComparison:
    """Two models on the same samples.

    Attributes:
        figure: what they are compared by.
        challenger, champion: its values.
        difference: challenger less champion, with the interval of paired draws; of an error champion less challenger, so that
            more is better.
        samples: how many.
    """

    figure: str
    challenger: float
    champion: float
    difference: Figure
    samples: int

    @property
    def refusal(self) -> str:
        """Why the challenger must not replace the champion; empty if it may."""
        most = MOST_WORSE * (self.champion if self.figure in ERRORS else 1)
        if self.difference.high >= 0 and self.difference.value >= -most:
            return ""
        return (
            f"{self.figure} {self.challenger:.3f} is worse than the {self.champion:.3f} of the model that scores, by "
            f"{-self.difference.value:.3f} (95 % interval {-self.difference.high:.3f} to {-self.difference.low:.3f}) on the same "
            f"{self.samples:,} test samples"
        )

    def __str__(self) -> str:
        return (
            f"{self.figure} {self.challenger:.3f} against {self.champion:.3f} of the model that scored before; difference "
            f"{self.difference} on the same {self.samples:,} test samples"
        )


def below_gate(figures: Mapping[str, Figure], gate: Mapping[str, float]) -> str:
    """Which figures are not as declared, in words; empty if all are."""
    missed = []
    for name, wanted in gate.items():
        value = figures[name].value
        if name in ERRORS and not value <= wanted:
            missed.append(f"{name} {value:.3f} is above {wanted:g}")
        elif name not in ERRORS and not value >= wanted:
            missed.append(f"{name} {value:.3f} is below {wanted:g}")
    return "; ".join(missed)


def compare(
    task: Task,
    gate: Mapping[str, float],
    truth: NDArray[Any],
    challenger: Predictions,
    champion: Predictions,
    groups: NDArray[np.int64],
    seed: int = 0,
) -> ModelComparison:
    """Compare two models by the first figure of the gate.

    Args:
        task: of both.
        gate: see ``ClassifierDeclaration.gate``.
        truth: as ``Targets.values``.
        challenger, champion: predictions of the same samples.
        groups: ``int64 [N]``, what is resampled.
        seed: of the resampling.
    """
    figure = next(iter(gate), PRIMARY[task.kind])
    sign = -1.0 if figure in ERRORS else 1.0

    def difference(rows: NDArray[np.int64]) -> dict[str, float]:
        one, other = (all_figures(task, truth[rows], found[rows], [figure])[figure] for found in (challenger, champion))
        return {figure: sign * (one - other)}

    everything = np.arange(len(truth))
    one, other = (all_figures(task, truth, found, [figure])[figure] for found in (challenger, champion))
    drawn = bootstrap(groups, difference, seed)[figure]
    return ModelComparison(figure, one, other, Figure(difference(everything)[figure], *interval(drawn)), len(truth))
