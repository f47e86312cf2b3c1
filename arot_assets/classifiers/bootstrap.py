"""How sure a figure is: its values on resampled groups of the test samples.

Belongs here: drawing, and intervals. Does not belong here: which figures there are (``evaluation.py``).

Groups are resampled, not samples: variants of one image are not independent evidence (cluster bootstrap, percentile method;
Efron and Tibshirani, An Introduction to the Bootstrap, 1993).
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
SAMPLED = 4_000_000
"""Draws times samples of figures that need sorting: of large test sets fewer draws are made, at least ``LEAST_RESAMPLES``."""
LEAST_RESAMPLES = 200


def bootstrap(
    groups: NDArray[np.int64],
    measure: Callable[[NDArray[np.int64]], Mapping[str, float]],
    seed: int,
    draws: int = RESAMPLES,
) -> dict[str, NDArray[np.float64]]:
    """Figures of resampled groups.

    Args:
        groups: ``int64 [N]``.
        measure: rows -> figures.
        seed: the same seed draws the same groups, so that two models can be compared draw by draw.
        draws: at most; fewer of many samples.

    Returns:
        name -> ``float64 [draws]``.
    """
    _, groups = np.unique(groups, return_inverse=True)
    order = np.argsort(groups, kind="stable")
    sizes = np.bincount(groups)
    starts = np.cumsum(sizes) - sizes
    draws = max(min(draws, SAMPLED // len(groups)), min(draws, LEAST_RESAMPLES))
    random = np.random.default_rng(seed)
    found: dict[str, list[float]] = {}
    for _ in range(draws):
        drawn = random.integers(0, len(sizes), len(sizes))
        lengths = sizes[drawn]
        places = (
            np.arange(lengths.sum())
            - np.repeat(np.cumsum(lengths) - lengths, lengths)
            + np.repeat(starts[drawn], lengths)
        )
        for name, value in measure(order[places]).items():
            found.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in found.items()}


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """The middle 95 % of those that exist."""
    there = values[np.isfinite(values)]
    if not len(there):
        return float("nan"), float("nan")
    low, high = np.percentile(there, [2.5, 97.5])
    return float(low), float(high)
