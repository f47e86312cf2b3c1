"""Reviews: what a rating tool is given, and how what people do there comes back."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from arot_assets.ratings.review import choose, make_review, side_by_side
from arot_assets.ratings.review_tasks import label_config
from arot_assets.ratings.reviews import forget_reviews, review_sources
from arot_assets.ratings.said import RatingsError
from tests.ratings.conftest import Rated


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder in which reviews are made."""
    monkeypatch.setenv("AROT_PROJECT", str(tmp_path))
    (tmp_path / "arot.toml").write_text("")
    return tmp_path


def test_stars_tags_and_repeats_come_back_under_the_raters_name(rated: Rated, project: Path) -> None:
    r = rated.dataset.resources
    rated.dataset.metrics("cv2")
    declaration = rated.declared()
    one, two = sorted(rated.ids.values())[:2]
    review = make_review(r.storage, r.warehouse, declaration, [one, two, one, "f" * 32], "Ann B.")
    assert (review.samples, review.left_out) == (3, {"f" * 32: "no sample of 'd'"})
    table = pq.read_table(review.opens)
    assert table["path"].to_pylist() == [f"{one}.2.jpg", f"{two}.jpg", f"{one}.jpg"]  # the last row is shown first
    assert table["sample_id"].to_pylist() == [one, two, one]
    assert "cv2__sharpness" in table.column_names or any(name.startswith("cv2__") for name in table.column_names)
    assert all((review.folder / path).exists() for path in table["source"].to_pylist())
    assert review_sources("q") == []  # nobody did anything yet
    line = {"type": "item-updated", "updated_at": "2026-01-02T03:04:05Z", "updated_by": "session:c9d3a22b", "tags": []}
    lines = [
        line | {"path": f"/{one}.jpg", "star": 4, "changed_fields": ["star"]},
        line | {"path": f"/{one}.2.jpg", "star": 5, "changed_fields": ["star"]},
        line | {"path": f"/{two}.jpg", "star": None, "tags": ["keep"], "changed_fields": ["tags"]},
    ]
    Path(f"{review.opens}.lenslet.labels.log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    rows = rated.build(declaration, review_sources("q"))
    said = sorted((row["kind"], row["score"] or 0, row["sample_id"], row["rater"], row["status"]) for row in rows)
    assert forget_reviews("q", "bob") == 0
    assert (forget_reviews("q", "Ann B."), review.folder.exists()) == (1, False)
    assert said == [
        ("labels", 0, two, "Ann B.", "ok"),
        ("score", 4, one, "Ann B.", "ok"),
        ("score", 5, one, "Ann B.", "ok"),
    ]


def test_pairs_are_a_queue_whose_results_come_back(rated: Rated, project: Path) -> None:
    r = rated.dataset.resources
    ids = sorted(rated.ids.values())[:5]
    review = make_review(r.storage, r.warehouse, rated.declared(), ids, "ann", group=2)
    queue = json.loads(review.opens.read_text())
    assert [len(one["images"]) for one in queue] == [2, 2]  # one is left over
    assert all((review.folder / image).exists() for one in queue for image in one["images"])
    results = review.folder / ".lenslet" / "ranking" / "queue.results.jsonl"
    results.parent.mkdir(parents=True)
    answer = {
        "instance_id": queue[0]["instance_id"],
        "final_ranks": [["1"], ["0"]],
        "completed": True,
        "duration_ms": 1500,
    }
    results.write_text(json.dumps(answer) + "\n")
    (row,) = rated.build(rated.declared(), review_sources("q"))
    assert (row["kind"], row["samples"], row["ranks"], row["rater"], row["seconds"]) == (
        "pair",
        ids[:2],
        [2, 1],
        "ann",
        1.5,
    )


def test_what_is_rated_least_is_shown_first_and_a_missing_subset_is_told(rated: Rated, project: Path) -> None:
    from arot_assets.ratings.trust import build_trust

    r = rated.dataset.resources
    declaration = rated.csv(f"image,rater,score\n{rated.images[0]},ann,3\n")
    rated.build(declaration)
    build_trust(r.tables, declaration)
    with r.warehouse.connect() as con:
        chosen = choose(con, declaration, 12)
        assert chosen[-1] == rated.ids[rated.paths[0]]
        assert len(set(chosen)) == 12
        with pytest.raises(RatingsError, match="`arot run` makes 'good'"):
            choose(con, declaration, 5, subset="good")


def test_label_studio_asks_for_stars_or_for_the_declared_classes(rated: Rated) -> None:
    assert 'maxRating="5"' in label_config(rated.declared())
    assert '<Choice value="a &amp; b"/>' in label_config(rated.declared(categories=["a & b"]))
    assert '<Number name="rating" toName="image" min="0" max="1" ' in label_config(
        rated.declared(scale={"low": 0, "high": 1})
    )
    assert '<Pairwise name="rating" toName="image,other"/>' in label_config(rated.declared(), group=2)


def test_nothing_is_shown_beside_itself_and_what_is_left_over_is_told() -> None:
    left: dict[str, str] = {}
    names = [("a.jpg", "a"), ("a.2.jpg", "a"), ("b.jpg", "b"), ("c.jpg", "c"), ("d.jpg", "d")]
    found = side_by_side(names, 2, left)
    assert found == [[names[0], names[2]], [names[1], names[3]]]
    assert left == {"d": "nothing is left to show beside it in groups of 2"}
    with pytest.raises(RatingsError, match="1 images are too few for groups of 2; choose more with --limit"):
        side_by_side(names[:1], 2, {})
