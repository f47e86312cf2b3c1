"""A value that does not fit its column is one failed row that names the column; what fits is stored as it is."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arot_assets.media.image.view import Image
from arot_assets.metrics.fit import Misfit, fitted
from arot_assets.metrics.metric import Column, Metric, Row, image_metric
from arot_assets.metrics.registry import get_metric
from tests.conftest import Dataset


def metric_of(kind: Any) -> Metric:
    return Metric("m", "1", "a metric", (Column("c", kind, "a column"),), compute=lambda image: {})


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (pa.int16(), "seven"),
        (pa.int16(), 100_000),
        (pa.int16(), float("nan")),
        (pa.int16(), 0.5),
        (pa.int64(), np.float32(0.5)),
        (pa.uint8(), -1),
        (pa.bool_(), 1),
        (pa.float32(), "0.5"),
        (pa.float32(), 1e300),
        (pa.string(), 5),
        (pa.list_(pa.float16(), 3), np.zeros(4, np.float16)),
        (pa.list_(pa.int16()), [1, 0.5]),
        (pa.list_(pa.int16()), np.array([0.5])),
        (pa.struct({"a": pa.int8()}), {"b": 1}),
    ],
)
def test_a_value_that_does_not_fit_names_its_column(kind: pa.DataType, value: Any) -> None:
    with pytest.raises(Misfit, match=r"column m\.c is .*can't hold"):
        fitted(metric_of(kind), {"c": value})


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (pa.int16(), np.int64(7)),
        (pa.int16(), 7.0),
        (pa.float32(), np.float64(0.5)),
        (pa.float32(), float("nan")),
        (pa.bool_(), np.bool_(True)),
        (pa.string(), "text"),
        (pa.uint64(), 2**64 - 1),
        (pa.list_(pa.float16(), 2), np.ones(2, np.float16)),
        (pa.list_(pa.float32()), [1, 2.5]),
        (pa.struct({"a": pa.int8()}), {"a": 1}),
        (pa.float32(), None),
    ],
)
def test_a_value_that_fits_is_taken_by_arrow(kind: pa.DataType, value: Any) -> None:
    row = fitted(metric_of(kind), {"c": value})
    assert len(pa.Table.from_pylist([row], schema=pa.schema([("c", kind)]))) == 1


@given(st.one_of(st.integers(), st.floats(), st.text(), st.booleans()))
def test_an_integer_column_holds_what_it_was_given_or_nothing(value: Any) -> None:
    try:
        row = fitted(metric_of(pa.int32()), {"c": value})
    except Misfit:
        return
    assert pa.Table.from_pylist([row], schema=pa.schema([("c", pa.int32())]))["c"][0].as_py() == value


def test_python_types_are_columns_and_other_things_are_one_clear_error() -> None:
    kinds = {float: pa.float64(), int: pa.int64(), bool: pa.bool_(), str: pa.string()}
    assert {t: Column("c", t, "text").type for t in kinds} == kinds
    assert replace(Column("c", int, "text", 0, 9), name="d") == Column("d", pa.int64(), "text", 0, 9)
    with pytest.raises(ValueError, match=r"column 'c': .*not a column type; use an Arrow type"):
        Column("c", dict, "text")


def test_one_bad_value_is_one_failed_row_of_the_shard(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    @image_metric(version="1", columns=[Column("level", pa.int16(), "a level", 0, 10)])
    def odd(image: Image) -> Row:
        """Odd values."""
        seen.append(1)
        return {"level": {1: "text", 2: 100_000, 3: 0.5, 4: 99}.get(len(seen), 3)}

    monkeypatch.setattr("tests.conftest.get_metric", lambda name: odd)
    monkeypatch.setenv("AROT_THREADS", "1")
    dataset.inventory()
    dataset.samples()
    found = dataset.metrics("odd")["odd"]
    assert sum(found.failures.values()) == 3
    assert all("column odd.level is int16" in reason for reason in found.failures)
    assert dataset.sql("select count(*) filter (status = 'ok'), max(level) from d.odd") == [(9, 99)]
    footers = [h.strings["outside"] for h in dataset.resources.tables.footers("d", "odd").values()]
    assert '{"level": 1}' in footers


def test_a_metric_cannot_write_into_the_pixels_of_its_neighbours() -> None:
    image = Image(np.zeros((4, 4, 3), np.uint8))
    for pixels in (image.rgb, image.gray):
        with pytest.raises(ValueError, match="read-only"):
            pixels[0, 0] = 1
    fresh = Image(np.zeros((40, 40, 3), np.uint8))
    cv2 = get_metric("cv2")
    assert cv2.compute is not None
    cv2.compute(fresh)
    assert not fresh.gray.flags.writeable
