"""Which images are variants of one another: connected components of similar perceptual hashes.

Belongs here: finding all pairs of 64-bit hashes within a Hamming distance, in seconds for a million.
Does not belong here: making hashes (the metric ``phash``) and what groups are used for (the splits of ratings and classifiers).

Multi-index hashing (Norouzi, Punjani, Fleet 2012): cut the hash into four chunks of 16 bits. When two hashes differ in at
most d bits, at least one chunk differs in at most d // 4 bits (pigeonhole), so it is enough to look into the buckets of
each chunk and of its few neighbours: nothing is missed, and few pairs are compared.
"""

from collections.abc import Callable
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHUNKS = 4
CHUNK_BITS = 16


def near_duplicate_groups(hashes: NDArray[np.uint64], mirrored: NDArray[np.uint64], distance: int) -> NDArray[np.int64]:
    """Group images that are near duplicates, directly or through others.

    Args:
        hashes: ``uint64 [N]``, one hash per image.
        mirrored: ``uint64 [N]``, the hash of the mirrored image. Two images are near duplicates if the hash of one is within
            ``distance`` of the hash or of the mirrored hash of the other.
        distance: bits that may differ, 0-15.

    Returns:
        ``int64 [N]``: for each image, the index of the first image of its group.
    """
    if not 0 <= distance < CHUNK_BITS:
        raise ValueError(f"distance must be 0 to {CHUNK_BITS - 1} bits, got {distance}")
    if len(hashes) == 0:
        return np.empty(0, np.int64)
    # many flat images share few hashes: compare each distinct hash once
    unique, group = np.unique(hashes, return_inverse=True)
    flipped = np.unique(np.stack([group.astype(np.uint64), mirrored], axis=1), axis=0)
    queries = np.concatenate([unique, flipped[:, 1]])
    owners = np.concatenate([np.arange(len(unique)), flipped[:, 0].astype(np.int64)])
    parents = np.arange(len(unique))
    masks = chunk_masks(distance // CHUNKS)
    for chunk in range(CHUNKS):
        keys, order = by_chunk(unique, chunk)
        starts = np.searchsorted(keys, np.arange(2**CHUNK_BITS + 1))
        # queries in the order of their buckets, so that each bucket stays in the cache
        query_keys, query_order = by_chunk(queries, chunk)
        _link()(
            queries[query_order],
            query_keys,
            owners[query_order],
            unique[order],
            order,
            starts,
            masks,
            distance,
            parents,
        )
    roots = _roots(parents)[group]
    _, first, inverse = np.unique(roots, return_index=True, return_inverse=True)
    return first[inverse].astype(np.int64)


def by_chunk(hashes: NDArray[np.uint64], chunk: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """One chunk of each hash in ascending order, and the indices that bring the hashes into that order."""
    keys = ((hashes >> np.uint64(chunk * CHUNK_BITS)) & np.uint64(0xFFFF)).astype(np.uint16)
    order = np.argsort(keys, kind="stable")
    return keys[order].astype(np.int64), order


def chunk_masks(radius: int) -> NDArray[np.int64]:
    """Every way to flip at most ``radius`` bits of a chunk."""
    bits = [1 << b for b in range(CHUNK_BITS)]
    return np.array([sum(flips) for r in range(radius + 1) for flips in combinations(bits, r)], np.int64)


def _roots(parents: NDArray[np.int64]) -> NDArray[np.int64]:
    while True:
        grand = parents[parents]
        if np.array_equal(grand, parents):
            return parents
        parents = grand


@cache
def _link() -> Callable[..., Any]:
    """The compiled search; compiled once on a machine, then read from numba's cache."""
    import numba

    @numba.njit(cache=True, nogil=True)
    def link(queries, keys, owners, hashes, order, starts, masks, distance, parents):  # type: ignore[no-untyped-def]
        m1, m2, m4 = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333), np.uint64(0x0F0F0F0F0F0F0F0F)
        ones = np.uint64(0x0101010101010101)
        for q in range(queries.shape[0]):
            query = queries[q]
            for mask in masks:
                bucket = keys[q] ^ mask
                for place in range(starts[bucket], starts[bucket + 1]):
                    x = query ^ hashes[place]
                    x = x - ((x >> np.uint64(1)) & m1)
                    x = (x & m2) + ((x >> np.uint64(2)) & m2)
                    x = (x + (x >> np.uint64(4))) & m4
                    if np.int64((x * ones) >> np.uint64(56)) > distance:
                        continue
                    a, b = owners[q], order[place]
                    while parents[a] != a:
                        parents[a] = parents[parents[a]]
                        a = parents[a]
                    while parents[b] != b:
                        parents[b] = parents[parents[b]]
                        b = parents[b]
                    if a != b:
                        parents[max(a, b)] = min(a, b)

    return link
