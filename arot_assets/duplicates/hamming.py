"""Every pair of perceptual hashes within a Hamming distance, mirrored ones too.

Belongs here: the search, complete and in seconds for a million hashes. Does not belong here: making hashes (the metric
``phash``), groups (``groups.py``).

Multi-index hashing, as in ``metrics.near_duplicates``: when two hashes differ in at most d bits, one of their four chunks
differs in few (``_radii``). A pair is reported by the first chunk of which that holds, so each pair is found once.
"""

from collections.abc import Callable
from contextlib import closing
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arot_assets.metrics.near_duplicates import CHUNK_BITS, CHUNKS, by_chunk, chunk_masks
from resources.errors import ArotError
from resources.parallel import ordered_map

MOST_PAIRS = 200_000_000
"""More pairs than this are no duplicates but a flood of flat pictures: 3 GB."""


QUERIES = 2**16
"""Hashes looked up at a time by one thread."""


class DuplicatesError(ArotError):
    """Duplicates cannot be found; the message names the dataset, the cause and the remedy."""


class RowPairs(NamedTuple):
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
) -> RowPairs:
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
    radii = _radii(distance)
    tasks = (
        (index, slice(start, start + QUERIES))
        for index in (_Index(queries, hashes, chunk, radii, distance, among_themselves) for chunk in range(CHUNKS))
        if index.radius >= 0
        for start in range(0, len(queries), QUERIES)
    )
    found: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]] = []
    total = 0
    with closing(ordered_map(lambda task: task[0].search(task[1]), tasks)) as results:
        for one in results:
            total += len(one[0])
            if total > MOST_PAIRS:
                raise DuplicatesError(
                    f"more than {MOST_PAIRS:,} pairs of hashes are within {distance} bits; set `bits` lower"
                )
            found.append(one)
    if not found:
        return RowPairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    first, second, apart = zip(*found, strict=True)
    return RowPairs(np.concatenate(first), np.concatenate(second), np.concatenate(apart))


def _radii(distance: int) -> NDArray[np.int64]:
    """Bits in which each chunk may differ so that no pair is missed: if every chunk differed in more, the hashes would in more
    than ``distance``. A negative radius is of a chunk that need not be looked into."""
    return np.array([distance // CHUNKS - (chunk > distance % CHUNKS) for chunk in range(CHUNKS)])


class _Index:
    """The hashes in the order of one chunk, and the queries in the same order, so that buckets stay in the cache."""

    def __init__(
        self,
        queries: NDArray[np.uint64],
        hashes: NDArray[np.uint64],
        chunk: int,
        radii: NDArray[np.int64],
        distance: int,
        among_themselves: bool,
    ) -> None:
        self.radius = int(radii[chunk])
        if self.radius < 0:
            return
        keys, self.rows = by_chunk(hashes, chunk)
        self.hashes = hashes[self.rows]
        self.starts = np.searchsorted(keys, np.arange(2**CHUNK_BITS + 1))
        self.keys, self.query_rows = (keys, self.rows) if queries is hashes else by_chunk(queries, chunk)
        self.queries = queries[self.query_rows]
        self.settings = (chunk_masks(self.radius), distance, chunk, radii, among_themselves, MOST_PAIRS)

    def search(self, some: slice) -> Any:
        """The pairs of some queries."""
        asked = self.queries[some], self.keys[some], self.query_rows[some]
        return _search()(*asked, self.hashes, self.rows, self.starts, *self.settings)


def near_pairs(unique: NDArray[np.uint64], turned: NDArray[np.uint64], distance: int) -> tuple[RowPairs, RowPairs]:
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
    # rows in 30 bits each and the distance in 4: sorted as one number, the nearest of a pair comes first
    low = np.minimum(flipped.first, flipped.second)[other].astype(np.uint64)
    high = np.maximum(flipped.first, flipped.second)[other].astype(np.uint64)
    packed = np.sort(low << np.uint64(34) | high << np.uint64(4) | flipped.distance[other].astype(np.uint64))
    pairs = packed >> np.uint64(4)
    new = np.ones(len(packed), bool)
    new[1:] = pairs[1:] != pairs[:-1]
    kept = packed[new]
    rows = [(kept >> np.uint64(shift) & np.uint64(2**30 - 1)).astype(np.int64) for shift in (34, 4)]
    return plain, RowPairs(rows[0], rows[1], (kept & np.uint64(15)).astype(np.float32))


@cache
def _search() -> Callable[..., Any]:
    """The compiled search; compiled once on a machine, then read from numba's cache."""
    import numba

    @numba.njit(cache=True, nogil=True)
    def search(queries, keys, rows, hashes, others, starts, masks, distance, chunk, radii, themselves, most):  # type: ignore[no-untyped-def]
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
                        if ones_of_part <= radii[c]:
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
