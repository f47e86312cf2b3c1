"""Whether a probability of 0.8 is right in 8 of 10 cases, and the temperature that makes it so.

Belongs here: calibration error, reliability, temperature, isotonic regression. Does not belong here: what is done with them.

Everything is fitted on validation samples and judged on test samples. Sources: temperature: Guo et al. 2017; calibration error by
bins of equal size: Nixon et al. 2019; isotonic regression: Zadrozny and Elkan 2002, which needs a thousand samples or more.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arot_assets.classifiers.tasks import Task

BINS = 15
LEAST_FOR_ISOTONIC = 1000
LEAST_FOR_TEMPERATURE = 20
RANGE = (0.05, 20.0)


@dataclass(frozen=True)
class Bin:
    """Samples of similar confidence: their number, mean confidence, and the share that is right."""

    samples: int
    confidence: float
    right: float


def reliability(confidence: NDArray[Any], right: NDArray[Any], bins: int = BINS) -> list[Bin]:
    """Bins of about equally many samples, from the least confident."""
    order = np.argsort(confidence, kind="stable")
    parts = [part for part in np.array_split(order, min(bins, len(order))) if len(part)]
    return [Bin(len(part), float(confidence[part].mean()), float(np.asarray(right)[part].mean())) for part in parts]


def calibration_error(confidence: NDArray[Any], right: NDArray[Any], bins: int = BINS) -> float:
    """Expected calibration error: the mean distance of confidence and share of right ones over ``reliability``."""
    found = reliability(confidence, right, bins)
    total = sum(one.samples for one in found)
    return sum(one.samples * abs(one.confidence - one.right) for one in found) / total if total else float("nan")


def confidences(task: Task, logits: NDArray[Any], values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """What is claimed and what is true: the confidence of each prediction and whether it is right; of tags, each probability."""
    found = task.predictions(logits).probabilities
    assert found is not None, "a regression claims no probability"
    if task.kind == "multi_label":
        return found.reshape(-1), values.reshape(-1) > 0.5
    return found.max(axis=1), found.argmax(axis=1) == values


def likelihood(task: Task, logits: NDArray[Any], values: NDArray[Any], temperature: float = 1.0) -> float:
    """Mean negative log likelihood of the truth, nats."""
    found = task.predictions(logits / temperature).probabilities
    assert found is not None
    tags = task.kind == "multi_label"
    chosen = np.where(values > 0.5, found, 1 - found) if tags else found[np.arange(len(found)), values]
    return float(-np.log(np.clip(chosen.astype(np.float64), 1e-12, 1)).mean())


def temperature_of(task: Task, logits: NDArray[Any], values: NDArray[Any]) -> float:
    """The divisor of logits with the greatest likelihood on validation samples; 1 where there are too few of them."""
    from scipy.optimize import minimize_scalar

    if task.kind == "regression" or len(values) < LEAST_FOR_TEMPERATURE:
        return 1.0
    low, high = np.log(RANGE)
    found = minimize_scalar(
        lambda log: likelihood(task, logits, values, float(np.exp(log))), bounds=(low, high), method="bounded"
    )
    best = float(np.exp(found.x))
    return best if likelihood(task, logits, values, best) < likelihood(task, logits, values) else 1.0


@dataclass(frozen=True)
class Isotonic:
    """A rising curve from what is claimed to what is true, linear between its points."""

    claimed: NDArray[np.float64]
    true: NDArray[np.float64]

    def __call__(self, confidence: NDArray[Any]) -> NDArray[np.float64]:
        """The calibrated values."""
        found: NDArray[np.float64] = np.interp(confidence, self.claimed, self.true)
        return found


def isotonic_of(confidence: NDArray[Any], right: NDArray[Any]) -> Isotonic | None:
    """The isotonic regression of validation samples; None for fewer than ``LEAST_FOR_ISOTONIC``."""
    from scipy.optimize import isotonic_regression

    if len(confidence) < LEAST_FOR_ISOTONIC:
        return None
    claimed, place, counts = np.unique(np.asarray(confidence, np.float64), return_inverse=True, return_counts=True)
    means = np.bincount(place, weights=np.asarray(right, np.float64)) / counts
    return Isotonic(claimed, isotonic_regression(means, weights=counts).x)
