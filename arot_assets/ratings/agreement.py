"""Krippendorff's alpha: how far raters agree beyond chance, with an interval.

Belongs here: the coefficient for nominal, ordinal and interval data. Does not belong here: which ratings go in (``trust.py``).

Source: K. Krippendorff, Computing Krippendorff's Alpha-Reliability (2011). With the distance of ordinal data written as the
difference of the values' mid-ranks, it is that of interval data on these, so that every form needs sums alone.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Level = Literal["nominal", "ordinal", "interval"]
DRAWS = 1000
"""Of the bootstrap."""
MOST_WORK = 3e8
"""Ratings times draws; beyond it there are fewer draws, though never fewer than ``FEWEST_DRAWS``."""
FEWEST_DRAWS = 200


@dataclass(frozen=True)
class Alpha:
    """Agreement, 1 for perfect, 0 for chance, below 0 for systematic disagreement.

    Attributes:
        value: NaN where it is not defined: no unit with two ratings, or one value everywhere.
        low: 2.5 % of the bootstrap over units.
        high: 97.5 % of it.
        units: units with two ratings or more.
        ratings: their ratings.
    """

    value: float
    low: float
    high: float
    units: int
    ratings: int

    def __str__(self) -> str:
        if not np.isfinite(self.value):
            return f"not defined ({self.units:,} samples have two ratings or more)"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def alpha(units: NDArray[np.int64], values: NDArray[np.float64], level: Level, seed: int = 0) -> Alpha:
    """Krippendorff's alpha with a 95 % interval by bootstrap over units.

    Args:
        units: ``int64 [N]``, the unit (sample) of each rating; each rating of a unit is by another rater.
        values: ``float64 [N]``; codes of classes for nominal data.
        level: of measurement.
        seed: of the bootstrap.
    """
    _, unit, sizes = np.unique(units, return_inverse=True, return_counts=True)
    kept = sizes[unit] >= 2
    if not kept.any():
        return Alpha(float("nan"), float("nan"), float("nan"), 0, 0)
    _, unit = np.unique(unit[kept], return_inverse=True)
    _, code = np.unique(values[kept], return_inverse=True)
    point = values[kept].astype(np.float64)
    count = int(unit.max()) + 1
    found = _alpha(unit, code, point, level, np.ones(count))
    rng = np.random.default_rng(seed)
    draws = int(np.clip(MOST_WORK / len(unit), FEWEST_DRAWS, DRAWS))
    drawn = [
        _alpha(unit, code, point, level, np.bincount(rng.integers(0, count, count), minlength=count).astype(np.float64))
        for _ in range(draws)
    ]
    low, high = np.nanquantile(drawn, (0.025, 0.975)) if np.isfinite(drawn).any() else (np.nan, np.nan)
    return Alpha(found, float(low), float(high), count, len(unit))


def _alpha(
    unit: NDArray[np.int64],
    code: NDArray[np.int64],
    values: NDArray[np.float64],
    level: Level,
    weights: NDArray[np.float64],
) -> float:
    """The coefficient with each unit counted ``weights`` times."""
    size = np.bincount(unit).astype(np.float64)
    weight = weights[unit]
    marginal = np.bincount(code, weight)
    total = float(marginal.sum())
    if level == "nominal":
        of_unit = np.zeros((len(size), len(marginal)))
        np.add.at(of_unit, (unit, code), 1.0)
        differing = size**2 - (of_unit**2).sum(1)
        expected = total**2 - float((marginal**2).sum())
    else:
        place = (np.cumsum(marginal) - marginal / 2)[code] if level == "ordinal" else values
        place = place - np.average(place, weights=weight)  # against cancellation
        first, second = np.bincount(unit, place), np.bincount(unit, place**2)
        differing = 2 * (size * second - first**2)
        expected = 2 * (total * float((weight * place**2).sum()) - float((weight * place).sum()) ** 2)
    observed = float((weights * differing / (size - 1)).sum())
    return 1 - (total - 1) * observed / expected if expected > 1e-12 * max(total, 1) else float("nan")
