"""Figures of predictions: how large an error is, how well the order is kept, how often a class is right.

Belongs here: one function a figure, of plain arrays; tested against scikit-learn and scipy. Does not belong here: intervals and
what is shown (``evaluation.py``), calibration (``calibration.py``). numpy only, but for Kendall's tau.

Those of confusion matrices take a stack of them, so that 2,000 resampled ones cost one call. A figure that does not exist (the
rank correlation of constants, the AUROC of one class) is NaN.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def mae(truth: NDArray[Any], scores: NDArray[Any]) -> float:
    """Mean absolute error."""
    return float(np.abs(np.asarray(scores, np.float64) - truth).mean())


def rmse(truth: NDArray[Any], scores: NDArray[Any]) -> float:
    """Root of the mean squared error."""
    return float(np.sqrt(np.square(np.asarray(scores, np.float64) - truth).mean()))


def pearson(truth: NDArray[Any], scores: NDArray[Any]) -> float:
    """Linear correlation."""
    x, y = np.asarray(truth, np.float64), np.asarray(scores, np.float64)
    x, y = x - x.mean(), y - y.mean()
    size = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / size) if size > 0 else float("nan")


def ranks(values: NDArray[Any]) -> Floats:
    """Ranks from 1; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    middle: Floats = last - (counts - 1) / 2
    return middle[place]


def spearman(truth: NDArray[Any], scores: NDArray[Any]) -> float:
    """Rank correlation."""
    return pearson(ranks(truth), ranks(scores))


def kendall(truth: NDArray[Any], scores: NDArray[Any]) -> float:
    """Kendall's tau-b."""
    from scipy.stats import kendalltau

    if len(truth) < 2:
        return float("nan")
    return float(kendalltau(truth, scores).statistic)


def auroc(truth: NDArray[Any], scores: NDArray[Any]) -> float:
    """Area under the ROC curve of a yes/no question: the chance that a positive scores above a negative."""
    positive = np.asarray(truth, bool)
    yes, no = int(positive.sum()), int((~positive).sum())
    if not yes or not no:
        return float("nan")
    return float((ranks(scores)[positive].sum() - yes * (yes + 1) / 2) / (yes * no))


def average_precision(truth: NDArray[Any], scores: NDArray[Any]) -> float:
    """Mean of the precision at each threshold, weighted by the recall gained there; equal scores are one threshold."""
    positive = np.asarray(truth, bool)
    if not positive.any():
        return float("nan")
    order = np.argsort(-np.asarray(scores), kind="stable")
    hits = np.cumsum(positive[order])
    ends = np.append(np.flatnonzero(np.diff(np.asarray(scores)[order])), len(order) - 1)
    precision, recall = hits[ends] / (ends + 1), hits[ends] / hits[-1]
    return float((np.diff(recall, prepend=0) * precision).sum())


def macro(figure: Any, truth: NDArray[Any], probabilities: NDArray[Any], least: int = 1) -> float:
    """The mean of a yes/no figure over classes, of those with at least ``least`` positives for which it exists.

    Args:
        figure: ``auroc`` or ``average_precision``.
        truth: ``bool [N, C]``.
        probabilities: ``[N, C]``.
        least: positives that a class must have.
    """
    enough = [k for k in range(truth.shape[1]) if truth[:, k].sum() >= least]
    found = np.array([figure(truth[:, k], probabilities[:, k]) for k in enough])
    found = found[np.isfinite(found)]
    return float(found.mean()) if len(found) else float("nan")


def confusion(truth: NDArray[Any], predicted: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """``int64 [C, C]``: rows are true classes, columns predicted ones."""
    found: NDArray[np.int64] = np.bincount(truth * classes + predicted, minlength=classes**2).reshape(classes, classes)
    return found


def accuracy(confusions: Floats) -> Floats:
    """``[…, C, C]`` -> ``[…]``."""
    found: Floats = np.trace(confusions, axis1=-2, axis2=-1) / confusions.sum(axis=(-2, -1))
    return found


def balanced_accuracy(confusions: Floats) -> Floats:
    """Mean recall of the classes that occur: ``[…, C, C]`` -> ``[…]``."""
    true = confusions.sum(axis=-1)
    recall = _share(np.diagonal(confusions, axis1=-2, axis2=-1), true)
    found: Floats = recall.sum(axis=-1) / (true > 0).sum(axis=-1)
    return found


def macro_f1(confusions: Floats) -> Floats:
    """Mean F1 of the classes that occur, as a true or a predicted class: ``[…, C, C]`` -> ``[…]``."""
    true, said = confusions.sum(axis=-1), confusions.sum(axis=-2)
    f1 = _share(2 * np.diagonal(confusions, axis1=-2, axis2=-1), true + said)
    found: Floats = f1.sum(axis=-1) / (true + said > 0).sum(axis=-1)
    return found


def kappa(confusions: Floats) -> Floats:
    """Cohen's kappa with quadratic weights: ``[…, C, C]`` -> ``[…]``; NaN where all is one class."""
    size = confusions.shape[-1]
    levels = np.arange(size)
    weights = np.square(levels[:, None] - levels[None, :]).astype(np.float64)
    true, said = confusions.sum(axis=-1), confusions.sum(axis=-2)
    expected = true[..., :, None] * said[..., None, :] / confusions.sum(axis=(-2, -1))[..., None, None]
    by_chance = (weights * expected).sum(axis=(-2, -1))
    found: Floats = 1 - np.divide(
        (weights * confusions).sum(axis=(-2, -1)), by_chance, out=np.full_like(by_chance, np.nan), where=by_chance > 0
    )
    return found


def per_class(confusions: NDArray[Any]) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and F1 of each class ``[C]``; 0 where there is nothing to divide by."""
    hits = np.diagonal(confusions).astype(np.float64)
    true, said = confusions.sum(axis=1).astype(np.float64), confusions.sum(axis=0).astype(np.float64)
    return _share(hits, said), _share(hits, true), _share(2 * hits, true + said)


def _share(part: Floats, whole: Floats) -> Floats:
    found: Floats = np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=whole > 0)
    return found
