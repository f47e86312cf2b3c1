"""Groups without chaining: every member is a duplicate of the sample that stays, not only of another member.

Belongs here: deciding who stays, given an order of preference. Does not belong here: that order (SQL, ``build.py``).

The samples are visited from the best to the worst. One that is nobody's duplicate yet stays, and all its neighbours that are
nobody's yet become its members. So a chain a-b-c in which a and c are different keeps both.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arot_assets.duplicates.hamming import RowPairs

PHASH, MIRRORED, EMBEDDING = "phash", "mirrored", "embedding"


@dataclass(frozen=True)
class GroupMember:
    """Why a sample does not stay.

    Attributes:
        row: of the sample.
        kept: row of the one that stays in its place.
        kind: the evidence: ``phash``, ``mirrored`` or ``embedding``.
        distance: bits, or 1 - cosine.
    """

    row: int
    kept: int
    kind: str
    distance: float


class NeighbourLists:
    """The neighbours of every item of a set of pairs, nearest first.

    Args:
        pairs: of items.
        count: number of items.
    """

    def __init__(self, pairs: RowPairs, count: int) -> None:
        ends = np.concatenate([pairs.first, pairs.second])
        others = np.concatenate([pairs.second, pairs.first])
        apart = np.concatenate([pairs.distance, pairs.distance])
        order = np.lexsort((apart, ends))
        self._others, self._apart = others[order], apart[order]
        self._starts = np.searchsorted(ends[order], np.arange(count + 1))

    def of(self, item: int) -> list[tuple[int, float]]:
        """Neighbours and distances of one item."""
        some = slice(self._starts[item], self._starts[item + 1])
        return list(zip(self._others[some].tolist(), self._apart[some].tolist(), strict=True))


@dataclass(frozen=True)
class HashClasses:
    """Perceptual hashes of all rows, equal ones as one class.

    Attributes:
        hashes: ``uint64 [N]``.
        mirrored: ``uint64 [N]``.
        of_row: ``int64 [N]``: the class of each row; -1 for rows without a hash that can be compared.
        plain: pairs of classes.
        turned: pairs of classes, one of them mirrored.
        bits: the limit.
    """

    hashes: NDArray[np.uint64]
    mirrored: NDArray[np.uint64]
    of_row: NDArray[np.int64]
    plain: RowPairs
    turned: RowPairs
    bits: int

    def mirror_distance(self, a: int, b: int) -> int:
        """Bits between one row's hash and the other's mirrored one."""
        one = (int(self.mirrored[a]) ^ int(self.hashes[b])).bit_count()
        return min(one, (int(self.mirrored[b]) ^ int(self.hashes[a])).bit_count())


def members(order: Sequence[int], hashed: HashClasses, alike: RowPairs) -> Iterator[GroupMember]:
    """Those that do not stay, each with the one that stays in its place and the evidence.

    Args:
        order: every row, best first.
        hashed: perceptual hashes.
        alike: pairs of rows by their embeddings.
    """
    count, classes = len(order), int(hashed.of_row.max(initial=-1)) + 1
    rows_of: list[list[int]] = [[] for _ in range(classes)]
    for row, one in enumerate(hashed.of_row.tolist()):
        if one >= 0:
            rows_of[one].append(row)
    plain, turned, near = (
        NeighbourLists(hashed.plain, classes),
        NeighbourLists(hashed.turned, classes),
        NeighbourLists(alike, count),
    )
    taken = np.zeros(count, bool)
    for row in order:
        if taken[row]:
            continue
        taken[row] = True
        one = int(hashed.of_row[row])
        if one >= 0:
            for other, apart in ((one, 0.0), *plain.of(one)):
                for member in rows_of[other]:
                    if not taken[member]:
                        taken[member] = True
                        yield GroupMember(member, row, PHASH, apart)
            for other, _ in turned.of(one):
                for member in rows_of[other]:
                    # pictures of one hash may have different mirrored ones
                    if not taken[member] and (bits := hashed.mirror_distance(row, member)) <= hashed.bits:
                        taken[member] = True
                        yield GroupMember(member, row, MIRRORED, float(bits))
        for member, apart in near.of(row):
            if not taken[member]:
                taken[member] = True
                yield GroupMember(member, row, EMBEDDING, apart)
