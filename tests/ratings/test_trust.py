"""What ratings say together: the tables, the figures, and strange input that must not break them."""

from typing import Any

import numpy as np
import pytest

from arot_assets.ratings.declaration import RatingsDeclaration
from arot_assets.ratings.trust import Conclusions, conclude

DECLARED = RatingsDeclaration.model_validate({"name": "q", "dataset": "d"})


def row(sample: str | None, rater: str, value: float | str, **fields: Any) -> dict[str, Any]:
    """A row of ``ratings.q``."""
    kind = "score" if isinstance(value, int | float) else "category"
    return {
        "sample_id": sample, "samples": None, "kind": kind, "status": "ok", "rater": rater, "ranks": None, "seconds": None,
        "rated_at": None, "labels": [value] if kind == "category" else None, "value": value if kind == "score" else None,
        "label": value if kind == "category" else None, "score": value if kind == "score" else None, "low": 1, "high": 5, **fields,
    }  # fmt: skip


def raters(found: Conclusions) -> dict[str, dict[str, Any]]:
    return {r["rater"]: r for r in found.raters.to_pylist()}


def test_bias_repeats_speed_and_straight_lines_are_told_of_each_rater() -> None:
    rng = np.random.default_rng(0)
    rows = []
    for k in range(20):
        quality = int(rng.integers(1, 4))
        rows += [
            row(f"s{k}", "ann", quality),
            row(f"s{k}", "ann", quality),
            row(f"s{k}", "bob", quality + 1, seconds=0.2),
        ]
        rows += [row(f"s{k}", "eve", 5, seconds=4)]
    found = raters(conclude(rows, DECLARED))
    assert found["ann"]["self_consistency"] == pytest.approx(1.0)
    assert found["ann"]["repeats"] == 20
    assert found["ann"]["ratings"] == 40
    others = np.mean([(r["value"] + 5) / 2 for r in rows if r["rater"] == "bob"])
    mine = np.mean([r["value"] for r in rows if r["rater"] == "ann"])
    assert found["ann"]["bias"] == pytest.approx(mine - others)
    assert found["bob"]["flags"] == ["speeder"]
    assert found["eve"]["flags"] == ["straight-liner"]
    assert found["eve"]["top_share"] == 1.0
    assert found["eve"]["slope"] == pytest.approx(0, abs=0.2)


def test_a_rater_who_drifts_is_told() -> None:
    from datetime import UTC, datetime, timedelta

    rng, start = np.random.default_rng(1), datetime(2026, 1, 1, tzinfo=UTC)
    rows = []
    for k, quality in enumerate(rng.uniform(2, 4, 60)):
        rows += [row(f"s{k}", "ann", quality), row(f"s{k}", "cid", quality)]
        rows.append(row(f"s{k}", "bob", quality + k / 60, rated_at=start + timedelta(seconds=k)))
    found = raters(conclude(rows, DECLARED))
    assert found["bob"]["drift"] == pytest.approx(1, abs=0.25)
    assert found["ann"]["drift"] is None


def test_the_scale_is_in_points_and_says_how_much_it_rests_on() -> None:
    rows = [row(f"s{k}", rater, score) for rater in ("ann", "bob") for k, score in enumerate((1, 2, 3, 4, 5, 3))]
    rows.append(row(None, "cid", 0, kind="pair", samples=["s5", "s2"], ranks=[1, 2]))
    found = {r["sample_id"]: r for r in conclude(rows, DECLARED).scale.to_pylist()}
    assert [found[f"s{k}"]["value"] for k in range(5)] == pytest.approx([1, 2, 3, 4, 5], abs=0.5)
    assert (found["s5"]["n"], found["s5"]["scores"], found["s5"]["comparisons"], found["s5"]["raters"]) == (3, 2, 1, 3)
    assert found["s5"]["value"] > found["s2"]["value"]
    assert 0 < found["s5"]["standard_error"] < found["s0"]["value"] + 1
    assert found["s0"]["mean"] == 1


def test_classes_are_voted_on_and_a_draw_is_no_class() -> None:
    rows = [
        row("a", "ann", "cat"),
        row("a", "bob", "cat"),
        row("a", "cid", "dog"),
        row("b", "ann", "cat"),
        row("b", "bob", "dog"),
    ]
    rows += [
        row("c", rater, "", kind="labels", labels=labels)
        for rater, labels in (("ann", ["x", "y"]), ("bob", ["x"]), ("cid", []))
    ]
    found = conclude(rows, DECLARED)
    labels = {r["sample_id"]: r for r in found.labels.to_pylist()}
    assert (labels["a"]["label"], labels["a"]["share"], labels["a"]["n"]) == ("cat", pytest.approx(2 / 3), 3)
    assert labels["b"]["label"] is None
    assert labels["c"]["labels"] == ["x"]
    assert found.trust.classes.units == 2


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [row("a", "ann", 3)],
        [row("a", "ann", 5), row("b", "ann", 5)],
        [row("a", "ann", 1), row("b", "bob", 5)],
        [row("a", "", 1), row("a", "", 5)],
        [row("a", "ann", "cat")],
        [row(None, "ann", 0, kind="pair", samples=["a", "b"], ranks=[1, 1])],
        [row(None, "ann", 0, kind="ranking", samples=[f"s{k}" for k in range(20)], ranks=[1] * 20)],
        [row("a", "ann", 1, status="unmatched"), row("b", "ann", 1, status="invalid")],
    ],
    ids=[
        "none",
        "one",
        "one value",
        "nobody in common",
        "nobody named",
        "one class",
        "one tie",
        "a long tie",
        "none usable",
    ],
)
def test_few_and_strange_ratings_give_tables_not_errors(rows: list[dict[str, Any]]) -> None:
    found = conclude(rows, DECLARED)
    assert found.scale.num_rows == len(
        {s for r in rows if r["status"] == "ok" for s in r["samples"] or [r["sample_id"]] if r["kind"] != "category"}
    )
    assert np.isfinite(found.scale["value"].to_numpy()).all()
    assert not np.isfinite(found.trust.scores.value) or found.trust.scores.units
