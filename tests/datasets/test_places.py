"""Addresses of a listing are found among the known ones, in whatever order they come."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given
from hypothesis import strategies as st

from arot_assets.datasets.changes import places

NAMES = st.lists(st.integers(0, 60), max_size=60)


def column(numbers: list[int], cut: int) -> pa.ChunkedArray:
    """Addresses in chunks of ``cut``."""
    names = pa.array([f"/photos/{n}.jpg" for n in numbers], pa.string())
    return pa.chunked_array([names.slice(k, cut) for k in range(0, len(names), cut)], pa.string())


@given(listed=NAMES, known=st.permutations(range(50)), size=st.integers(0, 50), cut=st.integers(1, 70))
def test_places_are_those_of_one_table_of_all(listed: list[int], known: list[int], size: int, cut: int) -> None:
    uris, there = column(listed, cut), column(known[:size], cut)
    expected = pc.index_in(uris, value_set=there).fill_null(-1).to_numpy()
    for piece in (1, 3, 7, 1000):
        assert places(uris, there, piece).tolist() == expected.tolist()


def test_what_is_in_the_order_of_before_is_found_without_a_table_of_all() -> None:
    order = [*range(20), *range(25, 200)]
    found = places(column([3000, *order, 3001], 50), column(list(range(200)), 64), piece=16)
    assert found.tolist() == [-1, *order, -1]
    assert np.array_equal(np.sort(found[found >= 0]), found[found >= 0])
