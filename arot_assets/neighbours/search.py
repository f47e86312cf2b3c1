"""The nearest vectors of each vector: exact, by products of matrices in blocks, on the GPU if there is one.

Belongs here: distances and the search, over all vectors or over what changed since an earlier search. Does not belong here: where
vectors are stored, clusters.

An index (HNSW, IVF) would be an estimate, and worth it beyond some millions of vectors only: 100,000 x 512 with itself are 10^13
operations, minutes on a CPU and seconds on a GPU; later searches compare what changed.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from arot_assets.progress import track

if TYPE_CHECKING:
    import torch

Distance = Literal["cosine", "euclidean"]
QUERIES, OTHERS = 1024, 16_384
"""Rows of a block of distances, 67 MB of them at a time."""
SMALLEST = 1e-30
"""Instead of the length of a vector of zeros, whose cosine to every other is 0."""
NONE = -1
"""The place of a neighbour that is not there, because there are fewer than k."""


@dataclass(frozen=True)
class Near:
    """The nearest of each query, the nearest first; equal distances by their place.

    Attributes:
        places: ``int64 [N, k]`` of vectors; ``NONE`` beyond the number of vectors.
        distances: ``float32 [N, k]``; infinite there.
    """

    places: NDArray[np.int64]
    distances: NDArray[np.float32]


def prepared(vectors: NDArray[np.floating], distance: Distance) -> NDArray[np.float32]:
    """``[N, D]`` of any float type -> float32, of length 1 if cosines are compared."""
    wide = vectors.astype(np.float32)
    if distance == "euclidean":
        return wide
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.asarray(wide / np.maximum(length, SMALLEST), np.float32)


def nearest(
    vectors: NDArray[np.float32],
    queries: NDArray[np.int64],
    others: NDArray[np.int64],
    k: int,
    distance: Distance,
    device: str = "cpu",
) -> Near:
    """The k nearest of some vectors to each of some vectors, itself left out.

    Args:
        vectors: ``float32 [N, D]``, of ``prepared``.
        queries: places of the vectors whose neighbours are looked for.
        others: places of those that may be neighbours.
        k: the number of neighbours.
        distance: ``cosine`` (1 - cosine similarity) or ``euclidean``.
        device: ``cpu`` or ``cuda``.
    """
    import torch

    places = np.full((len(queries), k), NONE, np.int64)
    distances = np.full((len(queries), k), np.inf, np.float32)
    whole = torch.from_numpy(vectors).to(device)
    with track("comparing vectors", len(queries)) as advance:
        for start in range(0, len(queries), QUERIES):
            rows = torch.from_numpy(queries[start : start + QUERIES]).to(device)
            best = _of_block(whole, rows, torch.from_numpy(others).to(device), k, distance)
            found, apart = best[0].cpu().numpy(), best[1].cpu().numpy()
            place = slice(start, start + len(rows))
            places[place, : found.shape[1]], distances[place, : found.shape[1]] = found, apart
            advance(len(rows))
    places[~np.isfinite(distances)] = NONE
    return _in_order(places, distances)


def _of_block(
    whole: "torch.Tensor", rows: "torch.Tensor", others: "torch.Tensor", k: int, distance: Distance
) -> "tuple[torch.Tensor, torch.Tensor]":
    """Places and distances of the k nearest of ``others`` to each row of a block, in no order."""
    import torch

    ours = whole[rows]
    found = torch.empty((len(rows), 0), dtype=torch.int64, device=whole.device)
    apart = torch.empty((len(rows), 0), dtype=torch.float32, device=whole.device)
    for start in range(0, len(others), OTHERS):
        there = others[start : start + OTHERS]
        theirs = whole[there]
        if distance == "cosine":
            block = (1 - ours @ theirs.T).clamp_(min=0)
        else:
            squares = ours.square().sum(1, keepdim=True) + theirs.square().sum(1) - 2 * (ours @ theirs.T)
            block = squares.clamp_(min=0).sqrt_()
        block[rows[:, None] == there[None, :]] = torch.inf
        nearest_ones = block.topk(min(k, block.shape[1]), largest=False)
        found = torch.cat([found, there[nearest_ones.indices]], 1)
        apart = torch.cat([apart, nearest_ones.values], 1)
        best = apart.topk(min(k, apart.shape[1]), largest=False)
        found, apart = found.gather(1, best.indices), best.values
    return found, apart


def merged(first: Near, second: Near) -> Near:
    """The k nearest of two searches for the same queries, over different vectors."""
    k = first.places.shape[1]
    both = _in_order(
        np.concatenate([first.places, second.places], 1), np.concatenate([first.distances, second.distances], 1)
    )
    return Near(both.places[:, :k], both.distances[:, :k])


def updated(
    vectors: NDArray[np.float32],
    before: Near,
    fresh: NDArray[np.bool_],
    k: int,
    distance: Distance,
    device: str = "cpu",
) -> Near:
    """The k nearest of every vector, when most are known: what is new is compared with all, and all with what is new.

    Args:
        vectors: ``float32 [N, D]``, of ``prepared``.
        before: an earlier search, in the places of now; ``NONE`` with a finite distance for a neighbour that is no longer there.
        fresh: ``bool [N]``: those that the earlier search did not have.
        k: the number of neighbours.
        distance: see ``nearest``.
        device: ``cpu`` or ``cuda``.
    """
    every = np.arange(len(vectors))
    lost = ((before.places == NONE) & np.isfinite(before.distances)).any(1)
    again = fresh | lost
    result = Near(before.places.copy(), before.distances.copy())
    if again.any():
        found = nearest(vectors, every[again], every, k, distance, device)
        result.places[again], result.distances[again] = found.places, found.distances
    if fresh.any() and not again.all():
        kept = every[~again]
        old = Near(before.places[kept], before.distances[kept])
        both = merged(old, nearest(vectors, kept, every[fresh], k, distance, device))
        result.places[kept], result.distances[kept] = both.places, both.distances
    return result


def _in_order(places: NDArray[np.int64], distances: NDArray[np.float32]) -> Near:
    order = np.lexsort((places, distances), axis=1)
    return Near(np.take_along_axis(places, order, 1), np.take_along_axis(distances, order, 1))
