"""Does the queue of ratings help? Ratings needed for a given macro F1, or Spearman, by what is rated next, against random choice.

    python bench/active_learning.py --dataset demo --folder 1
    python bench/active_learning.py --dataset demo --value cv2__sharpness --targets 0.4 0.5 0.6

Belongs here: simulating rounds of rating with labels that are known already. Does not belong here: the queue
(``ratings/queue.py``), whose parts are used as they are.

A part of the samples is kept apart as a test set, drawn anew for each repetition. Ten samples are drawn at random, a linear head
is trained on their stored embeddings, the next ten are chosen, and so on. Each way to choose starts from the same ten. What is
uncertain is the entropy of the classes, or how far heads differ that are trained on samples of the ratings.
"""

import argparse
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import results
from numpy.typing import NDArray
from scipy.optimize import minimize

from arot_assets.markdown import write_table
from arot_assets.ratings.queue import furthest, mixed
from resources.defaults import default_resources

STEP = 10
L2 = 1e-2
HEADS = 8
"""Trained on samples of the ratings: how far they differ is the uncertainty of a value."""
Choose = Callable[[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float64], np.random.Generator], list[int]]
"""Vectors, what is rated, the doubt about each, and chance -> what to rate, first things first."""


def read(dataset: str, embedding: str, folder: int, least: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Unit vectors and classes of the samples, a class a folder; classes of fewer than ``least`` samples are left out."""
    resources = default_resources()
    query = f"""select vector::float[], folder from (select s.sample_id, e.vector, string_split(s.uri, '/')[-{folder + 1}]
        as folder from {dataset}.samples s join {dataset}.{embedding} e using (sample_id) where s.status = 'ok'
        and e.status = 'ok') order by sample_id"""
    with resources.warehouse.connect() as con:
        rows = con.execute(query).fetchall()
    vectors = np.array([vector for vector, _ in rows], np.float32)
    _, classes = np.unique([name for _, name in rows], return_inverse=True)
    frequent = np.bincount(classes)[classes] >= least
    _, classes = np.unique(classes[frequent], return_inverse=True)
    vectors = vectors[frequent] / np.linalg.norm(vectors[frequent], axis=1, keepdims=True)
    return vectors, classes.astype(np.int64)


def read_values(dataset: str, embedding: str, column: str) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Unit vectors, and the normal scores of a column of ``wide``: their order is what is to be learnt."""
    from scipy.stats import norm, rankdata

    query = f"""select e.vector::float[], w."{column}" from {dataset}.wide w join {dataset}.{embedding} e using (sample_id)
        where w.status = 'ok' and e.status = 'ok' and w."{column}" is not null order by sample_id"""
    with default_resources().warehouse.connect() as con:
        rows = con.execute(query).fetchall()
    vectors = np.array([vector for vector, _ in rows], np.float32)
    ranks = rankdata([value for _, value in rows])
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), norm.ppf((ranks - 0.5) / len(ranks))


def head(x: NDArray[np.float32], y: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """Weights ``[D + 1, C]`` of a softmax regression, the last row is the bias."""
    wide = np.hstack([x * 8, np.ones((len(x), 1))])  # unit vectors are small numbers; 8 lets the L2 penalty be mild
    target = np.eye(classes)[y]

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = flat.reshape(wide.shape[1], classes)
        chances = probabilities(wide, weights)
        value = -np.log(np.maximum((chances * target).sum(1), 1e-12)).mean() + 0.5 * L2 * (weights[:-1] ** 2).sum()
        gradient = wide.T @ (chances - target) / len(wide)
        gradient[:-1] += L2 * weights[:-1]
        return float(value), gradient.ravel()

    found = minimize(loss, np.zeros(wide.shape[1] * classes), jac=True, method="L-BFGS-B", options={"maxiter": 60}).x
    return np.asarray(found.reshape(wide.shape[1], classes), np.float64)


def probabilities(wide: NDArray[Any], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """``float64 [N, C]``."""
    worth = wide @ weights
    grown = np.exp(worth - worth.max(1, keepdims=True))
    return np.asarray(grown / grown.sum(1, keepdims=True), np.float64)


def macro_f1(truth: NDArray[np.int64], said: NDArray[np.int64], classes: int) -> float:
    """The mean over classes of F1."""
    scores = []
    for k in range(classes):
        right = ((truth == k) & (said == k)).sum()
        scores.append(2 * right / max((truth == k).sum() + (said == k).sum(), 1))
    return float(np.mean(scores))


class Classes:
    """Samples of some classes: the figure is macro F1."""

    figure = "macro F1"

    def __init__(self, y: NDArray[np.int64]) -> None:
        self.y, self.count = y, int(y.max()) + 1

    def judged(
        self, x: NDArray[np.float32], known: NDArray[np.int64], test: NDArray[np.int64]
    ) -> tuple[float, NDArray[np.float64]]:
        """The figure on the test set after learning from what is known, and the doubt about every sample."""
        weights = head(x[known], self.y[known], self.count)
        chances = probabilities(np.hstack([x * 8, np.ones((len(x), 1))]), weights)
        entropy = -(chances * np.log(np.maximum(chances, 1e-12))).sum(1)
        return macro_f1(self.y[test], chances[test].argmax(1), self.count), entropy

    def __str__(self) -> str:
        return f"{len(self.y):,} samples of {self.count} classes ({', '.join(map(str, np.bincount(self.y)))})"


class Values:
    """Samples with a number each: the figure is Spearman's correlation."""

    figure = "Spearman"

    def __init__(self, y: NDArray[np.float64]) -> None:
        self.y = y

    def judged(
        self, x: NDArray[np.float32], known: NDArray[np.int64], test: NDArray[np.int64]
    ) -> tuple[float, NDArray[np.float64]]:
        """The figure on the test set after learning from what is known, and the doubt about every sample."""
        from scipy.stats import spearmanr

        rng = np.random.default_rng(0)
        drawn = [self._predicted(x, rng.choice(known, len(known))) for _ in range(HEADS)]
        return float(spearmanr(self._predicted(x, known)[test], self.y[test])[0]), np.std(drawn, axis=0)

    def _predicted(self, x: NDArray[np.float32], known: NDArray[np.int64]) -> NDArray[np.float64]:
        """Ridge regression, solved in the samples, which are fewer than the dimensions."""
        wide, middle = x[known] * 8, self.y[known].mean()
        kernel = wide @ wide.T + L2 * len(known) * np.eye(len(known))
        return np.asarray(middle + (x * 8) @ (wide.T @ np.linalg.solve(kernel, self.y[known] - middle)), np.float64)

    def __str__(self) -> str:
        return f"{len(self.y):,} samples with a value"


def by_chance(
    _v: NDArray[np.float32], known: NDArray[np.bool_], _d: NDArray[np.float64], rng: np.random.Generator
) -> list[int]:
    """Any that are not rated."""
    return [int(k) for k in rng.permutation(np.flatnonzero(~known))]


def uncertain(
    _v: NDArray[np.float32], known: NDArray[np.bool_], doubt: NDArray[np.float64], _r: np.random.Generator
) -> list[int]:
    """Those of most doubt."""
    return [int(k) for k in np.argsort(-doubt) if not known[k]]


def different(
    vectors: NDArray[np.float32], known: NDArray[np.bool_], _d: NDArray[np.float64], _r: np.random.Generator
) -> list[int]:
    """Those that are unlike what is rated."""
    return furthest(vectors, known, ~known, STEP)


def of_the_queue(
    vectors: NDArray[np.float32], known: NDArray[np.bool_], doubt: NDArray[np.float64], rng: np.random.Generator
) -> list[int]:
    """The queue's own mixture of the three."""
    order = {
        "uncertain": [str(k) for k in uncertain(vectors, known, doubt, rng)],
        "different": [str(k) for k in different(vectors, known, doubt, rng)],
        "random": [str(k) for k in by_chance(vectors, known, doubt, rng)],
    }
    return [int(k) for k, _ in mixed(order, {"uncertain": 0.4, "different": 0.3, "random": 0.3}, STEP)]


WAYS: Mapping[str, Choose] = {
    "random": by_chance,
    "uncertain": uncertain,
    "different": different,
    "the queue": of_the_queue,
}


def curve(x: NDArray[np.float32], task: Classes | Values, way: Choose, seed: int, most: int) -> list[float]:
    """The figure on a test set after 10, 20, 30 … ratings."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(x))
    test, pool = order[: len(x) // 3], order[len(x) // 3 :]
    known = np.zeros(len(pool), bool)
    known[:STEP] = True
    found = []
    while known.sum() <= min(most, len(pool)):
        figure, doubt = task.judged(x, pool[known], test)
        found.append(figure)
        if known.all():
            break
        known[way(x[pool], known, doubt[pool], rng)[:STEP]] = True
    return found


def needed(scores: list[float], target: float) -> float:
    """Ratings after which the target is reached for the first time, interpolated; one step more than there are if it never is."""
    for k, score in enumerate(scores):
        if score >= target:
            before = scores[k - 1] if k else score
            part = 1.0 if score == before else (target - before) / (score - before)
            return STEP * (k + (part if k else 1.0))
    return STEP * (len(scores) + 1.0)


def interval(values: NDArray[np.float64], seed: int = 0) -> str:
    """The mean with its 95 % bootstrap interval."""
    rng = np.random.default_rng(seed)
    means = values[rng.integers(0, len(values), (2000, len(values)))].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return f"{values.mean():.1f} [{low:.1f}, {high:.1f}]"


def report(x: NDArray[np.float32], task: Classes | Values, repeats: int, most: int, targets: list[float]) -> str:
    """A table of the ratings needed, and whether the queue needs fewer than random choice."""
    curves = {name: [curve(x, task, way, seed, most) for seed in range(repeats)] for name, way in WAYS.items()}
    rows, said = [], []
    for target in targets:
        counts = {name: np.array([needed(c, target) for c in of]) for name, of in curves.items()}
        rows += [(f"{target:.2f}", name, interval(n), interval(n - counts["random"])) for name, n in counts.items()]
        less = counts["the queue"] - counts["random"]
        rng = np.random.default_rng(0)
        high = np.quantile(less[rng.integers(0, repeats, (2000, repeats))].mean(1), 0.975)
        said.append(f"At {task.figure} {target:.2f} the queue {'helps' if high < 0 else 'does not help measurably'}.")
    head_line = (task.figure, "chosen", "ratings needed", "more than random")
    return f"{task}; {repeats} repetitions.\n\n{write_table(head_line, rows)}\n\n{' '.join(said)}"


def main() -> None:
    """Simulate, and print or keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="demo")
    parser.add_argument("--embedding", default="embedding")
    parser.add_argument("--value", default="", help="a column of wide that is to be learnt, instead of classes")
    parser.add_argument("--folder", type=int, default=1, help="the class is the n-th folder above the file")
    parser.add_argument("--least", type=int, default=20, help="samples of a class that counts")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--most", type=int, default=120, help="ratings of one simulation")
    parser.add_argument("--targets", type=float, nargs="+", default=[0.6, 0.7, 0.8])
    parser.add_argument("--keep", action="store_true", help="append to RESULTS.md")
    options = parser.parse_args()
    task: Classes | Values
    if options.value:
        x, values = read_values(options.dataset, options.embedding, options.value)
        task, what = Values(values), f"--value {options.value}"
    else:
        x, classes = read(options.dataset, options.embedding, options.folder, options.least)
        task, what = Classes(classes), f"--folder {options.folder} --least {options.least}"
    text = report(x, task, options.repeats, options.most, options.targets)
    print(text)
    if options.keep:
        call = f"`python bench/active_learning.py --dataset {options.dataset} {what}`"
        results.append(
            "What to rate next", f"{call}: linear heads on stored embeddings, ten ratings at a time.\n\n{text}"
        )


if __name__ == "__main__":
    main()
