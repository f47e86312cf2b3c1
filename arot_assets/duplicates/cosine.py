"""Every pair of embeddings that are at least this similar: exact, in blocks, on the GPU if there is one.

Belongs here: the search. Does not belong here: embeddings (the metrics), groups.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from arot_assets.duplicates.hamming import MOST_PAIRS, DuplicatesError, RowPairs

if TYPE_CHECKING:
    import torch

BLOCK = 4096
"""Rows compared at a time: 67 MB of similarities."""
MARGIN = 0.01
"""Half precision finds candidates this much below the threshold; their cosine is then computed in single precision."""


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
    coarse = whole.half() if device != "cpu" else whole
    floor = least - (MARGIN if device != "cpu" else 0.0)
    found: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    total = 0
    for top in range(0, len(whole), BLOCK):
        for left in range(top, len(whole), BLOCK):
            one = _block(coarse, whole, top, left, floor, least)
            total += len(one[0])
            if total > MOST_PAIRS:
                raise DuplicatesError(f"more than {MOST_PAIRS:,} pairs of embeddings are that similar; raise `cosine`")
            if len(one[0]):
                found.append(one)
    if not found:
        return RowPairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    first, second, cosine = (torch.cat([one[i] for one in found]).numpy() for i in range(3))
    return RowPairs(first, second, (1 - cosine).astype(np.float32))


def _block(
    coarse: "torch.Tensor", whole: "torch.Tensor", top: int, left: int, floor: float, least: float
) -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor]":
    """The pairs between two blocks of rows, on the CPU."""
    rows, columns = coarse[top : top + BLOCK], coarse[left : left + BLOCK]
    places = (rows @ columns.T >= floor).nonzero()
    first, second = places[:, 0] + top, places[:, 1] + left
    later = first < second
    first, second = first[later], second[later]
    cosine = (whole[first] * whole[second]).sum(1)
    kept = cosine >= least
    return first[kept].cpu(), second[kept].cpu(), cosine[kept].cpu()
