"""Labels that are likely wrong: confident learning as the reference has it, out of fold, and never on a sample's own word."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from arot_assets.ratings.build import build_ratings
from arot_assets.ratings.label_errors import FOLDS, confident_errors, folds_of
from arot_assets.ratings.queue import LABEL_ERRORS, build_queue
from arot_assets.ratings.said import RatingsError
from arot_assets.ratings.trust import build_trust
from resources.defaults import Resources
from tests.conftest import EXAMPLES, Dataset
from tests.ratings.conftest import Rated

PHOTOS = ("photo/sea", "photo/mountain", "photo/spaceport", "photo/desert")
"""Folders of examples, of which there are enough to learn a class from."""


def test_what_is_doubted_is_what_cleanlab_doubts() -> None:
    from cleanlab.filter import find_label_issues

    rng = np.random.default_rng(0)
    for classes in (2, 3, 7):
        truth = rng.integers(0, classes, 400)
        given = np.where(rng.random(400) < 0.15, rng.integers(0, classes, 400), truth)
        worth = rng.normal(size=(400, classes)) + 2.5 * np.eye(classes)[truth]
        chances = np.exp(worth) / np.exp(worth).sum(1, keepdims=True)
        found = confident_errors(chances, given)
        theirs = find_label_issues(given, chances, filter_by="confident_learning", n_jobs=1)
        assert found.tolist() == theirs.tolist()
        assert 0 < found.sum() < 120
        assert (given != truth)[found].mean() > 0.5


def test_groups_are_in_one_fold_and_classes_in_all() -> None:
    rng = np.random.default_rng(1)
    groups = [f"g{k}" for k in rng.integers(0, 60, 200)]
    labels = [f"c{int(name[1:]) % 3}" for name in groups]
    found = folds_of(groups, labels)
    assert all(len(set(found[[g == name for g in groups]])) == 1 for name in set(groups))
    assert all(set(found[[label == name for label in labels]]) == set(range(FOLDS)) for name in set(labels))
    assert np.bincount(found).max() <= 60
    assert folds_of(groups, labels).tolist() == found.tolist()
    assert folds_of(groups, labels, seed=1).tolist() != found.tolist()


TWICE = "lucy_happy__club.jpg"


@pytest.fixture
def styles(resources: Resources, tmp_path: Path) -> Rated:
    """Photos and anime with embeddings; one of anime is there twice, as near-duplicates."""
    source = tmp_path / "source"
    for style, folders in (("photo", PHOTOS), ("anime", ("anime/scene",))):
        (source / style).mkdir(parents=True)
        pictures = [p for folder in folders for p in sorted((EXAMPLES / folder).glob("*.jpg"))]
        for picture in pictures[:18]:
            shutil.copyfile(picture, source / style / picture.name)
    copy = source / "anime" / f"copy_{TWICE}"
    copy.write_bytes((source / "anime" / TWICE).read_bytes() + b"\0")  # other bytes, so another sample
    dataset = Dataset(resources, source, shard_size=100)
    dataset.run("phash", "embedding")
    return Rated(dataset, tmp_path)


def test_wrong_labels_are_found_although_a_copy_has_the_same_wrong_label(styles: Rated) -> None:
    r = styles.dataset.resources
    truth = {image: image.partition("/")[0] for image in styles.images}
    photo = [image for image in styles.images if truth[image] == "photo"]
    wrong = {f"anime/{TWICE}": "photo", f"anime/copy_{TWICE}": "photo", photo[3]: "anime"}
    rare = photo[5]
    lines = "".join(f"{image},ann,{(truth | wrong | {rare: 'sketch'})[image]}\n" for image in styles.images)
    declared = styles.csv(f"image,rater,score\n{lines}", kind="category", queue={"embedding": "embedding"})
    styles.build(declared)
    with r.warehouse.connect() as con:
        with pytest.raises(RatingsError, match="no labels to judge yet; `arot run`"):
            build_queue(con, r.tables, declared, 10, reason=LABEL_ERRORS)
        build_trust(r.tables, declared)
        queue = build_queue(con, r.tables, declared, 10, reason=LABEL_ERRORS).to_pylist()
    ids = {image: styles.ids[f"{styles.dataset.source}/{image}"] for image in styles.images}
    assert {row["sample_id"] for row in queue[:3]} == {ids[image] for image in wrong}
    assert {row["why"] for row in queue} == {"label errors"}
    judged = styles.dataset.sql("select given, expected, likely, reason from q.label_errors")
    assert len(judged) == len(styles.images)
    assert [row for row in judged if row[0] == "sketch"] == [
        ("sketch", None, None, "its class has 1 samples that do not stay together; 5 are needed")
    ]
    with r.warehouse.connect() as con:
        mixed = build_queue(con, r.tables, declared, 10).to_pylist()
        assert any(row["why"] == "label errors" for row in mixed)
        undeclared = declared.model_copy(update={"queue": declared.queue.model_copy(update={"embedding": ""})})
        with pytest.raises(RatingsError, match=r"'label errors' needs `queue.embedding`"):
            build_queue(con, r.tables, undeclared, 10, reason=LABEL_ERRORS)


def test_a_score_far_from_those_of_similar_images_is_doubted(styles: Rated) -> None:
    r = styles.dataset.resources
    rng = np.random.default_rng(0)
    given = {image: (4 if image.startswith("photo") else 2) + rng.normal(0, 0.2) for image in styles.images}
    odd = next(image for image in styles.images if image.startswith("photo"))
    given[odd] = 1.0
    lines = "".join(f"{image},ann,{score}\n" for image, score in given.items())
    declared = styles.csv(f"image,rater,score\n{lines}", queue={"embedding": "embedding.vector"})
    styles.build(declared)
    build_trust(r.tables, declared)
    with r.warehouse.connect() as con:
        queue = build_queue(con, r.tables, declared, 3, reason=LABEL_ERRORS).to_pylist()
    assert queue[0]["sample_id"] == styles.ids[f"{styles.dataset.source}/{odd}"]


def test_one_class_and_few_labels_are_told(styles: Rated) -> None:
    r = styles.dataset.resources
    for labels, said in (({"photo"}, "with 1 different labels"), ({"a", "b"}, "of 4 rated samples 0 can be judged")):
        images = styles.images[:4] if len(labels) > 1 else styles.images
        lines = "".join(f"{image},ann,{sorted(labels)[k % len(labels)]}\n" for k, image in enumerate(images))
        declared = styles.csv(f"image,rater,score\n{lines}", kind="category", queue={"embedding": "embedding"})
        declared = declared.model_copy(update={"name": f"q{len(labels)}"})
        build_ratings(r.warehouse, declared)
        build_trust(r.tables, declared)
        with r.warehouse.connect() as con:
            with pytest.raises(RatingsError, match=said):
                build_queue(con, r.tables, declared, 3, reason=LABEL_ERRORS)
            assert {row["why"] for row in build_queue(con, r.tables, declared, 3).to_pylist()} <= {
                "uncertain",
                "different",
                "random",
                "repeat",
            }
