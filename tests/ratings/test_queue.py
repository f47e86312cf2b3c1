"""What to rate next, and raters who are made up."""

import numpy as np
import pytest

from arot_assets.ratings.declaration import QueueRule
from arot_assets.ratings.queue import build_queue, mixed, parts
from arot_assets.ratings.said import RatingsError
from arot_assets.ratings.simulate import RATERS, simulate
from arot_assets.ratings.trust import build_trust, conclude
from tests.ratings.conftest import Rated
from tests.ratings.test_trust import DECLARED, row


def test_reasons_take_their_parts_and_no_sample_comes_twice() -> None:
    order = {"a": [f"s{k}" for k in range(100)], "b": [f"s{k}" for k in range(99, -1, -1)], "c": ["s0", "s1"]}
    found = mixed(order, {"a": 0.5, "b": 0.3, "c": 0.2}, 20)
    assert len({sample for sample, _ in found}) == 20
    reasons = [why for _, why in found]
    assert reasons.count("a") in (11, 12, 13)  # of c there is nothing left when a has been there
    assert mixed(order, {"a": 1.0}, 1000)[-1] == ("s99", "a")
    assert mixed({}, {"a": 1.0}, 5) == []


def test_parts_that_lack_what_they_need_are_left_out() -> None:
    assert {why for why, part in parts(QueueRule()).items() if part} == {"uncertain", "random", "repeat"}


def test_the_queue_of_real_samples_has_every_reason(rated: Rated) -> None:
    rated.dataset.metrics("cv2")
    r = rated.dataset.resources
    slices = "select sample_id, uri like '%/sea/%' from d.samples"
    columns = rated.dataset.sql(
        "select column_name from duckdb_columns() where table_name = 'wide' and column_name like 'cv2%' and data_type = 'FLOAT' limit 2"
    )
    lines = "".join(f"{image},ann,{k + 1}\n{image},bob,{5 - k}\n" for k, image in enumerate(rated.images[:4]))
    declaration = rated.csv(f"image,rater,score\n{lines}", queue={"slices": slices, "columns": [c for (c,) in columns]})
    rated.build(declaration)
    build_trust(r.tables, declaration)
    with r.warehouse.connect() as con:
        table = build_queue(con, r.tables, declaration, 10)
        assert table["place"].to_pylist() == list(range(1, 11))
        assert len(set(table["sample_id"].to_pylist())) == 10
        why = dict(zip(table["sample_id"].to_pylist(), table["why"].to_pylist(), strict=True))
        assert set(why.values()) == {"uncertain", "models disagree", "rare", "random", "repeat"}
        known = {rated.ids[path] for path in rated.paths[:4]}
        assert {sample for sample, reason in why.items() if reason in ("uncertain", "repeat")} <= known
        assert not known & {sample for sample, reason in why.items() if reason in ("rare", "random")}
        wrong = declaration.model_copy(update={"queue": QueueRule(columns=["nothing"])})
        with pytest.raises(RatingsError, match="look at `queue` in the declaration"):
            build_queue(con, r.tables, wrong, 5)
    assert len(rated.dataset.sql("select * from q.queue")) == 10


def test_made_up_raters_are_cleaned_to_the_planted_truth() -> None:
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    truth = {f"s{k:03}": float(value) for k, value in enumerate(rng.gamma(2, size=200))}
    said = simulate(truth, seed=1)
    rows = [
        row(str(one["sample_id"]), str(one["rater"]), float(str(one["score"])), seconds=one["seconds"]) for one in said
    ]
    found = conclude(rows, DECLARED)
    scale = {r["sample_id"]: r for r in found.scale.to_pylist()}
    ids = sorted(scale)
    cleaned, plain = (
        spearmanr([scale[s][column] for s in ids], [truth[s] for s in ids])[0] for column in ("value", "mean")
    )
    assert cleaned > 0.86
    assert plain < cleaned - 0.05
    raters = {r["rater"]: r for r in found.raters.to_pylist()}
    assert {name for name, r in raters.items() if r["bias"] > 0.3} == {"bob"}
    assert all(r["repeats"] > 5 and r["self_consistency"] > 0.4 for r in raters.values())
    assert {r.name for r in RATERS} == set(raters)
