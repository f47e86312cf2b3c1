"""Figures against scikit-learn and scipy, intervals against theory, calibration against what was planted."""

import numpy as np
import pytest

from arot_assets.classifiers import figures
from arot_assets.classifiers.calibration import calibration_error, isotonic_of, temperature_of
from arot_assets.classifiers.contest import below_gate, compare
from arot_assets.classifiers.evaluate import all_figures, evaluate
from arot_assets.classifiers.evaluation import Evaluation, Figure
from arot_assets.classifiers.tasks import Predictions, Task
from tests.classifiers.made import evaluation

RANDOM = np.random.default_rng(0)
LEVELS = Task("ordinal", ("1", "2", "3", "4"), "corn")
CLASSES = Task("classification", ("a", "b", "c"), "cross_entropy")
NUMBERS = Task("regression", (), "mse")
TAGS = Task("multi_label", ("x", "y"), "bce")


def test_figures_of_numbers_equal_scipy_with_ties() -> None:
    import scipy.stats
    import sklearn.metrics as sk

    truth = RANDOM.integers(1, 6, 300).astype(float)
    said = np.round(truth + RANDOM.normal(size=300), 1)
    assert figures.spearman(truth, said) == pytest.approx(scipy.stats.spearmanr(truth, said).statistic)
    assert figures.pearson(truth, said) == pytest.approx(scipy.stats.pearsonr(truth, said).statistic)
    assert figures.kendall(truth, said) == pytest.approx(scipy.stats.kendalltau(truth, said).statistic)
    assert figures.mae(truth, said) == pytest.approx(sk.mean_absolute_error(truth, said))
    assert figures.rmse(truth, said) == pytest.approx(sk.root_mean_squared_error(truth, said))
    assert np.isnan(figures.spearman(truth, np.ones(300))), "constants have no order"


def test_figures_of_yes_and_no_equal_scikit_learn_with_ties() -> None:
    import sklearn.metrics as sk

    truth = RANDOM.random(400) < 0.3
    said = np.round(truth * 0.3 + RANDOM.random(400), 1)
    assert figures.auroc(truth, said) == pytest.approx(sk.roc_auc_score(truth, said))
    assert figures.average_precision(truth, said) == pytest.approx(sk.average_precision_score(truth, said))
    assert np.isnan(figures.auroc(np.ones(5), np.arange(5)))


def test_figures_of_classes_equal_scikit_learn() -> None:
    import sklearn.metrics as sk

    truth = RANDOM.integers(0, 4, 300)
    said = np.clip(truth + RANDOM.integers(-1, 2, 300), 0, 3)
    counts = figures.confusion(truth, said, 4).astype(float)
    np.testing.assert_array_equal(counts, sk.confusion_matrix(truth, said))
    assert figures.accuracy(counts) == pytest.approx(sk.accuracy_score(truth, said))
    assert figures.balanced_accuracy(counts) == pytest.approx(sk.balanced_accuracy_score(truth, said))
    assert figures.macro_f1(counts) == pytest.approx(sk.f1_score(truth, said, average="macro"))
    assert figures.kappa(counts) == pytest.approx(sk.cohen_kappa_score(truth, said, weights="quadratic"))
    precision, recall, f1 = figures.per_class(counts.astype(np.int64))
    expected = sk.precision_recall_fscore_support(truth, said)
    np.testing.assert_allclose([precision, recall, f1], expected[:3])


def test_every_task_has_its_figures_and_they_survive_being_stored() -> None:
    n = 60
    levels, classes = RANDOM.integers(0, 4, n), RANDOM.integers(0, 3, n)
    tags = (RANDOM.random((n, 2)) < 0.5).astype(np.float32)
    numbers = RANDOM.normal(size=n)
    cases = [(LEVELS, levels, 3), (CLASSES, classes, 3), (TAGS, tags, 2), (NUMBERS, numbers, 1)]
    for task, truth, width in cases:
        found = task.predictions(RANDOM.normal(size=(n, width)).astype(np.float32))
        kinds = {"size": ["small" if k % 3 else "large" for k in range(n)]}
        said = evaluate(
            task, [str(k) for k in range(n)], truth, found, [str(k) for k in range(n)], slices=kinds, draws=50
        )
        assert {s.value: s.samples for s in said.slices} == {"small": 40, "large": 20}
        assert all(f.low <= f.value <= f.high for f in said.figures.values() if np.isfinite(f.value))
        assert Evaluation.from_json(said.as_json()) == said
    assert {"kappa", "spearman", "mae", "macro_f1"} <= set(
        all_figures(LEVELS, levels, LEVELS.predictions(np.zeros((n, 3))))
    )


def test_probabilities_of_levels_are_those_of_the_closed_forms() -> None:
    logits = np.log(np.array([[0.8, 0.5, 0.25]]) / (1 - np.array([[0.8, 0.5, 0.25]])))
    corn = LEVELS.predictions(logits).probabilities
    np.testing.assert_allclose(corn, [[0.2, 0.8 * 0.5, 0.8 * 0.5 * 0.75, 0.8 * 0.5 * 0.25]], rtol=1e-5)
    coral = Task("ordinal", LEVELS.classes, "coral").predictions(logits)
    np.testing.assert_allclose(coral.probabilities, [[0.2, 0.3, 0.25, 0.25]], rtol=1e-5)
    assert coral.scores is not None and coral.scores[0] == pytest.approx(1 + 0.8 + 0.5 + 0.25)


def test_interval_of_a_mean_is_that_of_the_binomial_distribution() -> None:
    import scipy.stats

    found = evaluation(160, 40).figures["accuracy"]
    expected = scipy.stats.binom(200, 0.8).interval(0.95)
    assert (found.low * 200, found.high * 200) == (pytest.approx(expected[0], abs=3), pytest.approx(expected[1], abs=3))


def test_near_duplicates_count_as_one_piece_of_evidence() -> None:
    single, grouped = (evaluation(80, 20, grouped=g).figures["accuracy"] for g in (False, True))
    assert grouped.value == single.value and grouped.high - grouped.low > 1.5 * (single.high - single.low)


def test_worst_mistakes_come_first() -> None:
    mistakes = evaluation(5, 4).mistakes
    assert [m.sample_id for m in mistakes] == ["8", "7", "6", "5"]
    assert (mistakes[0].label, mistakes[0].predicted) == ("a", "b")


def test_planted_temperature_is_found_and_calibrates() -> None:
    logits = RANDOM.normal(size=(4000, 3)) * 2
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    truth = (chances.cumsum(1) > RANDOM.random((4000, 1))).argmax(1)
    found = temperature_of(CLASSES, logits * 2.5, truth)
    assert found == pytest.approx(2.5, rel=0.08)
    for scale, limits in ((1.0, (0.05, 1.0)), (found, (0.0, 0.03))):
        said = CLASSES.predictions(logits * 2.5 / scale).probabilities
        assert said is not None
        error = calibration_error(said.max(1), said.argmax(1) == truth)
        assert limits[0] <= error <= limits[1]


def test_calibration_error_is_that_of_its_definition() -> None:
    confidence, right = np.array([0.9, 0.9, 0.6, 0.6]), np.array([True, False, True, True])
    assert calibration_error(confidence, right, bins=2) == pytest.approx((abs(0.6 - 1) + abs(0.9 - 0.5)) / 2)


def test_isotonic_equals_scikit_learn_and_needs_a_thousand() -> None:
    from sklearn.isotonic import IsotonicRegression

    confidence = RANDOM.random(1500)
    right = RANDOM.random(1500) < confidence**2
    found = isotonic_of(confidence, right)
    assert found is not None and isotonic_of(confidence[:999], right[:999]) is None
    expected = IsotonicRegression(out_of_bounds="clip").fit(confidence, right).predict(np.linspace(0, 1, 50))
    np.testing.assert_allclose(found(np.linspace(0, 1, 50)), expected, atol=1e-9)


def test_gate_names_what_is_missed_and_an_error_has_a_greatest_value() -> None:
    said = {"accuracy": Figure(0.6, 0.5, 0.7), "mae": Figure(0.6, 0.5, 0.7)}
    assert below_gate(said, {"accuracy": 0.8, "mae": 0.5}) == "accuracy 0.600 is below 0.8; mae 0.600 is above 0.5"
    assert below_gate(said, {"accuracy": 0.6, "mae": 0.6}) == ""
    assert below_gate({"accuracy": Figure(float("nan"), 0, 0)}, {"accuracy": 0.0}), "what does not exist passes no gate"


def test_paired_draws_decide_what_single_intervals_do_not() -> None:
    n = 400
    truth = RANDOM.normal(size=n)
    noise = RANDOM.normal(size=n)
    better, worse = (Predictions(None, truth + noise * size) for size in (1.0, 1.3))
    found = compare(NUMBERS, {"mae": 9.0}, truth, worse, better, np.arange(n))
    assert found.difference.high < 0 and "is worse than" in found.refusal
    assert found.challenger - found.champion == pytest.approx(-found.difference.value)
    assert compare(NUMBERS, {"mae": 9.0}, truth, better, worse, np.arange(n)).refusal == ""
    assert compare(NUMBERS, {"mae": 9.0}, truth, better, better, np.arange(n)).difference == Figure(0, 0, 0)
