"""The comparison of the keys that must be there with those that are."""

import pytest

from arot_assets.datasets.conservation import compare_keys
from resources.defaults import Resources


def keys(*pairs: tuple[str | None, str]) -> str:
    rows = ", ".join(f"({'null' if uri is None else repr(uri)}, {shard!r})" for uri, shard in pairs)
    return f"select uri, shard from (values {rows}) t(uri, shard)"


A, B, C, NULL = ("a", "0"), ("b", "0"), ("c", "1"), (None, "1")


@pytest.mark.parametrize(
    ("expected", "found", "lost", "extra"),
    [
        ([A, B, C], [C, A, B], 0, 0),
        ([A, NULL], [NULL, A], 0, 0),
        ([A, B], [A], 1, 0),
        ([A], [A, B], 0, 1),
        ([A, A, B], [A, B, B], 1, 1),
        ([A, B], [A, C], 1, 1),
        ([A, A, B], [C, C, B], 2, 2),
        ([("a", "b")], [("b", "a")], 1, 1),
    ],
)
def test_every_key_counts_as_often_as_it_is_there(
    resources: Resources,
    expected: list[tuple[str | None, str]],
    found: list[tuple[str | None, str]],
    lost: int,
    extra: int,
) -> None:
    result = compare_keys(resources.warehouse, keys(*expected), keys(*found), ("uri", "shard"))
    assert (result.expected, result.lost, result.extra) == (len(expected), lost, extra)
    assert {e["problem"] for e in result.examples} == {*(["lost"] if lost else []), *(["extra"] if extra else [])}


def test_nothing_that_is_expected_is_there(resources: Resources) -> None:
    nothing = f"{keys(A)} where false"
    assert compare_keys(resources.warehouse, nothing, nothing, ("uri", "shard")).holds
    assert compare_keys(resources.warehouse, keys(A), nothing, ("uri", "shard")).lost == 1
