"""Every pair of perceptual hashes within a Hamming distance, mirrored ones too.

Belongs here: the search, complete and in seconds for a million hashes. Does not belong here: making hashes (the metric
``phash``), groups (``groups.py``).

Multi-index hashing, as in ``metrics.near_duplicates``: when two hashes differ in at most d bits, one of their four chunks
differs in at most d // 4. A pair is reported by the first chunk of which that holds, so each pair is found once.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arot_assets.metrics.near_duplicates import CHUNK_BITS, CHUNKS, by_chunk, chunk_masks
from resources.errors import ArotError

MOST_PAIRS = 200_000_000
"""More pairs than this are no duplicates but a flood of flat pictures: 3 GB."""


class DuplicatesError(ArotError):
    """Duplicates cannot be found; the message names the dataset, the cause and the remedy."""


class Pairs(NamedTuple):
    """Pairs of rows.

    Attributes:
        first: ``int64 [P]``.
        second: ``int64 [P]``, always another row.
        distance: ``float32 [P]``: bits, or 1 - cosine.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    distance: NDArray[np.float32]


def pairs_within(
    queries: NDArray[np.uint64], hashes: NDArray[np.uint64], distance: int, among_themselves: bool = False
) -> Pairs:
    """All pairs of a query and a hash within a distance.

    Args:
        queries: ``uint64 [Q]``.
        hashes: ``uint64 [N]``.
        distance: bits that may differ, 0-15.
        among_themselves: the queries are the hashes: each pair once, the smaller row first, and no row with itself.

    Raises:
        DuplicatesError: there are more than ``MOST_PAIRS``.
    """
    if not 0 <= distance < CHUNK_BITS:
        raise ValueError(f"distance must be 0 to {CHUNK_BITS - 1} bits, got {distance}")
    found: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]] = []
    radius, left = distance // CHUNKS, MOST_PAIRS
    masks = chunk_masks(radius)
    for chunk in range(CHUNKS):
        keys, order = by_chunk(hashes, chunk)
        starts = np.searchsorted(keys, np.arange(2**CHUNK_BITS + 1))
        query_keys, query_order = by_chunk(queries, chunk)
        settings = (distance, chunk, radius, among_themselves, left)
        one = _search()(queries[query_order], query_keys, query_order, hashes[order], order, starts, masks, *settings)
        left -= len(one[0])
        if left < 0:
            raise DuplicatesError(
                f"more than {MOST_PAIRS:,} pairs of hashes are within {distance} bits; set `bits` lower"
            )
        found.append(one)
    first, second, apart = zip(*found, strict=True)
    return Pairs(np.concatenate(first), np.concatenate(second), np.concatenate(apart))


def near_pairs(unique: NDArray[np.uint64], turned: NDArray[np.uint64], distance: int) -> tuple[Pairs, Pairs]:
    """Pairs of distinct hashes that are near; and those where one is near the other's mirror image.

    Args:
        unique: ``uint64 [N]``, each once.
        turned: ``uint64 [N]``, of the mirrored pictures.
        distance: bits that may differ, 0-15.

    Returns:
        Each pair once, the smaller row first.
    """
    plain = pairs_within(unique, unique, distance, among_themselves=True)
    flipped = pairs_within(turned, unique, distance)
    other = flipped.first != flipped.second
    low = np.minimum(flipped.first, flipped.second)[other]
    high = np.maximum(flipped.first, flipped.second)[other]
    apart = flipped.distance[other]
    order = np.lexsort((apart, high, low))
    low, high, apart = low[order], high[order], apart[order]
    new = np.ones(len(low), bool)
    new[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    return plain, Pairs(low[new], high[new], apart[new])


@cache
def _search() -> Callable[..., Any]:
    """The compiled search; compiled once on a machine, then read from numba's cache."""
    import numba

    @numba.njit(cache=True, nogil=True)
    def search(queries, keys, rows, hashes, others, starts, masks, distance, chunk, radius, themselves, most):  # type: ignore[no-untyped-def]
        m1, m2, m4 = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333), np.uint64(0x0F0F0F0F0F0F0F0F)
        ones, low = np.uint64(0x0101010101010101), np.uint64(0xFFFF)
        room, count = 1024, 0
        first, second, apart = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.float32)
        for q in range(queries.shape[0]):
            query = queries[q]
            for mask in masks:
                bucket = keys[q] ^ mask
                for place in range(starts[bucket], starts[bucket + 1]):
                    x = query ^ hashes[place]
                    y = x
                    x = x - ((x >> np.uint64(1)) & m1)
                    x = (x & m2) + ((x >> np.uint64(2)) & m2)
                    x = (x + (x >> np.uint64(4))) & m4
                    bits = np.int64((x * ones) >> np.uint64(56))
                    if bits > distance or (themselves and others[place] <= rows[q]):
                        continue
                    earlier = False
                    for c in range(chunk):
                        part = (y >> np.uint64(16 * c)) & low
                        ones_of_part = 0
                        while part:
                            part &= part - np.uint64(1)
                            ones_of_part += 1
                        if ones_of_part <= radius:
                            earlier = True
                    if earlier:
                        continue
                    if count > most:
                        return first[:count], second[:count], apart[:count]
                    if count == room:
                        room *= 2
                        first = np.concatenate((first, np.empty(count, np.int64)))
                        second = np.concatenate((second, np.empty(count, np.int64)))
                        apart = np.concatenate((apart, np.empty(count, np.float32)))
                    first[count], second[count], apart[count] = rows[q], others[place], bits
                    count += 1
        return first[:count], second[:count], apart[:count]

    return search
