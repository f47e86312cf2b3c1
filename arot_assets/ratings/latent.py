"""One latent scale from scores, pairs and rankings together.

Belongs here: the model and its fit. Does not belong here: choices (``comparisons.py``), which ratings go in (``trust.py``).

A sample has a quality theta, standard normal over the samples. A rater's score is ``offset + slope * theta + noise``, each rater
with an offset, a slope and a noise. A slope below 0 is a scale read upside down, which is believed only of a rater who
contradicts the others on samples in common. A comparison is a choice in which worths grow with the rater's own slope times
theta.

All this is fitted by expectation maximization: given the raters, theta has a normal posterior (for comparisons by Laplace's
approximation, at its mode); given that posterior, not its mode alone, the raters are estimated. The posterior's width is what
keeps one rater's noise from shrinking to nothing, and the slopes of comparisons from growing without end. Raters of few ratings
are drawn to the common offset, slope and noise.

Where two raters have no sample in common, directly or by way of others, nothing but the prior makes their scales one; ``part``
tells which samples belong together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arot_assets.ratings.comparisons import (
    Choices,
    Comparison,
    choices_of,
    derivatives,
    log_likelihood,
    parameter_gradient,
    probabilities,
)

STEPS = 300
TOLERANCE = 1e-4
DENSE = 2000
"""Samples for which the whole covariance is kept; beyond, comparisons are taken to give each sample its own share."""
DRAWS = 24
"""Of the posterior, for the raters' slopes in comparisons."""
UPSIDE_DOWN = -3.0
"""Standard errors by which a rater must contradict the others, on shared samples, to be taken to read the scale upside down."""
PRIOR_WEIGHT = 2.0
"""Ratings that the common offset, slope and noise count for in each rater's own."""


@dataclass(frozen=True)
class Scores:
    """All scores, in parallel arrays.

    Attributes:
        sample: ``int64 [N]``, numbers of samples.
        rater: ``int64 [N]``, numbers of raters.
        value: ``float64 [N]``, on the common scale.
    """

    sample: NDArray[np.int64]
    rater: NDArray[np.int64]
    value: NDArray[np.float64]


@dataclass(frozen=True)
class Latent:
    """The fitted scale.

    Attributes:
        theta: ``float64 [S]``, standard normal; higher is better for most raters.
        error: ``float64 [S]``, the standard error of theta.
        offset: ``float64 [R]``, a rater's score at theta 0; NaN without scores.
        slope: ``float64 [R]``, points of score for one of theta; NaN without scores.
        noise: ``float64 [R]``, the standard deviation of scores about that; NaN without scores.
        sharpness: ``float64 [R]``, slope of comparisons in log odds; NaN without comparisons.
        part: ``int64 [S]``, samples of one number are connected by raters and comparisons.
        steps: of the fit.
    """

    theta: NDArray[np.float64]
    error: NDArray[np.float64]
    offset: NDArray[np.float64]
    slope: NDArray[np.float64]
    noise: NDArray[np.float64]
    sharpness: NDArray[np.float64]
    part: NDArray[np.int64]
    steps: int

    def reversed(self) -> NDArray[np.bool_]:
        """``bool [R]``, the raters who read the scale upside down."""
        return np.nan_to_num(self.slope) + np.nan_to_num(self.sharpness) < 0

    def of_score(self) -> tuple[float, float]:
        """Offset and slope of the average rater who reads the scale as it is meant; 0 and 1 without scores."""
        upright = np.isfinite(self.slope) & (np.nan_to_num(self.slope) > 0)
        return (float(self.offset[upright].mean()), float(self.slope[upright].mean())) if upright.any() else (0.0, 1.0)


def fit(scores: Scores, comparisons: Sequence[Comparison], samples: int, raters: int, seed: int = 0) -> Latent:
    """Fit the scale.

    Args:
        scores: all scores.
        comparisons: all pairs and rankings.
        samples: how many samples there are.
        raters: how many raters.
        seed: of the posterior's draws.
    """
    state = _State(scores, choices_of(comparisons, samples) if comparisons else None, samples, raters, seed)
    steps, moved = 0, np.inf
    while steps < STEPS and moved > TOLERANCE:
        before = state.theta.copy()
        state.expect()
        state.maximize()
        moved = float(np.abs(state.theta - before).max(initial=0.0))
        steps += 1
    state.expect()
    return state.result(parts(scores, comparisons, samples, raters), steps)


def parts(scores: Scores, comparisons: Sequence[Comparison], samples: int, raters: int) -> NDArray[np.int64]:
    """``int64 [S]``: which samples are connected, by raters of scores or by comparisons; numbered by size, 0 is the largest."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    left, right = [scores.sample], [scores.rater + samples]
    for one in comparisons:
        left.append(np.full(len(one.samples) - 1, one.samples[0], np.int64))
        right.append(np.array(one.samples[1:], np.int64))
    i, j = np.concatenate(left), np.concatenate(right)
    count = samples + raters
    _, label = connected_components(coo_array((np.ones(len(i)), (i, j)), shape=(count, count)), directed=False)
    found, inverse, sizes = np.unique(label[:samples], return_inverse=True, return_counts=True)
    place = np.empty(len(found), np.int64)
    place[np.argsort(-sizes, kind="stable")] = np.arange(len(found))
    return place[inverse]


class _State:
    """What the fit knows so far."""

    def __init__(self, scores: Scores, choices: Choices | None, samples: int, raters: int, seed: int) -> None:
        self.scores, self.choices, self.samples, self.raters = scores, choices, samples, raters
        self.scored = np.bincount(scores.rater, minlength=raters).astype(np.float64)
        compared = np.zeros(raters) if choices is None else np.bincount(choices.rater, minlength=raters)
        self.compared = compared.astype(np.float64)
        self.spread = max(float(np.std(scores.value)), 1e-3) if len(scores.value) else 1.0
        mean = float(scores.value.mean()) if len(scores.value) else 0.0
        self.offset, self.noise = np.full(raters, mean), np.full(raters, self.spread / 2)
        self.sharpness = np.ones(raters)
        self.ties = np.full(choices.ties if choices is not None else 0, -0.5)
        self.theta, self.signs = _first_guess(scores, samples, raters)
        self.slope = self.signs * self.spread * 0.8
        self.variance = np.full(samples, 0.2)
        if self.scored.any():
            self._raters()  # before the first look at theta, or raters who saw other images would be taken for biased
        self.covariance: NDArray[np.float64] | None = None
        self.draws = np.random.default_rng(seed).standard_normal((DRAWS, samples)) if choices is not None else None

    def expect(self) -> None:
        """The posterior of theta, given the raters."""
        s, rate = self.scores, 1 / self.noise**2
        precision = 1.0 + _sums(s.sample, (self.slope**2 * rate)[s.rater], self.samples)
        pull = _sums(s.sample, (self.slope * rate)[s.rater] * (s.value - self.offset[s.rater]), self.samples)
        if self.choices is None:
            self.theta, self.variance = pull / precision, 1 / precision
            return
        self._newton(self.choices, precision, pull)

    def _newton(self, choices: Choices, precision: NDArray[np.float64], pull: NDArray[np.float64]) -> None:
        from scipy.sparse import csc_array, diags_array
        from scipy.sparse.linalg import spsolve

        theta, curvature = self.theta, csc_array(diags_array(precision, dtype=np.float64))
        for _ in range(50):
            chances = probabilities(choices, theta, self.sharpness, self.ties)
            gradient, seconds = derivatives(choices, chances, self.sharpness)
            curvature = csc_array(diags_array(precision, dtype=np.float64) + seconds)
            step = spsolve(curvature, gradient + pull - precision * theta)
            step *= min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))  # far from the mode the curvature misleads
            theta = theta + step
            if np.abs(step).max() < TOLERANCE / 10:
                break
        self.theta = theta
        if self.samples <= DENSE:
            self.covariance = np.linalg.inv(curvature.toarray())
            self.variance = np.diag(self.covariance).copy()
        else:
            self.variance = 1 / curvature.diagonal()

    def maximize(self) -> None:
        """The raters, given the posterior of theta; then theta's mean and width are set to 0 and 1 again."""
        if self.scored.any():
            self._raters()
        if self.choices is not None:
            self._choosers(self.choices)
        middle, width = (
            float(self.theta.mean()),
            float(np.sqrt(np.mean(self.theta**2 + self.variance) - self.theta.mean() ** 2)),
        )
        width = width if width > 1e-6 else 1.0
        self.offset = self.offset + self.slope * middle
        self.slope, self.sharpness = self.slope * width, self.sharpness * width
        self.theta = (self.theta - middle) / width

    def _raters(self) -> None:
        s, n = self.scores, self.scored

        def by_rater(values: NDArray[np.float64]) -> NDArray[np.float64]:
            return _sums(s.rater, values, self.raters)

        theta, width = self.theta[s.sample], self.variance[s.sample]
        has = n > 0
        common_offset = float(np.average(self.offset[has], weights=n[has]))
        common_slope = float(np.average(np.abs(self.slope[has]), weights=n[has]))
        # ridge regression on theta, whose own uncertainty counts as spread; the common line counts as a few more ratings
        s1, s2 = by_rater(theta), by_rater(theta**2 + width) + PRIOR_WEIGHT
        y1, ys = (
            by_rater(s.value) + PRIOR_WEIGHT * common_offset,
            by_rater(s.value * theta) + PRIOR_WEIGHT * common_slope,
        )
        weight = n + PRIOR_WEIGHT
        determinant = weight * s2 - s1**2
        steep = self.signs * (weight * ys - s1 * y1) / determinant
        self.slope = np.where(has, self.signs * np.maximum(steep, 0.0), self.slope)
        self.offset = np.where(has, (y1 - self.slope * s1) / weight, self.offset)
        rest = by_rater(
            (s.value - self.offset[s.rater] - self.slope[s.rater] * theta) ** 2 + self.slope[s.rater] ** 2 * width
        )
        common = max(float(rest.sum() / n.sum()), (0.02 * self.spread) ** 2)
        self.noise = np.sqrt((rest + PRIOR_WEIGHT * common) / weight)

    def _choosers(self, choices: Choices) -> None:
        """Slopes and ties, over draws of the posterior: at its mode alone they would grow without end."""
        from scipy.optimize import minimize

        assert self.draws is not None, "there are draws where there are choices"
        if self.covariance is not None:
            root = np.linalg.cholesky(self.covariance + 1e-10 * np.eye(self.samples))
            drawn = (self.theta + self.draws @ root.T).T
        else:
            drawn = (self.theta + self.draws * np.sqrt(self.variance)).T
        who = np.flatnonzero(self.compared)
        centre = float(np.average(np.abs(self.sharpness[who]), weights=self.compared[who]))

        def loss(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            slopes, ties = self.sharpness.copy(), x[len(who) :]
            slopes[who] = x[: len(who)]
            away = slopes[who] - centre
            value, gradient = 0.5 * float((away**2).sum()), np.concatenate([away, 0.01 * ties])
            value += 0.005 * float((ties**2).sum())
            chances = probabilities(choices, drawn, slopes, ties)
            value -= log_likelihood(choices, chances) / DRAWS
            of_slopes, of_ties = parameter_gradient(choices, chances, drawn, self.raters)
            gradient -= np.concatenate([of_slopes[who], of_ties]) / DRAWS
            return value, gradient

        start = np.concatenate([self.sharpness[who], self.ties])
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 8}).x
        self.sharpness[who], self.ties = found[: len(who)], found[len(who) :]

    def result(self, part: NDArray[np.int64], steps: int) -> Latent:
        """What was found, turned so that most raters read the scale as it is meant."""
        votes = (self.scored * np.sign(self.slope)).sum() + (self.compared * np.sign(self.sharpness)).sum()
        sign = -1.0 if votes < 0 else 1.0
        unscored, uncompared = self.scored == 0, self.compared == 0
        return Latent(
            sign * self.theta,
            np.sqrt(self.variance),
            np.where(unscored, np.nan, self.offset),
            np.where(unscored, np.nan, sign * self.slope),
            np.where(unscored, np.nan, self.noise),
            np.where(uncompared, np.nan, sign * self.sharpness),
            part,
            steps,
        )


def _sums(group: NDArray[np.int64], values: NDArray[np.float64], groups: int) -> NDArray[np.float64]:
    """``float64 [groups]``, the sum of the values of each group; without any, NumPy would count in integers."""
    return np.bincount(group, values, minlength=groups).astype(np.float64)


def _first_guess(scores: Scores, samples: int, raters: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the fit begins: an additive model's theta, and the raters' signs: those who contradict the others are turned."""
    signs = np.ones(raters)
    if not len(scores.value):
        return np.zeros(samples), signs
    count = np.maximum(np.bincount(scores.rater, minlength=raters), 1)
    mean = np.bincount(scores.rater, scores.value, minlength=raters) / count
    away = scores.value - mean[scores.rater]
    width = np.sqrt(np.bincount(scores.rater, away**2, minlength=raters) / count)
    standard = away / np.maximum(width, 1e-9)[scores.rater] * (width > 1e-9)[scores.rater]
    seen = np.maximum(np.bincount(scores.sample, minlength=samples), 1)
    shared = seen[scores.sample] > 1
    who, own = scores.rater[shared], standard[shared]
    for _ in range(raters):
        turned = standard * signs[scores.rater]
        total = np.bincount(scores.sample, turned, minlength=samples)
        others = (total[scores.sample] - turned)[shared] / (seen[scores.sample] - 1)[shared]
        # about the means of what is shared: raters who saw other images besides have other means
        agreement = signs * _correlation(who, own, others, raters)
        worst = int(np.argmin(agreement))
        if agreement[worst] > UPSIDE_DOWN:
            break
        signs[worst] = -signs[worst]  # one at a time: of two who contradict each other, one may be right
    return _additive(scores, signs, samples, raters), signs


def _additive(scores: Scores, signs: NDArray[np.float64], samples: int, raters: int) -> NDArray[np.float64]:
    """``float64 [S]``, standardized: what explains the scores best as the sum of a sample's and a rater's number.

    Means of standardized scores would not do: a rater who saw only good images has other means.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.linalg import lsqr

    count = len(scores.value)
    rows, columns = np.tile(np.arange(count), 2), np.concatenate([scores.sample, scores.rater + samples])
    design = coo_array((np.ones(2 * count), (rows, columns)), shape=(count, samples + raters)).tocsr()
    found = lsqr(design, (scores.value - scores.value.mean()) * signs[scores.rater], damp=1e-3, iter_lim=200)[0][
        :samples
    ]
    scored = np.bincount(scores.sample, minlength=samples) > 0
    middle, width = float(found[scored].mean()), float(found[scored].std())
    return np.where(scored, (found - middle) / (width if width > 1e-9 else 1.0), 0.0)


def _correlation(
    group: NDArray[np.int64], x: NDArray[np.float64], y: NDArray[np.float64], groups: int
) -> NDArray[np.float64]:
    """``float64 [groups]``, the correlation within each group in standard errors (r sqrt(n)); 0 where there is none."""
    n = np.maximum(np.bincount(group, minlength=groups), 1)

    def product(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
        sums = [np.bincount(group, values, minlength=groups) for values in (one * other, one, other)]
        return np.asarray(sums[0] - sums[1] * sums[2] / n, np.float64)

    width = np.sqrt(np.maximum(product(x, x) * product(y, y), 0.0))
    return np.asarray(product(x, y) / np.where(width > 1e-12, width, np.inf) * np.sqrt(n), np.float64)
