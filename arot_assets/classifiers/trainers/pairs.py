"""Comparisons as what is learnt: which ones count where, and their loss.

Belongs here: dividing them among training, validation and test, and the arithmetic. Does not belong here: reading them
(``labels.py``), the order in which they are learnt (``heads.py``).

A sample is in one split, a comparison has two samples: it is learnt from if both are in train, it chooses between heads if one is
in val and none in test, and it judges if one is in test. Nothing that was said of a test sample is learnt from.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class DividedPairs:
    """Comparisons, ``int64 [P, 2]`` each: rows of samples, the preferred one first."""

    train: NDArray[np.int64]
    val: NDArray[np.int64]
    test: NDArray[np.int64]


def divided(
    pairs: NDArray[np.int64], train: NDArray[np.int64], val: NDArray[np.int64], test: NDArray[np.int64] | None = None
) -> DividedPairs:
    """Divide comparisons by where their samples are; those of samples that are nowhere are left out.

    Args:
        pairs: ``int64 [P, 2]``.
        train, val: rows of samples.
        test: the same; None: not known, and so all other rows.
    """

    def among(rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        return np.isin(pairs, rows)

    learnt, choosing = among(train), among(val)
    judging = among(test) if test is not None else ~(learnt | choosing)
    known = (learnt | choosing | judging).all(axis=1)
    judges = known & judging.any(axis=1)
    chooses = known & ~judges & choosing.any(axis=1)
    return DividedPairs(pairs[known & learnt.all(axis=1)], pairs[chooses], pairs[judges])


def pair_losses(scores: "torch.Tensor", places: NDArray[np.int64]) -> "torch.Tensor":
    """``-log sigmoid(better - worse)`` of each comparison (Bradley and Terry 1952; Burges et al. 2005).

    Args:
        scores: ``[B, heads]``.
        places: ``int64 [P, 2]``, rows of ``scores``.

    Returns:
        ``[P, heads]``.
    """
    import torch
    from torch.nn import functional

    better, worse = torch.from_numpy(places).unbind(dim=1)
    return functional.softplus(scores[worse] - scores[better])


def share_right(scores: NDArray[Any], pairs: NDArray[np.int64]) -> float:
    """Of some comparisons, the share in which the preferred sample scores higher; an equal score is half. NaN without any.

    Args:
        scores: ``[N]``, by row of the samples.
        pairs: ``int64 [P, 2]``.
    """
    if not len(pairs):
        return float("nan")
    ahead = scores[pairs[:, 0]] - scores[pairs[:, 1]]
    return float(((ahead > 0) + 0.5 * (ahead == 0)).mean())
