"""Small trainings without a dataset: jobs, evaluations and stored models made by hand.

Belongs here: what several tests of classifiers build. Does not belong here: what they assert.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from arot_assets.classifiers.evaluate import evaluate
from arot_assets.classifiers.evaluation import Evaluation
from arot_assets.classifiers.recipes import get_recipe
from arot_assets.classifiers.tasks import Predictions, Task
from arot_assets.classifiers.trainers import Job, Targets

QUICK: Mapping[str, Any] = {
    "learning_rates": [0.01, 0.03],
    "weight_decays": [0.0],
    "normalise": [False],
    "standardise": True,
    "min_steps": 120,
}


class Kept:
    """Checkpoints in memory: those of a training that was left at some point."""

    def __init__(self, state: bytes | None = None) -> None:
        self.state, self.saved = state, 0

    def load(self) -> bytes | None:
        return self.state

    def save(self, state: bytes) -> None:
        self.state = state
        self.saved += 1


def vectors(n: int = 500, d: int = 24, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Stored vectors in 24 dimensions of very different scales, and a number that depends on them linearly, with noise."""
    random = np.random.default_rng(seed)
    plain = random.normal(size=(n, d))
    weight = np.random.default_rng(99).normal(size=d) / np.sqrt(d)
    return (plain * np.logspace(-2, 1, d)).astype(np.float16), plain @ weight + random.normal(size=n) * 0.05


def targets(kind: str, number: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Classes and labels of a task, made of a number with mean 0 and deviation 1."""
    if kind == "classification":
        return ("low", "middle", "high"), np.digitize(number, [-0.5, 0.5]).astype(np.int64)
    if kind == "ordinal":
        return ("1", "2", "3", "4"), np.digitize(number, [-0.7, 0.0, 0.7]).astype(np.int64)
    if kind == "multi_label":
        return ("above", "far"), np.stack([number > 0, np.abs(number) > 0.5], axis=1).astype(np.float32)
    return (), (number * 2 + 5).astype(np.float32)


def head_job(kind: str, loss: str, recipe: str = "linear-probe", seed: int = 0, **settings: Any) -> Job:
    """A job for the trainer of heads: 300 samples to train on, 100 to choose with; 100 more are left."""
    stored, number = vectors(seed=seed)
    classes, values = targets(kind, number)
    own = get_recipe(recipe).with_settings({**QUICK, **settings})
    return Job(
        "m",
        Task(kind, classes, loss),  # type: ignore[arg-type]
        own,
        Targets(values, np.ones(len(values), np.float32)),
        np.arange(300),
        np.arange(300, 400),
        Kept(),
        {"e.vector": stored},
    )


def evaluation(right: int, wrong: int, grouped: bool = False) -> Evaluation:
    """Of a model of two classes that is right and wrong so many times; groups are of 10 samples or of one."""
    n = right + wrong
    labels = np.arange(n) % 2
    probabilities = np.full((n, 2), 0.1, np.float32)
    probabilities[np.arange(n), np.where(np.arange(n) < right, labels, 1 - labels)] = np.linspace(0.6, 0.9, n)
    groups = [f"g{k // 10}" if grouped else f"g{k}" for k in range(n)]
    task = Task("classification", ("a", "b"), "cross_entropy")
    return evaluate(task, [f"{k}" for k in range(n)], labels, Predictions(probabilities, None), groups)
