"""The trainer of heads: it learns every task, repeats exactly, continues where it was left, and scores what it says."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from arot_assets.classifiers.tasks import Task
from arot_assets.classifiers.trainers import TrainingError, heads
from arot_assets.classifiers.trainers.losses import losses, sample_weights
from resources.models.entries import entry_of
from resources.models.families import head as family
from resources.models.heads import Heads
from tests.classifiers import easy
from tests.classifiers.made import Kept, head_job
from tests.conftest import REPOSITORY

REST = np.arange(400, 500)
TASKS = [
    ("classification", "cross_entropy"),
    ("multi_label", "bce"),
    ("regression", "mse"),
    ("regression", "huber"),
    ("regression", "pairwise"),
    ("ordinal", "corn"),
    ("ordinal", "coral"),
]


@pytest.mark.parametrize(("kind", "loss"), TASKS)
@pytest.mark.parametrize("hidden", [[], [16]])
def test_every_task_is_learnt_and_its_file_gives_the_same_numbers(
    kind: str, loss: str, hidden: list[int], tmp_path: Path
) -> None:
    job = head_job(kind, loss, hidden=hidden, normalise=[False, True])
    fitted = heads.train(job)
    logits = fitted.logits(REST)
    found, truth = job.task.predictions(logits), job.targets.values[REST]
    if kind in ("regression", "ordinal"):
        assert found.scores is not None
        assert np.corrcoef(found.scores, truth)[0, 1] > 0.85
        assert abs(found.scores.mean() - (truth.mean() + (kind == "ordinal"))) < 0.3, "on the scale of the labels"
    else:
        assert found.probabilities is not None
        tags = kind == "multi_label"  # of which only the first is linear
        said, wanted = (
            (found.probabilities[:, 0] > 0.5, truth[:, 0]) if tags else (found.probabilities.argmax(1), truth)
        )
        assert (said == wanted).mean() > 0.75
    exported = fitted.export(tmp_path, temperature=2.0)
    entry = entry_of(
        {
            "name": "m",
            "family": exported.family,
            "weights": {"uri": str(tmp_path), "files": dict.fromkeys(exported.files, "0" * 64)},
            "outputs": [{"kind": "score", "meaning": "m"}],
            "licence": "MIT",
            "parameters": exported.parameters,
            "reference": "none",
            "takes": exported.takes,
            "options": exported.options,
        },
        "test",
    )
    stored = job.vectors["e.vector"][REST]
    scored = Heads({"m": family.read_head(entry, tmp_path)}).predict(stored)["m"]
    np.testing.assert_allclose(scored, logits / 2, atol=2e-5)
    np.testing.assert_allclose(family.reference_of_vectors(entry, tmp_path)(stored), logits / 2, atol=2e-5)


def test_linear_head_is_as_good_as_the_exact_minimum() -> None:
    from sklearn.linear_model import LogisticRegression

    job = head_job("classification", "cross_entropy", min_steps=500)
    fitted = heads.train(job)
    stored = job.vectors["e.vector"].astype(np.float64)
    train, scale = stored[job.train], stored[job.train].std(0)
    exact = LogisticRegression(C=10.0, max_iter=2000).fit(train / scale, job.targets.values[job.train])
    truth = job.targets.values[REST]
    assert (fitted.logits(REST).argmax(1) == truth).mean() >= exact.score(stored[REST] / scale, truth) - 0.03


def test_the_head_with_the_least_validation_loss_is_chosen() -> None:
    fitted = heads.train(head_job("regression", "mse", learning_rates=[1e-7, 0.03], weight_decays=[0.0, 5.0]))
    assert fitted.chosen["heads"] == 4
    assert (fitted.chosen["learning_rate"], fitted.chosen["weight_decay"]) == (0.03, 0.0)
    best = min(fitted.curves, key=lambda row: row["val_loss"])
    assert fitted.chosen["val_loss"] == best["val_loss"] and fitted.chosen["epoch"] == best["epoch"]


def test_a_head_of_a_sweep_is_the_head_that_is_trained_alone() -> None:
    alone = heads.train(head_job("regression", "mse", learning_rates=[0.03]))
    among = heads.train(head_job("regression", "mse", learning_rates=[0.03, 1e-7]))
    np.testing.assert_allclose(among.logits(REST), alone.logits(REST), atol=1e-4)


@pytest.mark.parametrize("hidden", [[], [8]])
def test_a_training_that_was_left_ends_with_the_same_weights(
    hidden: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(heads, "CHECKPOINT_SECONDS", 0.0)
    job = head_job("classification", "cross_entropy", hidden=hidden, dropout=[0.3])

    class Left(Exception):
        pass

    def leave(_: int) -> None:
        if kept.saved == 20:
            raise Left

    kept = Kept()
    with pytest.raises(Left):
        heads.train(replace(job, checkpoints=kept), leave)
    whole, continued = heads.train(job), heads.train(replace(job, checkpoints=kept))
    assert continued.chosen == whole.chosen and continued.curves == whole.curves
    for one, other in zip(whole.layers, continued.layers, strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in one)


KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from arot_assets.classifiers.trainers import heads
from tests.classifiers import easy, made

heads.CHECKPOINT_SECONDS = 0.0
kept = easy.InFile(Path(sys.argv[1]), lambda saved: os.kill(os.getpid(), signal.SIGKILL) if saved == 20 else None)
heads.train(replace(made.head_job("classification", "cross_entropy", hidden=[8], dropout=[0.3]), checkpoints=kept))
"""


def test_a_training_that_is_killed_ends_with_the_same_weights_bit_for_bit(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "state")],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    job = head_job("classification", "cross_entropy", hidden=[8], dropout=[0.3])
    killed, whole = heads.train(replace(job, checkpoints=easy.InFile(tmp_path / "state"))), heads.train(job)
    assert killed.chosen == whole.chosen
    for one, other in zip(whole.layers, killed.layers, strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in one)


def test_rates_that_are_too_high_are_named_and_never_chosen() -> None:
    fitted = heads.train(head_job("regression", "mse", learning_rates=[0.01, 1e4], optimizer="sgd"))
    assert fitted.chosen["learning_rate"] == 0.01 and fitted.chosen["diverged"] == [1e4]
    fine = heads.train(head_job("regression", "mse", learning_rates=[0.01, 0.03]))
    assert "diverged" not in fine.chosen and "rates" not in fine.chosen


@pytest.mark.parametrize(
    ("kind", "loss", "optimizer"), [("regression", "mse", "sgd"), ("classification", "cross_entropy", "adamw")]
)
def test_where_every_head_diverges_the_sweep_begins_again_with_lower_rates(
    kind: str, loss: str, optimizer: str
) -> None:
    job = head_job(kind, loss, learning_rates=[30.0, 100.0], optimizer=optimizer, min_steps=300)
    fitted = heads.train(job)
    assert "divided by" in fitted.chosen["rates"] and fitted.chosen["learning_rate"] < 30
    found, truth = job.task.predictions(fitted.logits(REST)), job.targets.values[REST]
    if found.scores is not None:
        assert np.corrcoef(found.scores, truth)[0, 1] > 0.8
    elif found.probabilities is not None:
        assert (found.probabilities.argmax(1) == truth).mean() > 0.7
    with pytest.raises(TrainingError, match="every head diverged, even with rates of"):
        heads.train(head_job(kind, loss, learning_rates=[1e9], optimizer="sgd"))


def test_a_training_with_lowered_rates_that_was_left_ends_with_the_same_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(heads, "CHECKPOINT_SECONDS", 0.0)
    job, kept = head_job("regression", "mse", learning_rates=[30.0], min_steps=60), Kept()

    class Left(Exception):
        pass

    def leave(_: int) -> None:
        if kept.saved == 70:
            raise Left

    with pytest.raises(Left):
        heads.train(replace(job, checkpoints=kept), leave)
    whole, continued = heads.train(job), heads.train(replace(job, checkpoints=kept))
    assert continued.chosen == whole.chosen and "rates" in whole.chosen
    assert all(np.array_equal(a["weight"], b["weight"]) for a, b in zip(whole.layers, continued.layers, strict=True))


def test_weights_and_balance_count() -> None:
    values = np.array([0, 0, 0, 1])
    task = Task("classification", ("a", "b"), "cross_entropy")
    np.testing.assert_allclose(sample_weights(task, values, np.ones(4, np.float32), True), [2 / 3, 2 / 3, 2 / 3, 2])
    np.testing.assert_allclose(
        sample_weights(task, values, np.array([3, 1, 0, 2], np.float32), False), [2, 2 / 3, 0, 4 / 3]
    )


def test_losses_are_those_of_the_closed_forms() -> None:
    import torch

    logits = torch.tensor([[0.3, -0.2, 1.1]])

    def log_sigmoid(x: float) -> float:
        return float(-np.log1p(np.exp(-x)))

    coral = Task("ordinal", ("1", "2", "3", "4"), "coral")
    expected = -(log_sigmoid(0.3) + log_sigmoid(0.2) + log_sigmoid(-1.1))
    assert losses(coral, logits, torch.tensor([1]))[0] == pytest.approx(expected)
    corn = Task("ordinal", coral.classes, "corn")
    assert losses(corn, logits, torch.tensor([1]))[0] == pytest.approx(-(log_sigmoid(0.3) + log_sigmoid(0.2))), (
        "level 1 says nothing about being above 2 among those above 1"
    )
    pairs = losses(
        Task("regression", (), "pairwise"), torch.tensor([[2.0], [0.5], [0.5]]), torch.tensor([3.0, 1.0, 1.0])
    )
    np.testing.assert_allclose(pairs, [-log_sigmoid(1.5)] * 3, rtol=1e-5)
    smooth = losses(
        Task("classification", ("a", "b"), "cross_entropy"),
        torch.tensor([[1.0, 0.0]]),
        torch.tensor([0]),
        smoothing=0.2,
    )
    expected = torch.nn.functional.cross_entropy(torch.tensor([[1.0, 0.0]]), torch.tensor([0]), label_smoothing=0.2)
    assert smooth[0] == pytest.approx(float(expected))


def test_class_without_training_sample_is_an_error() -> None:
    job = head_job("classification", "cross_entropy")
    few = job.train[job.targets.values[job.train] != 2]
    with pytest.raises(TrainingError, match="high has no training samples"):
        heads.train(replace(job, train=few))


def test_vectors_that_are_not_finite_are_an_error() -> None:
    job = head_job("regression", "mse")
    broken = job.vectors["e.vector"].copy()
    broken[5] = np.nan
    with pytest.raises(TrainingError, match="are the embeddings finite"):
        heads.train(replace(job, vectors={"e.vector": broken}))


@pytest.mark.parametrize("normalise", [False, True])
def test_few_vectors_with_numbers_that_vary_elsewhere_only_are_scored_better_than_by_the_mean(normalise: bool) -> None:
    job = head_job("regression", "mse", normalise=[normalise], learning_rates=[0.003, 0.01], min_steps=200)
    stored = np.zeros((500, 64), np.float32)
    stored[:, : job.vectors["e.vector"].shape[1]] = job.vectors["e.vector"]
    stored[:, 40:] = np.random.default_rng(0).normal(scale=0.003, size=(500, 24))
    stored[150:, 40:] *= 30
    few = replace(job, vectors={"e.vector": stored}, train=np.arange(60), val=np.arange(60, 150))
    truth = job.targets.values[REST]
    said = few.task.predictions(heads.train(few).logits(REST)).scores
    assert said is not None
    assert np.abs(said - truth).mean() < np.abs(truth - truth.mean()).mean()
