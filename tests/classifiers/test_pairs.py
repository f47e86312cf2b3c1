"""Comparisons are learnt themselves: a planted order is found from pairs alone, and nothing said of a test sample is learnt."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.figures import spearman
from arot_assets.classifiers.label_query import LabelError
from arot_assets.classifiers.labels import labels_digest, read_labels
from arot_assets.classifiers.promotion import latest, read_json
from arot_assets.classifiers.steps import label_sources
from arot_assets.classifiers.trainers import TrainingError, heads
from arot_assets.classifiers.trainers.pairs import divided, pair_losses, share_right
from arot_assets.ratings.build import build_ratings
from arot_assets.ratings.declaration import RatingsDeclaration
from arot_assets.ratings.trust import build_trust
from resources.defaults import Resources
from tests.classifiers.made import Kept, head_job
from tests.classifiers.test_scores_elsewhere import QUICK, trained
from tests.conftest import EXAMPLES, Dataset
from tests.plain_views import plain_connection

FIELDS = {"name": "nice", "dataset": "d", "task": "regression", "labels": {"pairs": "q"}, "settings": QUICK}


def compared(truth: np.ndarray, count: int, noise: float, seed: int = 0) -> np.ndarray:
    """Comparisons of random samples by a rater who sees the truth through noise: ``int64 [count, 2]``, the better one first."""
    random = np.random.default_rng(seed)
    pairs = random.integers(0, len(truth), (count * 2, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]][:count]
    seen = truth[pairs] + random.normal(size=pairs.shape) * noise
    return np.where((seen[:, :1] > seen[:, 1:]), pairs, pairs[:, ::-1])


def test_a_planted_order_is_learnt_from_pairs_alone() -> None:
    job = head_job("regression", "pairwise", min_steps=200)
    truth = job.targets.values.copy()
    pairs = compared(truth, 3000, noise=1.0)
    blind = replace(job, targets=replace(job.targets, values=np.linspace(0, 1, 500, dtype=np.float32)), pairs=pairs)
    fitted = heads.train(blind)
    rest = np.arange(400, 500)
    assert spearman(truth[rest], fitted.logits(rest)[:, 0]) > 0.9, "no value was told, but to give the scores a unit"
    judging = divided(pairs, job.train, job.val, rest).test
    scores = fitted.logits(np.arange(500))[:, 0]
    assert share_right(scores, judging) > 0.75 > 0.6 > share_right(-scores, judging)


def test_a_training_on_pairs_that_was_left_ends_with_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "CHECKPOINT_SECONDS", 0.0)
    job, kept = head_job("regression", "pairwise", min_steps=60), Kept()
    job = replace(job, pairs=compared(job.targets.values, 1000, noise=0.5))

    class Left(Exception):
        pass

    def leave(_: int) -> None:
        if kept.saved == 5:
            raise Left

    with pytest.raises(Left):
        heads.train(replace(job, checkpoints=kept), leave)
    whole, continued = heads.train(job), heads.train(replace(job, checkpoints=kept))
    assert all(np.array_equal(a["weight"], b["weight"]) for a, b in zip(whole.layers, continued.layers, strict=True))


def test_pairs_are_learnt_where_both_are_known_and_judge_where_one_is_of_the_test_set() -> None:
    train, val, test = np.array([0, 1]), np.array([2]), np.array([3])
    every = np.array([(a, b) for a in range(5) for b in range(5) if a < b])
    parts = divided(every, train, val, test)
    assert parts.train.tolist() == [[0, 1]]
    assert parts.val.tolist() == [[0, 2], [1, 2]]
    assert parts.test.tolist() == [[0, 3], [1, 3], [2, 3]], "row 4 is in no split"
    assert divided(every, train, val).train.tolist() == [[0, 1]]
    assert np.isnan(share_right(np.zeros(5), every[:0])) and share_right(np.zeros(5), every) == 0.5


def test_the_loss_is_that_of_the_closed_form() -> None:
    import torch

    found = pair_losses(torch.tensor([[1.0, 0.0], [3.0, 0.0]]), np.array([[0, 1], [1, 0]]))
    np.testing.assert_allclose(
        found, [[np.log1p(np.exp(2.0)), np.log(2)], [np.log1p(np.exp(-2.0)), np.log(2)]], rtol=1e-6
    )


def test_pairs_that_cannot_choose_between_heads_are_said() -> None:
    job = head_job("regression", "pairwise")
    with pytest.raises(
        TrainingError, match="1 comparisons are between training samples, and 0 can choose between heads"
    ):
        heads.train(replace(job, pairs=np.array([[0, 1]])))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "classification"}, "pairs are learnt by heads on embeddings: task: regression"),
        ({"settings": {"loss": "mse"}}, "pairs are learnt by heads on embeddings"),
        ({"labels": {"pairs": "q", "from_folder": 1}}, "pairs go with values; give from_sql, or neither"),
    ],
)
def test_declarations_that_cannot_be_meant(change: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ClassifierDeclaration.model_validate({**FIELDS, **change})


def test_ratings_without_a_preference_are_said(tmp_path: Path) -> None:
    one = ClassifierDeclaration.model_validate(FIELDS)
    with plain_connection(tmp_path) as con:
        for schema in ("ratings", "q", "d"):
            con.execute(f"create schema {schema}")
        con.execute("create table q.scale as select 'a' as sample_id, 1.0 as value union all select 'b', 2.0")
        with pytest.raises(LabelError, match="the ratings 'q' cannot be read"):
            read_labels(con, one, "/x")
        con.execute("create table ratings.q (event_id text, samples text[], ranks int[], status text, kind text)")
        con.execute("insert into ratings.q values ('1', ['a', 'b'], [1, 1], 'ok', 'pair')")
        with pytest.raises(LabelError, match="nobody preferred one sample to another in the ratings 'q'"):
            read_labels(con, one, "/x")
        con.execute("insert into ratings.q values ('2', ['b', 'a', 'c'], [1, 2, 2], 'ok', 'ranking')")
        labels = read_labels(con, one, "/x")
        assert labels.select(["sample_id", "preferred_to"]).to_pylist() == [
            {"sample_id": "a", "preferred_to": []},
            {"sample_id": "b", "preferred_to": ["a", "c"]},
        ]
        assert labels_digest(labels) != labels_digest(labels.drop_columns(["preferred_to"]))
    assert label_sources(one) == [("q", "scale"), ("ratings", "q")]


def test_a_source_of_pairs_becomes_a_model_that_keeps_their_order(resources: Resources, tmp_path: Path) -> None:
    """Who compares prefers drawings to photos, whatever else is in the picture."""
    for kind in ("photo", "illustration"):
        (tmp_path / "d" / kind).mkdir(parents=True)
        for file in sorted(p for p in (EXAMPLES / kind).rglob("*") if p.suffix in (".jpg", ".png"))[:24]:
            shutil.copyfile(file, tmp_path / "d" / kind / file.name)
    Dataset(resources, tmp_path / "d").run("phash", "embedding")
    with resources.warehouse.connect() as con:
        rows = con.execute("select sample_id, uri like '%/illustration/%' from d.samples order by 1").fetchall()
    truth = np.array([drawn for _, drawn in rows], float)
    pairs = compared(truth, 400, noise=0.3)
    file = tmp_path / "pairs.csv"
    file.write_text("left,right,winner\n" + "".join(f"{rows[a][0]},{rows[b][0]},left\n" for a, b in pairs))
    source = {"name": "s", "file": str(file), "kind": "pair", "by": "id", "left": "left", "right": "right"}
    said = RatingsDeclaration.model_validate(
        {"name": "q", "dataset": "d", "sources": [{**source, "winner": "winner"}], "split": None}
    )
    build_ratings(resources.warehouse, said)
    build_trust(resources.tables, said)
    resources.warehouse.refresh()
    one = ClassifierDeclaration.model_validate({**FIELDS, "promote_if": {"spearman": 0.3}})
    assert one.trained_with.loss == "pairwise"
    digest = trained(resources, one)
    about = read_json(resources.tables, "nice", digest, "about.json")
    counts = about["comparisons"]
    assert counts["train"] > counts["test"] > 0 and counts["val"] > 0 and counts["test, in the right order"] > 0.7
    assert latest(resources.tables, "nice").missed == ""  # type: ignore[union-attr]
