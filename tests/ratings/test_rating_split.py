"""Train, val and test of rated samples: stable, grouped, stratified, and without leaks."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.declarations import load_declarations
from arot_assets.ratings.build import build_ratings
from arot_assets.ratings.declaration import RatingsDeclaration, RatingSplitRule
from arot_assets.ratings.said import RatingsError
from arot_assets.ratings.split import SplitInputs, build_split, divide, leaks
from arot_assets.ratings.trust import build_trust
from tests.ratings.conftest import Rated

RULE = RatingSplitRule(near_duplicate_distance=None)


def shares(
    samples: dict[str, str],
    known: dict[str, str] | None = None,
    *together: dict[str, object],
    rule: RatingSplitRule = RULE,
) -> dict[str, str]:
    """sample -> share."""
    table = divide(SplitInputs(samples, together, ""), known or {}, rule)
    return dict(zip(table["sample_id"].to_pylist(), table["split"].to_pylist(), strict=True))


def some(count: int, strata: int = 3, seed: int = 0) -> dict[str, str]:
    rng = np.random.default_rng(seed)
    return {f"{rng.integers(2**62):032x}": f"c{rng.integers(strata)}" for _ in range(count)}


@pytest.mark.parametrize("count", [30, 300, 3000])
def test_every_stratum_has_its_shares(count: int) -> None:
    samples = some(count)
    found = Counter((samples[s], share) for s, share in shares(samples).items())
    for stratum in set(samples.values()):
        size = sum(found[stratum, share] for share in ("train", "val", "test"))
        assert abs(found[stratum, "test"] - 0.15 * size) <= 2 + 0.02 * size
        assert abs(found[stratum, "val"] - 0.15 * size) <= 2 + 0.02 * size


@given(st.integers(0, 1000), st.integers(1, 60), st.integers(1, 60))
def test_adding_samples_moves_none(seed: int, before: int, more: int) -> None:
    samples = some(before + more, seed=seed)
    first = dict(list(samples.items())[:before])
    known = shares(first)
    moved = dict.fromkeys(samples, "other")  # and whatever they are rated now
    assert {s: share for s, share in shares(moved, known).items() if s in known} == known


def test_a_division_made_again_is_the_same_and_mostly_that_of_other_ratings() -> None:
    samples = some(3000)
    assert shares(samples) == shares(dict(reversed(samples.items())))
    others = shares(dict.fromkeys(samples, "one"))
    assert np.mean([others[s] == share for s, share in shares(samples).items()]) > 0.85
    assert shares(samples) != shares(samples, rule=RULE.model_copy(update={"seed": 1}))


def test_groups_of_any_kind_stay_together() -> None:
    samples = some(200)
    ids = list(samples)
    artist = {s: k // 4 for k, s in enumerate(ids)}
    scene = {s: k // 2 for k, s in enumerate(ids[2:])}
    table = divide(SplitInputs(samples, [artist, scene], ""), {}, RULE)
    found = dict(zip(table["sample_id"].to_pylist(), table["split"].to_pylist(), strict=True))
    for of in (artist, scene):
        for group in set(of.values()):
            assert len({found[s] for s in of if of[s] == group}) == 1


def test_what_turns_out_to_belong_together_goes_where_it_was_trained_on() -> None:
    samples = {"a": "x", "b": "x", "c": "x"}
    known = {"a": "test", "b": "train", "c": "test"}
    assert shares(samples, known, {"a": 0, "b": 0}) == {"a": "train", "b": "train", "c": "test"}


def rate(rated: Rated, **split: object) -> tuple[Rated, object]:
    lines = "".join(f"{image},ann,{k % 5 + 1}\n" for k, image in enumerate(rated.images))
    declaration = rated.csv(f"image,rater,score\n{lines}", split=split)
    build_ratings(rated.dataset.resources.warehouse, declaration)
    build_trust(rated.dataset.resources.tables, declaration)
    return rated, declaration


def test_declared_groups_and_leaks_and_what_is_missing(rated: Rated) -> None:
    one, two, three = (rated.ids[path] for path in rated.paths[:3])
    query = f"select sample_id, 'pair' from d.samples where sample_id in ('{one}', '{two}')"
    lines = "".join(f"{image},ann,{k % 5 + 1}\n" for k, image in enumerate(rated.images))
    split = {"groups": [query], "evaluation_sets": {"benchmark": f"select '{three}'"}, "near_duplicate_distance": None}
    declaration = rated.csv(f"image,rater,score\n{lines}", split=split)
    tables, warehouse = rated.dataset.resources.tables, rated.dataset.resources.warehouse
    build_ratings(warehouse, declaration)
    build_trust(tables, declaration)
    with warehouse.connect() as con:
        rows = {row["sample_id"]: row for row in build_split(con, tables, declaration).to_pylist()}
        assert rows[one]["group_id"] == rows[two]["group_id"] == min(one, two)
        assert rows[three]["stratum"].startswith("fifth")
        found = leaks(con, tables, declaration)
        assert found == ({} if rows[three]["split"] == "test" else {"benchmark": [three]})
        for wrong, said in (
            ({"groups": ["select nothing from nowhere"]}, "a query of the split fails: Catalog Error"),
            ({"groups": ["select 1"]}, "must return sample_id and a group"),
            ({"near_duplicate_distance": 8}, "add it to the dataset's metrics, or set"),
        ):
            rule = RatingSplitRule.model_validate({**split, **wrong})
            with pytest.raises(RatingsError, match=said):
                build_split(con, tables, declaration.model_copy(update={"split": rule}))


def test_every_declaration_knows_what_others_keep_from_training(tmp_path: Path) -> None:
    def declare(kind: str, name: str, text: str) -> None:
        (tmp_path / name).mkdir()
        (tmp_path / name / "defs.yaml").write_text(
            f"type: arot_assets.components.{kind}\nattributes:\n  name: {name}\n{text}"
        )

    declare("ImageDataset", "d", f"  source: {tmp_path}\n  metrics: [phash, embedding]\n")
    declare("Ratings", "one", "  dataset: d\n  split: {evaluation_sets: {benchmark: select 'a'}}\n")
    declare("Ratings", "other", "  dataset: d\n  split: {evaluation_sets: {own: select 'b'}}\n")
    declare("Classifier", "kind", "  dataset: d\n  labels: {from_folder: 1}\n")
    declared = load_declarations(tmp_path)
    assert not declared.problems()
    own = declared.get(RatingsDeclaration, "other").every_evaluation_set()
    assert own == {"one.benchmark": "select 'a'", "own": "select 'b'"}
    found = declared.get(ClassifierDeclaration, "kind").every_evaluation_set()
    assert found == {"one.benchmark": "select 'a'", "other.own": "select 'b'"}
