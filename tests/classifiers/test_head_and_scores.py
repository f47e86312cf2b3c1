"""Heads: fitted, saved and read unchanged, measured honestly, scored exactly."""

import json

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.evaluation import evaluate
from arot_assets.classifiers.head import Head, HeadError, fit_head, from_files, to_files
from arot_assets.classifiers.promotion import classifier_file, current, gate, latest, load_head, store_head
from arot_assets.classifiers.report import html_report
from arot_assets.classifiers.scores import score_columns, scoring
from resources.defaults import Resources

CLASSES = ("anime", "illustration", "photo")
RANDOM = np.random.default_rng(0)
HEAD = Head(
    CLASSES,
    RANDOM.normal(size=(3, 16)).astype(np.float32),
    RANDOM.normal(size=3).astype(np.float32),
    "embedding",
    "v1",
    {"classifier": "style", "seed": 0},
)


def blobs(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Three overlapping clouds in 16 dimensions of very different scales, float16 as stored."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, n)
    centres = np.random.default_rng(9).normal(size=(3, 16)) * 1.5
    scales = np.logspace(-2, 1, 16)
    return ((centres[labels] + random.normal(size=(n, 16))) * scales).astype(np.float16), labels.astype(np.int64)


def scored(vectors: np.ndarray, versions: list[str], head: Head) -> dict[str, list[object]]:
    """What the scores of stored vectors are."""
    kind = pa.list_(pa.float16(), vectors.shape[1])
    table = {"e.vector": pa.array(list(vectors), kind), "e.metric_version": pa.array(versions)}
    return {name: list(values) for name, values in scoring("e", lambda: head)(pa.table(table)).items()}


def test_fit_learns_and_repeats_exactly() -> None:
    train, test = blobs(600, 1), blobs(300, 2)
    fits = [fit_head(*train, *blobs(200, 3), n_classes=3, l2_grid=[1e-3, 1e-1, 10.0], balanced=True) for _ in range(2)]
    head = Head(CLASSES, fits[0].weight, fits[0].bias, "e", "v")
    assert (head.probabilities(test[0]).argmax(1) == test[1]).mean() > 0.9
    np.testing.assert_array_equal(fits[0].weight, fits[1].weight)
    assert fits[0].l2 == min(fits[0].validation_loss, key=fits[0].validation_loss.__getitem__)


@pytest.mark.parametrize("l2", [0.01, 1.0])
def test_fit_is_the_minimum_of_its_loss(l2: float) -> None:
    vectors, labels = blobs(400, 1)
    fit = fit_head(vectors, labels, vectors, labels, 3, [l2], balanced=False)
    mean, spread = vectors.astype(np.float64).mean(0), vectors.astype(np.float64).std(0)
    standardised = (vectors - mean) / spread
    weight, bias = fit.weight * spread, fit.bias + fit.weight @ mean
    logits = standardised @ weight.T + bias
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    error = (probabilities - np.eye(3)[labels]) / len(labels)
    np.testing.assert_allclose(error.T @ standardised + l2 * weight, 0, atol=2e-3)
    np.testing.assert_allclose(error.sum(0), 0, atol=2e-3)


def test_balanced_classes_count_alike() -> None:
    vectors, labels = blobs(900, 1)
    keep = (labels > 0) | (np.arange(900) % 20 == 0)
    train, test = (vectors[keep], labels[keep]), blobs(600, 2)
    recall = {}
    for balanced in (False, True):
        fit = fit_head(*train, *train, 3, [1.0], balanced=balanced)
        said = Head(CLASSES, fit.weight, fit.bias, "e", "v").probabilities(test[0]).argmax(1)
        recall[balanced] = (said[test[1] == 0] == 0).mean()
    assert recall[True] > recall[False] + 0.1


def test_class_without_training_sample_is_an_error() -> None:
    vectors, labels = blobs(50, 1)
    with pytest.raises(HeadError, match=r"classes number \[3\] have no training samples"):
        fit_head(vectors, labels, vectors, labels, 4, [1.0], balanced=True)


def test_saved_head_is_the_same_head() -> None:
    back = from_files(*to_files(HEAD))
    np.testing.assert_array_equal(back.weight, HEAD.weight)
    assert (back.classes, back.digest(), dict(back.info)) == (HEAD.classes, HEAD.digest(), dict(HEAD.info))


def test_files_that_do_not_belong_together_are_refused() -> None:
    tensors, about = to_files(HEAD)
    other, _ = to_files(Head(CLASSES, HEAD.weight + 1, HEAD.bias, "embedding", "v1"))
    with pytest.raises(HeadError, match=r"not the file that head\.json describes"):
        from_files(other, about)
    with pytest.raises(HeadError, match="train it again"):
        from_files(tensors[:50], about)
    facts = json.loads(about)
    with pytest.raises(HeadError, match="must be"):
        from_files(tensors, json.dumps({**facts, "classes": ["a", "b"]}).encode())


def test_scores_equal_the_direct_computation() -> None:
    vectors = np.random.default_rng(1).uniform(0, 6, (9000, 16)).astype(np.float16)
    found = scored(vectors, ["v1"] * 9000, HEAD)
    logits = vectors.astype(np.float64) @ HEAD.weight.T.astype(np.float64) + HEAD.bias
    expected = np.exp(logits - logits.max(1, keepdims=True))
    expected /= expected.sum(1, keepdims=True)
    for c, name in enumerate(CLASSES):
        np.testing.assert_allclose(found[f"p_{name}"], expected[:, c], atol=1e-5)
    assert [str(label) for label in found["label"]] == [CLASSES[i] for i in expected.argmax(1)]


def test_vectors_of_another_version_are_not_scored() -> None:
    reasons = scored(np.ones((2, 16), np.float16), ["v1", "v2"], HEAD)["reason"]
    assert reasons[0] is None and "version v2, the head was trained on v1" in str(reasons[1])


def test_classes_that_share_a_column_are_refused() -> None:
    with pytest.raises(ValueError, match="would have the same columns"):
        score_columns(["line art", "Line-Art"])


def evaluation(right: int, wrong: int, grouped: bool = False):  # type: ignore[no-untyped-def]
    n = right + wrong
    labels = np.arange(n) % 2
    probabilities = np.full((n, 2), 0.1, np.float32)
    probabilities[np.arange(n), np.where(np.arange(n) < right, labels, 1 - labels)] = np.linspace(0.6, 0.9, n)
    groups = [f"g{k // 10}" if grouped else f"g{k}" for k in range(n)]
    return evaluate(("a", "b"), [f"{k}" for k in range(n)], labels, probabilities, groups)


def test_figures_are_those_of_the_definitions() -> None:
    random = np.random.default_rng(0)
    labels, probabilities = random.integers(0, 3, 200), random.dirichlet([1, 1, 1], 200).astype(np.float32)
    found = evaluate(CLASSES, [str(k) for k in range(200)], labels, probabilities, [str(k) for k in range(200)])
    pairs = list(zip(labels.tolist(), probabilities.argmax(1).tolist(), strict=True))
    f1s = []
    for c in range(3):
        hits = pairs.count((c, c))
        precision = hits / sum(said == c for _, said in pairs)
        recall = hits / sum(true == c for true, _ in pairs)
        f1s.append(2 * precision * recall / (precision + recall))
        assert (found.precision[c], found.recall[c]) == (pytest.approx(precision), pytest.approx(recall))
        assert found.confusion[c].tolist() == [pairs.count((c, said)) for said in range(3)]
    assert found.accuracy.value == pytest.approx(sum(true == said for true, said in pairs) / 200)
    assert found.macro_f1.value == pytest.approx(sum(f1s) / 3)
    assert found.accuracy.low < found.accuracy.value < found.accuracy.high


def test_near_duplicates_count_as_one_piece_of_evidence() -> None:
    single, grouped = evaluation(80, 20), evaluation(80, 20, grouped=True)
    assert grouped.accuracy.value == single.accuracy.value
    assert grouped.accuracy.high - grouped.accuracy.low > 1.5 * (single.accuracy.high - single.accuracy.low)


def test_worst_mistakes_come_first() -> None:
    mistakes = evaluation(5, 4).mistakes
    assert [m.sample_id for m in mistakes] == ["8", "7", "6", "5"]
    assert mistakes[0].label == "a" and mistakes[0].predicted == "b"


def test_a_head_that_misses_the_gate_is_kept_and_the_old_one_scores(resources: Resources) -> None:
    good, bad = evaluation(9, 1), evaluation(6, 4)
    assert gate(good, {"accuracy": 0.8}) == ""
    missed = gate(bad, {"accuracy": 0.8})
    assert missed == "accuracy 0.600 is below 0.8"
    worse = Head(CLASSES, HEAD.weight * 0, HEAD.bias, "embedding", "v1", HEAD.info)
    store_head(resources.tables, "style", HEAD, html_report(HEAD, good, None, ""), "inputs 1", "")
    store_head(resources.tables, "style", worse, html_report(worse, bad, None, missed), "inputs 2", missed)
    promoted, last = current(resources.tables, "style"), latest(resources.tables, "style")
    assert promoted is not None and promoted.digest == HEAD.digest()
    assert last is not None and (last.digest, last.missed) == (worse.digest(), missed)
    np.testing.assert_array_equal(load_head(resources.tables, "style", last.digest).weight, worse.weight)
    page = resources.tables.read_bytes(classifier_file("style", worse.digest(), "report.html")).decode()
    assert "Not promoted: accuracy 0.600 is below 0.8" in page


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": {}}, "exactly one of from_folder"),
        ({"labels": {"from_folder": 1, "from_sql": "select 1"}}, "exactly one of from_folder"),
        ({"labels": {"from_folder": 0}}, "greater than or equal to 1"),
        ({"labels": {"from_folder": 1, "classes": ["a"]}}, "at least two different names"),
        ({"split": {"train": 0.9}}, "train \\+ val \\+ test must be 1"),
        ({"promote_if": {"f1": 0.5}}, "unknown figure 'f1'; known: accuracy, macro_f1"),
        ({"promote_if": {"accuracy": 80}}, "must be between 0 and 1"),
        ({"name": "embedding"}, "already another table of the dataset"),
        ({"l3": [1]}, "Extra inputs are not permitted"),
    ],
)
def test_wrong_declarations_say_what_is_wrong(change: dict, message: str) -> None:
    fields = {"name": "style", "dataset": "demo", "labels": {"from_folder": 1}}
    with pytest.raises(ValidationError, match=message):
        ClassifierDeclaration.model_validate(fields | change)
