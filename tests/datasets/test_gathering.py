"""Rows of columns in many chunks."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from arot_assets.datasets import gathering
from arot_assets.datasets.gathering import take, take_rows

VALUES = st.lists(st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=4), max_size=5)


@given(VALUES, st.data())
def test_rows_come_in_the_order_that_was_asked_for(chunks: list[list[str | None]], data: st.DataObject) -> None:
    column = pa.chunked_array([pa.array(chunk, pa.string()) for chunk in chunks], pa.string())
    one_by_one = [value for chunk in chunks for value in chunk]
    last = len(one_by_one) - 1
    rows = data.draw(st.lists(st.integers(0, max(last, 0)), max_size=10 if one_by_one else 0))
    found = take(column, np.array(rows, np.int64))
    assert found.type == pa.string()
    assert found.to_pylist() == [one_by_one[row] for row in rows]


def test_rows_of_a_table_come_in_pieces(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(gathering, "AT_ONCE", 3)
    table = pa.concat_tables([pa.table({"a": [n], "b": [[str(n)]]}) for n in range(8)])
    found = take_rows(table, np.arange(7, -1, -1))
    assert found.to_pylist() == table.to_pylist()[::-1]
    assert [len(chunk) for chunk in found["b"].chunks] == [3, 3, 2]
    assert take_rows(table, np.array([], np.int64)).schema == table.schema


def test_a_column_may_have_more_text_than_one_array_can_hold() -> None:
    chunk = pa.array([f"{n:0100}" for n in range(100_000)])
    column = pa.chunked_array([chunk] * 250)  # 2.5 GB of text, and 10 MB of memory
    assert column.nbytes > 2**31
    assert take(column, np.array([24_999_999, 0, 100_007])).to_pylist() == [f"{n:0100}" for n in (99_999, 0, 7)]
