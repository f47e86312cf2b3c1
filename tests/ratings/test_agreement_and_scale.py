"""Agreement and the latent scale against known answers: published tables, reference packages, planted truths."""

from collections.abc import Sequence

import krippendorff
import numpy as np
import pytest
from numpy.typing import NDArray

from arot_assets.ratings.agreement import alpha
from arot_assets.ratings.comparisons import Comparison, choices_of, derivatives, log_likelihood, probabilities
from arot_assets.ratings.latent import Latent, Scores, fit

NONE = float("nan")
PUBLISHED = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NONE, NONE, NONE],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NONE, 3],
        [NONE, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NONE],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NONE],
    ]
)
"""Krippendorff 2011, 4 observers, 12 units."""
NO_SCORES = Scores(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


@pytest.mark.parametrize(("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_of_the_published_example(level: str, published: float) -> None:
    units = np.nonzero(~np.isnan(PUBLISHED))[1]
    found = alpha(units, PUBLISHED[~np.isnan(PUBLISHED)], level)  # type: ignore[arg-type]
    assert round(found.value, 3) == published
    assert found.low < found.value < found.high
    assert (found.units, found.ratings) == (11, 40)


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
def test_alpha_is_that_of_krippendorff(level: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        table = rng.integers(1, 8, (5, 40)).astype(float) + rng.integers(0, 2, (1, 40)) * 3
        table[rng.random(table.shape) < 0.4] = np.nan
        units = np.nonzero(~np.isnan(table))[1]
        ours = alpha(units, table[~np.isnan(table)], level).value  # type: ignore[arg-type]
        assert ours == pytest.approx(krippendorff.alpha(table, level_of_measurement=level), abs=1e-12)


def test_alpha_is_not_defined_where_nothing_can_differ() -> None:
    assert np.isnan(alpha(np.array([0, 1, 2]), np.array([1.0, 2, 3]), "ordinal").value)
    assert np.isnan(alpha(np.array([0, 0, 1, 1]), np.full(4, 5.0), "ordinal").value)
    assert "not defined" in str(alpha(np.array([0, 1]), np.array([1.0, 2]), "nominal"))


def test_the_interval_of_alpha_covers_the_truth() -> None:
    """With two raters of equal noise, alpha of many units is the reliability: 1 / (1 + noise^2)."""
    rng, inside = np.random.default_rng(1), 0
    for _ in range(20):
        quality = rng.normal(size=60)
        values = np.stack([quality + rng.normal(0, 0.5, 60) for _ in range(2)], 1)
        found = alpha(np.repeat(np.arange(60), 2), values.ravel(), "interval", seed=2)
        inside += found.low <= 1 / 1.25 <= found.high
    assert inside >= 17


def planted(
    rng: np.random.Generator, raters: Sequence[tuple[float, float, float]], samples: int
) -> tuple[NDArray[np.float64], Scores]:
    """A quality, and what raters of (offset, slope, noise) say of it in whole points from 1 to 10."""
    quality = rng.normal(size=samples)
    said = [np.clip(np.round(a + b * quality + s * rng.normal(size=samples)), 1, 10) for a, b, s in raters]
    who = np.repeat(np.arange(len(raters)), samples)
    return quality, Scores(np.tile(np.arange(samples), len(raters)), who, np.concatenate(said))


def mean_of(scores: Scores, samples: int) -> NDArray[np.float64]:
    return np.bincount(scores.sample, scores.value, samples) / np.maximum(
        np.bincount(scores.sample, minlength=samples), 1
    )


def test_three_biased_raters_give_the_planted_scale_where_the_mean_does_not() -> None:
    from scipy.stats import spearmanr

    quality, scores = planted(np.random.default_rng(0), [(5, 2.0, 0.6), (8, 0.8, 0.4), (4, -1.8, 0.6)], 200)
    found = fit(scores, [], 200, 3)
    assert spearmanr(found.theta, quality)[0] >= 0.95
    assert spearmanr(mean_of(scores, 200), quality)[0] < 0.9
    assert found.reversed().tolist() == [False, False, True]
    assert found.slope == pytest.approx([2.0, 0.8, -1.8], rel=0.15)
    inside = np.abs(found.theta - quality) < 1.96 * found.error
    assert inside.mean() > 0.88


def test_raters_who_saw_different_images_do_not_move_the_scale() -> None:
    """A strict rater who saw only good images, and a mild one who saw only bad ones, with a few in common."""
    from scipy.stats import spearmanr

    rng = np.random.default_rng(3)
    quality, scores = planted(rng, [(3.5, 1.8, 0.4), (7.5, 1.8, 0.4)], 200)
    good = quality[scores.sample] > -0.5
    bad = quality[scores.sample] < 0.5
    kept = np.where(scores.rater == 0, good, bad)
    seen = Scores(scores.sample[kept], scores.rater[kept], scores.value[kept])
    found = fit(seen, [], 200, 2)
    assert spearmanr(found.theta, quality)[0] >= 0.94
    assert spearmanr(mean_of(seen, 200), quality)[0] < 0.5
    assert set(found.part.tolist()) == {0}


def test_raters_without_a_sample_in_common_have_two_parts() -> None:
    scores = Scores(np.array([0, 1, 2, 3, 4]), np.array([0, 0, 0, 1, 1]), np.array([1.0, 3, 5, 2, 4]))
    assert fit(scores, [], 5, 2).part.tolist() == [0, 0, 0, 1, 1]
    joined = fit(scores, [Comparison((2, 3), (1, 2), 0)], 5, 2)
    assert set(joined.part.tolist()) == {0}


@pytest.mark.parametrize("values", [[5.0] * 6, [5.0, 5, 5, 1, 2, 3]])
def test_a_rater_who_always_says_the_same_does_no_harm(values: list[float]) -> None:
    scores = Scores(np.array([0, 1, 2, 0, 1, 2]), np.array([0, 0, 0, 1, 1, 1]), np.array(values))
    found = fit(scores, [], 3, 2)
    assert np.isfinite(found.theta).all()
    assert np.isfinite(found.error).all()
    assert (np.argsort(found.theta) == [0, 1, 2]).all() or len(set(values)) == 1


def pairs(rng: np.random.Generator, quality: NDArray[np.float64], count: int) -> list[tuple[int, int]]:
    """(winner, loser), by Bradley–Terry."""
    found = []
    for _ in range(count):
        i, j = rng.choice(len(quality), 2, replace=False)
        won = rng.random() < 1 / (1 + np.exp(quality[j] - quality[i]))
        found.append((int(i), int(j)) if won else (int(j), int(i)))
    return found


def mode(comparisons: list[Comparison], samples: int, precision: float) -> NDArray[np.float64]:
    """The mode of theta under a normal prior, by Newton's method on our likelihood."""
    choices, theta, one = choices_of(comparisons, samples), np.zeros(samples), np.ones(1)
    for _ in range(50):
        chances = probabilities(choices, theta, one, np.zeros(choices.ties))
        gradient, curvature = derivatives(choices, chances, one)
        theta = theta + np.linalg.solve(curvature.toarray() + precision * np.eye(samples), gradient - precision * theta)
    return theta


def test_bradley_terry_is_that_of_choix() -> None:
    import choix

    rng = np.random.default_rng(0)
    data = pairs(rng, rng.normal(size=12), 150)
    ours = mode([Comparison(pair, (1, 2), 0) for pair in data], 12, 0.2)
    assert ours == pytest.approx(choix.opt_pairwise(12, data, alpha=0.1), abs=1e-4)
    free = mode([Comparison(pair, (1, 2), 0) for pair in data], 12, 1e-7)
    assert free - free.mean() == pytest.approx(choix.ilsr_pairwise(12, data), abs=1e-3)


def test_plackett_luce_is_that_of_choix() -> None:
    import choix

    rng = np.random.default_rng(1)
    quality = rng.normal(size=10)
    data = [
        tuple(int(k) for k in g[np.argsort(-(quality[g] + rng.gumbel(size=4)))])
        for g in (rng.choice(10, 4, replace=False) for _ in range(60))
    ]
    ours = mode([Comparison(ranking, (1, 2, 3, 4), 0) for ranking in data], 10, 0.2)
    assert ours == pytest.approx(choix.opt_rankings(10, data, alpha=0.1), abs=1e-4)


def test_a_tie_has_the_worth_of_davidson() -> None:
    """Davidson 1970: P(tie) = delta sqrt(a b) / (a + b + delta sqrt(a b))."""
    choices = choices_of([Comparison((0, 1), (1, 1), 0)], 2)
    theta, log_delta = np.array([0.7, -0.4]), np.array([0.3])
    a, b = np.exp(theta)
    tie = np.exp(0.3) * np.sqrt(a * b)
    chances = probabilities(choices, theta, np.ones(1), log_delta)
    assert sorted(chances) == pytest.approx(sorted([a / (a + b + tie), b / (a + b + tie), tie / (a + b + tie)]))
    assert log_likelihood(choices, chances) == pytest.approx(np.log(tie / (a + b + tie)))


def test_scores_pairs_and_rankings_share_one_scale() -> None:
    """Scores of one half, rankings across both with ties, by raters of whom one reads the scale upside down."""
    from scipy.stats import spearmanr

    rng = np.random.default_rng(4)
    quality, scores = planted(rng, [(5, 2.0, 0.5)], 60)
    first = scores.sample < 30
    seen = Scores(scores.sample[first], scores.rater[first], scores.value[first])
    comparisons = []
    for rater, slope in ((1, 2.5), (2, -2.5)):
        for _ in range(120):
            group = rng.choice(60, 3, replace=False)
            order = np.argsort(-(slope * quality[group] + rng.gumbel(size=3)))
            ranks = np.empty(3, np.int64)
            ranks[order] = [1, 2, 2] if rng.random() < 0.2 else [1, 2, 3]
            comparisons.append(Comparison(group.tolist(), ranks.tolist(), rater))
    found: Latent = fit(seen, comparisons, 60, 3)
    assert spearmanr(found.theta, quality)[0] >= 0.93
    assert found.reversed().tolist() == [False, False, True]
    assert spearmanr(found.theta[30:], quality[30:])[0] >= 0.9  # of these there is no score
    assert found.error[30:].mean() > found.error[:30].mean()
