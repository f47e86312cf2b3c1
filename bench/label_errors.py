"""Are wrong labels found? Labels that are known are made wrong at random, and judged.

    python bench/label_errors.py --dataset demo --folder 1

Belongs here: planting errors and counting what is found. Does not belong here: the judgement (``ratings/label_errors.py``).

Beside it stands what does without confident learning: doubting each label that is not the likeliest class, out of the same folds.
"""

import argparse

import numpy as np
import results
from active_learning import read
from numpy.typing import NDArray

from arot_assets.markdown import write_table
from arot_assets.ratings.label_errors import STRENGTH, judged_classes

PLANTED = (0.05, 0.1, 0.2)
"""Shares of the labels that are made wrong."""


def planted(y: NDArray[np.int64], share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Labels of which a share is another class, any with the same chance."""
    wrong, classes = rng.random(len(y)) < share, int(y.max()) + 1
    return np.where(wrong, (y + rng.integers(1, classes, len(y))) % classes, y)


def found(doubted: NDArray[np.bool_], wrong: NDArray[np.bool_]) -> tuple[float, float]:
    """Precision and recall."""
    right = float((doubted & wrong).sum())
    return right / max(int(doubted.sum()), 1), right / max(int(wrong.sum()), 1)


def interval(values: NDArray[np.float64]) -> str:
    """The mean with its 95 % bootstrap interval."""
    rng = np.random.default_rng(0)
    means = values[rng.integers(0, len(values), (2000, len(values)))].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return f"{values.mean():.2f} [{low:.2f}, {high:.2f}]"


def report(x: NDArray[np.float64], y: NDArray[np.int64], repeats: int) -> str:
    """A row for each share of wrong labels and each way to doubt."""
    rows, samples = [], [str(k) for k in range(len(y))]
    for share in PLANTED:
        figures: dict[str, list[tuple[float, float]]] = {"confident learning": [], "not the likeliest": []}
        for seed in range(repeats):
            given = planted(y, share, np.random.default_rng(seed))
            judged = judged_classes(x, [str(label) for label in given], samples, seed)
            likely = np.array([bool(row["likely"]) for row in judged])
            other = np.array([row["expected"] for row in judged]) != given.astype(str)
            figures["confident learning"].append(found(likely, given != y))
            figures["not the likeliest"].append(found(other, given != y))
        for name, of in figures.items():
            precision, recall = np.array(of).T
            rows.append((f"{share:.0%}", name, interval(precision), interval(recall)))
    counts = ", ".join(map(str, np.bincount(y)))
    head = ("wrong labels", "doubted", "precision", "recall")
    return f"{len(y):,} samples of {int(y.max()) + 1} classes ({counts}); {repeats} repetitions.\n\n{write_table(head, rows)}"


def main() -> None:
    """Plant, judge, and print or keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="demo")
    parser.add_argument("--embedding", default="embedding")
    parser.add_argument("--folder", type=int, default=1, help="the class is the n-th folder above the file")
    parser.add_argument("--least", type=int, default=9, help="samples of a class that counts")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--keep", action="store_true", help="append to RESULTS.md")
    options = parser.parse_args()
    vectors, y = read(options.dataset, options.embedding, options.folder, options.least)
    text = report(vectors.astype(np.float64) * STRENGTH, y, options.repeats)
    print(text)
    if options.keep:
        call = f"`python bench/label_errors.py --dataset {options.dataset} --folder {options.folder} --least {options.least}`"
        results.append("Likely label errors", f"{call}: a linear model on stored embeddings, five folds.\n\n{text}")


if __name__ == "__main__":
    main()
