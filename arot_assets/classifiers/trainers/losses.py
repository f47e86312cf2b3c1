"""The losses, of one model or of many heads at once.

Belongs here: arithmetic on tensors. Does not belong here: what the numbers mean when scoring (``tasks.py``).

Every function takes logits ``[B, …, K]`` and gives a loss for each sample and head, ``[B, …]``: the mean over samples, with their
weights, is the caller's, and heads stay independent of each other.

Sources: CORAL: Cao, Mirjalili, Raschka 2020 (one weight vector, ordered biases, binary cross-entropy of "above level k"). CORN:
Shi, Cao, Raschka 2021 (the same of samples that are above level k - 1, so that the product of the probabilities is ordered).
Pairwise logistic: Bradley and Terry 1952; Burges et al. 2005 (RankNet).
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from arot_assets.classifiers.tasks import Task

if TYPE_CHECKING:
    import torch


def losses(
    task: Task,
    logits: "torch.Tensor",
    target: "torch.Tensor",
    *,
    smoothing: float = 0.0,
    delta: float = 1.0,
    pos_weight: "torch.Tensor | None" = None,
) -> "torch.Tensor":
    """The loss of each sample and head.

    Args:
        task: which loss.
        logits: ``[B, …, K]``.
        target: ``int64 [B]``, ``float32 [B, C]`` or ``float32 [B]``: as ``Targets.values``. May be ``float32 [B, C]`` for
            cross-entropy too: mixed classes.
        smoothing: of cross-entropy.
        delta: of Huber.
        pos_weight: ``[C]``, of binary cross-entropy: how much a positive counts.

    Returns:
        ``[B, …]``.
    """
    import torch
    from torch.nn import functional

    between = (1,) * (logits.ndim - 2)
    if task.loss == "cross_entropy":
        logs = functional.log_softmax(logits, dim=-1)
        if target.ndim == 1:
            target = functional.one_hot(target, logits.shape[-1])
        wanted = target.to(logs.dtype) * (1 - smoothing) + smoothing / logits.shape[-1]
        return -(logs * wanted.view(len(wanted), *between, -1)).sum(dim=-1)
    if task.loss == "bce":
        wanted = target.view(len(target), *between, -1).expand_as(logits)
        return functional.binary_cross_entropy_with_logits(
            logits, wanted, reduction="none", pos_weight=pos_weight
        ).mean(dim=-1)
    if task.loss in ("mse", "huber"):
        wanted = target.view(len(target), *between).expand(logits.shape[:-1])
        if task.loss == "mse":
            return functional.mse_loss(logits[..., 0], wanted, reduction="none")
        return functional.huber_loss(logits[..., 0], wanted, reduction="none", delta=delta)
    if task.loss == "pairwise":
        return pairwise(logits[..., 0], target)
    levels = torch.arange(logits.shape[-1], device=logits.device)
    above = (target[:, None] > levels).to(logits.dtype)
    each = functional.binary_cross_entropy_with_logits(
        logits, above.view(len(above), *between, -1).expand_as(logits), reduction="none"
    )
    if task.loss == "coral":
        return each.sum(dim=-1)
    # a sample says something about level k only if it reached it
    reached = (target[:, None] >= levels).to(logits.dtype)
    return (each * reached.view(len(reached), *between, -1)).sum(dim=-1)


def pairwise(scores: "torch.Tensor", values: "torch.Tensor") -> "torch.Tensor":
    """``-log sigmoid(better - worse)``, for each sample the mean over all others of the batch that are better or worse.

    Args:
        scores: ``[B, …]``.
        values: ``[B]``; equal ones are no pair.

    Returns:
        ``[B, …]``; 0 for a sample without a pair.
    """
    from torch.nn import functional

    sign = (values[:, None] - values[None, :]).sign()
    shape = (*sign.shape, *(1,) * (scores.ndim - 1))
    difference = (scores[:, None] - scores[None, :]) * sign.view(shape)
    each = functional.softplus(-difference) * sign.abs().view(shape)
    pairs = sign.abs().sum(dim=1).clamp_min(1).view(-1, *(1,) * (scores.ndim - 1))
    return each.sum(dim=1) / pairs


def sample_weights(
    task: Task, values: NDArray[Any], weights: NDArray[np.float32], balanced: bool
) -> NDArray[np.float32]:
    """Weights with a mean of 1, and with ``balanced`` the same total for each class or level that occurs.

    Args:
        task: classes and levels can be balanced; numbers and tags are left as they are.
        values: see ``Targets``.
        weights: as given.
        balanced: see above.
    """
    found = weights.astype(np.float64)
    if balanced and task.kind in ("classification", "ordinal"):
        totals = np.bincount(values, weights=found, minlength=len(task.classes))
        found = found / np.where(totals > 0, totals, 1)[values]
    mean = found.mean()
    scaled: NDArray[np.float32] = (found / mean if mean > 0 else found).astype(np.float32)
    return scaled


def positive_weights(values: NDArray[Any]) -> NDArray[np.float32]:
    """``float32 [C]`` of tags ``[N, C]``: negatives for each positive, between 0.1 and 100, so that both count the same."""
    positive = values.sum(axis=0)
    found: NDArray[np.float32] = np.clip((len(values) - positive) / np.maximum(positive, 1), 0.1, 100).astype(
        np.float32
    )
    return found
