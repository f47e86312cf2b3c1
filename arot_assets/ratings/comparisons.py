"""Pairs and rankings as choices: Bradley–Terry and Plackett–Luce, with ties.

Belongs here: turning comparisons into choices, and the likelihood of these. Does not belong here: scores, raters and the prior
(``latent.py``).

A ranking is a sequence of choices, each of the best of what is left (Plackett 1975, Luce 1959); a pair is one. Ties are choices
of several at once (Davidson 1970; Turner, van Etten, Firth, Kosmidis 2020): a set T of k samples has the worth ``delta_k exp(mean
of theta over T)``, where ``delta_1 = 1``. Every choice is then a softmax over sets. A ranking that is too long, or has too large
a tie, counts as its pairs, weighted so that it counts as much as one of its length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

LARGEST_TIE = 3
LONGEST = 12
"""Samples of a ranking, and of a tie, that are taken as such."""


@dataclass(frozen=True)
class Comparison:
    """One pair or ranking.

    Attributes:
        samples: numbers of the samples.
        ranks: of each, 1 is the best, equal ranks are ties.
        rater: number of the rater.
    """

    samples: Sequence[int]
    ranks: Sequence[int]
    rater: int


@dataclass(frozen=True)
class Choices:
    """All choices, each a run of alternatives.

    Attributes:
        sets: ``[A, S]``, row a has 1/k at each of the k samples of alternative a.
        order: ``int64 [A]``, k - 1.
        choice: ``int64 [A]``, the choice that an alternative belongs to.
        starts: ``int64 [C]``, the first alternative of each choice.
        chosen: ``int64 [C]``, the alternative that was chosen.
        weight: ``float64 [C]``.
        rater: ``int64 [C]``.
    """

    sets: "csr_array"
    order: NDArray[np.int64]
    choice: NDArray[np.int64]
    starts: NDArray[np.int64]
    chosen: NDArray[np.int64]
    weight: NDArray[np.float64]
    rater: NDArray[np.int64]

    @property
    def ties(self) -> int:
        """How many parameters ties need: the size of the largest tie, less one."""
        return int(self.order.max(initial=0))


def choices_of(comparisons: Sequence[Comparison], samples: int) -> Choices:
    """The choices that comparisons consist of.

    Args:
        comparisons: each of two samples or more.
        samples: how many there are.
    """
    from scipy.sparse import csr_array

    stages = [stage for one in comparisons for stage in _stages(one)]
    largest = max((len(chosen) for chosen, *_ in stages), default=1)
    members: list[int] = []
    ends, order = [0], list[int]()
    choice, starts, picked = list[int](), list[int](), list[int]()
    for number, (chosen, left, _, _) in enumerate(stages):
        starts.append(len(order))
        for k in range(1, min(largest, len(left)) + 1):
            for group in combinations(left, k):
                if group == chosen:
                    picked.append(len(order))
                members += group
                ends.append(len(members))
                order.append(k - 1)
                choice.append(number)
    sizes = np.diff(ends)
    data = np.repeat(1.0 / np.maximum(sizes, 1), sizes)
    sets = csr_array((data, np.array(members, np.int64), np.array(ends, np.int64)), shape=(len(order), samples))
    return Choices(
        sets,
        np.array(order, np.int64),
        np.array(choice, np.int64),
        np.array(starts, np.int64),
        np.array(picked, np.int64),
        np.array([weight for *_, weight, _ in stages], np.float64),
        np.array([rater for *_, rater in stages], np.int64),
    )


def _stages(one: Comparison) -> list[tuple[tuple[int, ...], tuple[int, ...], float, int]]:
    """What was chosen, from what, the weight, and the rater; the last sample that is left is no choice."""
    groups: dict[int, list[int]] = {}
    for sample, rank in zip(one.samples, one.ranks, strict=True):
        groups.setdefault(rank, []).append(sample)
    ordered = [sorted(groups[rank]) for rank in sorted(groups)]
    count = len(one.samples)
    if count > LONGEST or max(map(len, ordered)) > LARGEST_TIE:
        rank_of = dict(zip(one.samples, one.ranks, strict=True))
        pairs = [
            (tuple(sorted(s for s in pair if rank_of[s] == min(rank_of[p] for p in pair))), pair)
            for pair in combinations(sorted(one.samples), 2)
        ]
        return [(chosen, pair, 2.0 / count, one.rater) for chosen, pair in pairs]
    found, left = [], sorted(one.samples)
    for group in ordered:
        if len(left) > 1:
            found.append((tuple(group), tuple(left), 1.0, one.rater))
        left = [sample for sample in left if sample not in group]
    return found


def probabilities(
    choices: Choices, theta: NDArray[np.float64], slopes: NDArray[np.float64], ties: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``float64 [A]`` or ``[A, D]``, the probability of each alternative within its choice.

    Args:
        choices: all choices.
        theta: ``float64 [S]``, the quality of the samples, or ``[S, D]`` for several draws of it.
        slopes: ``float64 [R]``, how strongly each rater follows it; below 0 upside down.
        ties: ``float64 [T]``, log delta of ties of 2, 3 …
    """
    bonus, slope = np.concatenate([[0.0], ties])[choices.order], slopes[choices.rater][choices.choice]
    worth = ((choices.sets @ theta).T * slope + bonus).T
    worth -= np.maximum.reduceat(worth, choices.starts, axis=0)[choices.choice]
    grown = np.exp(worth)
    return np.asarray(grown / np.add.reduceat(grown, choices.starts, axis=0)[choices.choice], np.float64)


def log_likelihood(choices: Choices, chances: NDArray[np.float64]) -> float:
    """Of what was chosen, with these ``probabilities``, summed over draws."""
    return float((choices.weight @ np.log(np.maximum(chances[choices.chosen], 1e-300))).sum())


def derivatives(
    choices: Choices, chances: NDArray[np.float64], slopes: NDArray[np.float64]
) -> tuple[NDArray[np.float64], "csr_array"]:
    """The gradient ``[S]`` of the log-likelihood in theta, and minus its second derivatives, sparse ``[S, S]``."""
    from scipy.sparse import csr_array, diags_array

    slope = slopes[choices.rater]
    picked = np.zeros(len(chances))
    picked[choices.chosen] = 1.0
    gradient = choices.sets.T @ ((choices.weight * slope)[choices.choice] * (picked - chances))
    strength = choices.weight * slope**2
    spread = choices.sets.T @ diags_array(strength[choices.choice] * chances, dtype=np.float64) @ choices.sets
    within = csr_array((chances, (choices.choice, np.arange(len(chances)))), shape=(len(choices.starts), len(chances)))
    means = within @ choices.sets
    return gradient, csr_array(spread - means.T @ diags_array(strength, dtype=np.float64) @ means)


def parameter_gradient(
    choices: Choices, chances: NDArray[np.float64], drawn: NDArray[np.float64], raters: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The gradient of the log-likelihood in the raters' slopes ``[R]`` and in log delta ``[T]``, summed over draws.

    Args:
        choices: all choices.
        chances: ``float64 [A, D]``, their probabilities.
        drawn: ``float64 [S, D]``, draws of theta.
        raters: how many there are.
    """
    excess = -(chances.T * choices.weight[choices.choice]).T
    excess[choices.chosen] += choices.weight[:, None]
    pull = (excess * (choices.sets @ drawn)).sum(1)
    of_slopes = np.bincount(choices.rater[choices.choice], pull, minlength=raters)
    of_ties = np.bincount(choices.order, excess.sum(1), minlength=choices.ties + 1)[1:]
    return of_slopes.astype(np.float64), of_ties.astype(np.float64)
