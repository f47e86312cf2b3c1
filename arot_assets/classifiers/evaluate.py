"""Judging predictions: every figure of a task with its interval, by slice, beside baselines, and the worst mistakes.

Belongs here: which figures each task has, and how a whole evaluation is put together. Does not belong here: what it holds
(``evaluation.py``), the figures themselves (``figures.py``), resampling (``bootstrap.py``), training, drawing (``report.py``).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arot_assets.classifiers import figures
from arot_assets.classifiers.bootstrap import LEAST_RESAMPLES, RESAMPLES, bootstrap, interval
from arot_assets.classifiers.evaluation import Calibration, Evaluation, Figure, Mistake, Slice
from arot_assets.classifiers.tasks import Predictions, Task

SLOW = ("kendall", "auroc", "average_precision")
"""Figures of which ``LEAST_RESAMPLES`` draws are made: they sort once a class, or compare pairs."""
WORST = 24
SUPPORT = 10
"""Positives that a tag needs to count in a macro mean."""


def evaluate(
    task: Task,
    sample_ids: Sequence[str],
    truth: NDArray[Any],
    found: Predictions,
    group_ids: Sequence[str],
    *,
    slices: Mapping[str, Sequence[str | None]] | None = None,
    baselines: Mapping[str, Predictions] | None = None,
    calibration: Calibration | None = None,
    seed: int = 0,
    draws: int = RESAMPLES,
) -> Evaluation:
    """Measure predictions.

    Args:
        task: what was to be learnt.
        sample_ids: one for each row.
        truth: as ``Targets.values``.
        found: the predictions.
        group_ids: what samples are resampled by.
        slices: name -> the value of each sample.
        baselines: name -> other predictions of the same samples.
        calibration: kept as it is.
        seed: of the resampling.
        draws: of the model's own figures, at most; those of slices and baselines are fewer.

    Raises:
        ValueError: no samples.
    """
    if len(truth) == 0:
        raise ValueError("cannot evaluate a model without test samples")
    groups = np.unique(np.asarray(group_ids), return_inverse=True)[1]
    parts: list[Slice] = []
    for name, values in (slices or {}).items():
        for value in sorted({v for v in values if v is not None}):
            rows = np.flatnonzero([v == value for v in values])
            measured = with_intervals(task, truth[rows], found[rows], groups[rows], seed, min(draws, LEAST_RESAMPLES))
            parts.append(Slice(name, value, len(rows), measured))
    confusions = _confusion(task, truth, found)
    return Evaluation(
        task.kind,
        task.classes,
        len(truth),
        int(groups.max()) + 1,
        with_intervals(task, truth, found, groups, seed, draws),
        None if confusions is None else tuple(tuple(row) for row in confusions.tolist()),
        tuple(_by_class(task, truth, found)),
        tuple(parts),
        {
            name: with_intervals(task, truth, other, groups, seed, min(draws, LEAST_RESAMPLES))
            for name, other in (baselines or {}).items()
        },
        calibration,
        tuple(_mistakes(task, sample_ids, truth, found)),
    )


def with_intervals(
    task: Task,
    truth: NDArray[Any],
    found: Predictions,
    groups: NDArray[np.int64],
    seed: int = 0,
    draws: int = RESAMPLES,
) -> dict[str, Figure]:
    """Every figure of a task with its interval. A figure that does not exist on these samples is NaN.

    Args:
        task: which figures.
        truth: as ``Targets.values``.
        found: the predictions.
        groups: ``int64 [N]``.
        seed: of the resampling.
        draws: at most.
    """
    values = all_figures(task, truth, found)
    quick = [name for name in values if name not in SLOW]
    resampled = bootstrap(groups, lambda rows: all_figures(task, truth[rows], found[rows], quick), seed, draws)
    slow = [name for name in values if name in SLOW]
    few = min(draws, LEAST_RESAMPLES)
    resampled |= bootstrap(groups, lambda rows: all_figures(task, truth[rows], found[rows], slow), seed, few)
    return {name: Figure(value, *interval(resampled[name])) for name, value in values.items()}


def all_figures(
    task: Task, truth: NDArray[Any], found: Predictions, names: Sequence[str] | None = None
) -> dict[str, float]:
    """The figures of a task, all or some."""
    wanted = _figures_of(task, truth, found)
    return {name: wanted[name]() for name in (wanted if names is None else names)}


def _figures_of(task: Task, truth: NDArray[Any], found: Predictions) -> dict[str, Callable[[], float]]:
    measured: dict[str, Callable[[], float]] = {}
    confusions = _confusion(task, truth, found)
    if confusions is not None:
        counts = confusions.astype(np.float64)
        measured |= {
            "accuracy": lambda: float(figures.accuracy(counts)),
            "balanced_accuracy": lambda: float(figures.balanced_accuracy(counts)),
            "macro_f1": lambda: float(figures.macro_f1(counts)),
        }
        if task.kind == "ordinal":
            measured["kappa"] = lambda: float(figures.kappa(counts))
    if task.kind in ("ordinal", "regression"):
        wanted, scores = truth if task.kind == "regression" else np.asarray(task.values())[truth], found.scores
        assert scores is not None
        measured |= {
            name: (lambda figure=figure: figure(wanted, scores))  # type: ignore[misc]
            for name, figure in {
                "spearman": figures.spearman,
                "pearson": figures.pearson,
                "kendall": figures.kendall,
                "mae": figures.mae,
                "rmse": figures.rmse,
            }.items()
        }
        return measured
    said = found.probabilities
    assert said is not None
    tags = task.kind == "multi_label"
    yes, least = (truth > 0.5, SUPPORT) if tags else (truth[:, None] == np.arange(len(task.classes)), 1)
    if tags:
        measured["macro_f1"] = lambda: figures.macro(_f1, yes, said, SUPPORT)
    measured["auroc"] = lambda: figures.macro(figures.auroc, yes, said, least)
    measured["average_precision"] = lambda: figures.macro(figures.average_precision, yes, said, least)
    return measured


def _f1(truth: NDArray[np.bool_], probabilities: NDArray[Any]) -> float:
    said = probabilities >= 0.5
    whole = int(truth.sum() + said.sum())
    return float(2 * (truth & said).sum() / whole) if whole else float("nan")


def _confusion(task: Task, truth: NDArray[Any], found: Predictions) -> NDArray[np.int64] | None:
    if task.kind not in ("classification", "ordinal"):
        return None
    assert found.probabilities is not None
    return figures.confusion(truth, said_class(task, found), len(task.classes))


def said_class(task: Task, found: Predictions) -> NDArray[np.int64]:
    """``int64 [N]``: the most probable class; of ordered levels, the one in whose middle half the probability lies."""
    assert found.probabilities is not None
    if task.kind == "ordinal":
        above = 1 - np.cumsum(found.probabilities[:, :-1], axis=1)
        levels: NDArray[np.int64] = (above > 0.5).sum(axis=1)
        return levels
    best: NDArray[np.int64] = found.probabilities.argmax(axis=1)
    return best


def _by_class(task: Task, truth: NDArray[Any], found: Predictions) -> list[dict[str, Any]]:
    if task.kind == "multi_label":
        assert found.probabilities is not None
        return [
            {
                "class": name,
                "test samples": int(truth[:, k].sum()),
                "average precision": figures.average_precision(truth[:, k] > 0.5, found.probabilities[:, k]),
                "AUROC": figures.auroc(truth[:, k] > 0.5, found.probabilities[:, k]),
                "F1": _f1(truth[:, k] > 0.5, found.probabilities[:, k]),
            }
            for k, name in enumerate(task.classes)
        ]
    counts = _confusion(task, truth, found)
    if counts is None:
        return []
    precision, recall, f1 = figures.per_class(counts)
    return [
        {
            "class": name,
            "test samples": int(counts[k].sum()),
            "precision": float(precision[k]),
            "recall": float(recall[k]),
            "F1": float(f1[k]),
        }
        for k, name in enumerate(task.classes)
    ]


def _mistakes(task: Task, sample_ids: Sequence[str], truth: NDArray[Any], found: Predictions) -> list[Mistake]:
    """What it is most confidently wrong about, or furthest from."""
    if task.kind in ("regression", "ordinal"):
        assert found.scores is not None
        wanted = truth if task.kind == "regression" else np.asarray(task.values())[truth]
        distance = np.abs(found.scores - wanted)
        worst = np.argsort(-distance, kind="stable")[:WORST]
        return [
            Mistake(sample_ids[k], f"{float(wanted[k]):.4g}", f"{float(found.scores[k]):.4g}", float(distance[k]))
            for k in worst.tolist()
            if distance[k] > 0
        ]
    assert found.probabilities is not None
    if task.kind == "multi_label":
        wrong = np.abs(found.probabilities - truth)
        worst = np.argsort(-wrong.max(axis=1), kind="stable")[:WORST]
        return [
            Mistake(
                sample_ids[k],
                ("" if truth[k, tag] > 0.5 else "not ") + task.classes[tag],
                f"{task.classes[tag]} {found.probabilities[k, tag]:.2f}",
                float(wrong[k, tag]),
            )
            for k in worst.tolist()
            if wrong[k, tag := int(wrong[k].argmax())] > 0.5
        ]
    said, confidence = said_class(task, found), found.probabilities.max(axis=1)
    missed = np.flatnonzero(said != truth)
    worst = missed[np.argsort(-confidence[missed], kind="stable")][:WORST]
    return [
        Mistake(sample_ids[k], task.classes[truth[k]], task.classes[said[k]], float(confidence[k]))
        for k in worst.tolist()
    ]
