"""Every pair of embeddings that are at least this similar: exact, in blocks, on the GPU if there is one.

On a CPU a bound is compared first. With P the projection onto some directions and r the length of what it leaves out,
cos(a, b) = Pa . Pb + (a - Pa) . (b - Pb) <= Pa . Pb + r(a) r(b), by Cauchy and Schwarz: a product of few numbers instead of all,
which rules out nearly every pair, and never one that is similar.

Belongs here: the search. Does not belong here: embeddings (the metrics), groups.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from arot_assets.duplicates.hamming import MOST_PAIRS, DuplicatesError, RowPairs

if TYPE_CHECKING:
    import torch

BLOCK = 4096
"""Rows compared at a time on a GPU: 67 MB of products."""
CPU_BLOCK = 1024
"""The same on a CPU: 4 MB, which stay in its cache."""
HALF_MARGIN = 0.01
"""Half precision finds candidates this much below the threshold; their cosine is then computed in single precision."""
MARGIN = 1e-4
"""The same for single precision."""
TRIED = 2048
"""Rows, spread over all, from which the directions are made, and as many by which their number is chosen."""
DIRECTIONS = (16, 32, 64, 128, 256)
CHECK_COST = 30
"""What the check of a candidate costs, in comparisons of as many numbers: its rows are fetched from anywhere."""


def similar_pairs(vectors: NDArray[np.float32], least: float, device: str = "cpu") -> RowPairs:
    """All pairs whose cosine similarity is at least a threshold.

    Args:
        vectors: ``float32 [N, D]``; rows of zeros are like nothing.
        least: cosine, 0 to 1.
        device: ``cpu`` or ``cuda``.

    Returns:
        Pairs, each once, with 1 - cosine as their distance.

    Raises:
        DuplicatesError: there are more than ``MOST_PAIRS``.
    """
    import torch

    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    whole = torch.from_numpy(np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)).to(device)
    coarse = whole.half() if device != "cpu" else _bounding(whole, least - MARGIN)
    floor = least - (HALF_MARGIN if device != "cpu" else MARGIN)
    found: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    total = 0
    size = CPU_BLOCK if device == "cpu" else BLOCK
    for top in range(0, len(whole), size):
        for left in range(top, len(whole), size):
            one = _block(coarse, whole, top, left, size, floor, least)
            total += len(one[0])
            if total > MOST_PAIRS:
                raise DuplicatesError(f"more than {MOST_PAIRS:,} pairs of embeddings are that similar; raise `cosine`")
            if len(one[0]):
                found.append(one)
    if not found:
        return RowPairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    first, second, cosine = (torch.cat([one[i] for one in found]).numpy() for i in range(3))
    return RowPairs(first, second, (1 - cosine).astype(np.float32))


def _bounding(vectors: "torch.Tensor", floor: float) -> "torch.Tensor":
    """Rows of fewer numbers, whose products are at least those of the given rows; as few as make the search cheap.

    Args:
        vectors: ``float32 [N, D]`` of length 1 or 0.
        floor: products below this rule a pair out.
    """
    import torch

    some = vectors[:: max(1, len(vectors) // (2 * TRIED))][: 2 * TRIED]
    seen, tried = some[::2], some[1::2]  # directions suit those best that they are made from
    directions = torch.linalg.eigh(seen.T @ seen)[1].flip(1)  # those that most of their length lies in come first
    best, cheapest = vectors, float(vectors.shape[1])
    for count in (n for n in DIRECTIONS if n < vectors.shape[1]):
        bounds = _projected(tried, directions[:, :count])
        above = int((bounds @ bounds.T >= floor).sum()) - len(tried)
        share = max(above, 0) / max(1, len(tried) * (len(tried) - 1))
        cost = count + 1 + share * CHECK_COST * vectors.shape[1]
        if cost < cheapest:
            best, cheapest = directions[:, :count], cost
    return vectors if best is vectors else _projected(vectors, best)


def _projected(vectors: "torch.Tensor", directions: "torch.Tensor") -> "torch.Tensor":
    """``[N, K + 1]``: the vectors in K directions, and the length of what these leave out."""
    import torch

    inside = vectors @ directions
    rest = (vectors.square().sum(1) - inside.square().sum(1)).clamp_min(0).sqrt()
    return torch.cat([inside, rest[:, None]], 1)


def _block(
    coarse: "torch.Tensor", whole: "torch.Tensor", top: int, left: int, size: int, floor: float, least: float
) -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor]":
    """The pairs between two blocks of rows, on the CPU."""
    rows, columns = coarse[top : top + size], coarse[left : left + size]
    products = rows @ columns.T
    with_some = (products.amax(1) >= floor).nonzero()[:, 0]
    places = (products[with_some] >= floor).nonzero()
    first, second = with_some[places[:, 0]] + top, places[:, 1] + left
    later = first < second
    first, second = first[later], second[later]
    cosine = (whole[first] * whole[second]).sum(1)
    kept = cosine >= least
    return first[kept].cpu(), second[kept].cpu(), cosine[kept].cpu()
