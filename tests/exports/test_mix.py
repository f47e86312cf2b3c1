"""Subsets of one export are mixed by repeats or by their shares of an epoch."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.mix import CLOSE, mix_rows, repeats_of, shares_of


def declared(**fields: object) -> ExportDeclaration:
    """An export with other fields."""
    return ExportDeclaration.model_validate({"name": "e", "subset": "main", **fields})


COUNTS = st.integers(1, 100_000)


@given(counts=st.lists(COUNTS, min_size=2, max_size=5), weights=st.lists(st.integers(1, 100), min_size=5, max_size=5))
def test_repeats_come_close_to_any_shares_and_leave_no_sample_out(counts: list[int], weights: list[int]) -> None:
    names = ["main", *(f"s{n}" for n in range(1, len(counts)))]
    whole = sum(weights[: len(counts)])
    shares = {name: weight / whole for name, weight in zip(names, weights, strict=False)}
    export = declared(mix={name: shares[name] for name in names[1:]})
    by_name = dict(zip(names, counts, strict=True))
    repeats = repeats_of(export, by_name)
    assert all(times >= 1 for times in repeats.values())
    assert all(abs(shares_of(repeats, by_name)[name] - shares[name]) <= CLOSE for name in names)


def test_a_share_is_of_the_samples_that_are_trained_not_of_those_that_are_there() -> None:
    export = declared(mix={"rare": 0.3})
    repeats = repeats_of(export, {"main": 7000, "rare": 30})
    assert repeats == {"main": 1, "rare": 100}
    assert mix_rows(repeats, {"main": 7000, "rare": 30})[1] == {"subset": "rare", "samples": 30, "repeats": 100, "of an epoch": "30.0%"}  # fmt: skip


def test_a_subset_without_samples_leaves_its_share_to_the_others() -> None:
    export = declared(mix={"half": 0.5, "none": 0.3})
    assert repeats_of(export, {"main": 20, "half": 50, "none": 0}) == {"main": 1, "half": 1, "none": 1}


def test_repeats_stay_as_they_are_declared() -> None:
    assert repeats_of(declared(repeats=2, mix={"more": 5}), {"main": 9, "more": 1}) == {"main": 2, "more": 5}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"mix": {"a": 0.3, "b": 2}}, "use one of them"),
        ({"mix": {"a": 0.3}, "repeats": 2}, "use one of them"),
        ({"mix": {"a": 0.6, "b": 0.4}}, "leaves nothing for 'main'"),
        ({"mix": {"a": 1.5}}, "mix"),
        ({"mix": {"a": 0}}, "mix"),
        ({"mix": {"a": 0.5}, "layout": "hf"}, "`pairs` has trainers"),
        ({"mix": {"a": 2}, "layout": "webdataset"}, "`pairs` has trainers"),
        ({"mix": {"a": 2}, "layout": "ltx"}, "`pairs` has trainers"),
    ],
)
def test_what_cannot_be_mixed_is_refused(fields: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        declared(**fields)


def test_subsets_of_the_same_repeats_go_into_every_layout() -> None:
    assert (
        not declared(mix={"a": 1}, layout="hf").weighted
        and not declared(mix={"a": 2}, repeats=2, layout="ltx").weighted
    )
