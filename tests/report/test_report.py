"""A report finds in real images what is known to be wrong with them, and asks only tables that are there."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from arot_assets.local_paths import LocalPaths
from arot_assets.media.image.medium import IMAGE
from arot_assets.report.answers import Report, ask
from arot_assets.report.page import page
from arot_assets.report.questions import questions_of
from arot_assets.report.text import lines
from tests.conftest import DATA, EXAMPLES, Dataset

QUESTIONS = questions_of(IMAGE)
PHOTOS = sorted((EXAMPLES / "photo" / "mountain").glob("*.jpg"))[:3]


def report(dataset: Dataset, examples: int = 24) -> Report:
    """The report of a dataset."""
    with dataset.resources.warehouse.connect() as con:
        return ask(con, dataset.resources.tables, dataset.declaration.name, QUESTIONS, examples=examples)


def found(answers: Report, name: str) -> set[str]:
    """The files that a question found."""
    answer = next(a for a in answers.asked if a.question.name == name)
    assert answer.rows == len(answer.examples)
    return {example.uri.rsplit("/", 1)[-1] for example in answer.examples}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Good photos, and copies of them and of others with one known fault each."""
    from PIL import Image

    folder = tmp_path / "pictures"
    folder.mkdir()
    for photo in PHOTOS:
        shutil.copyfile(photo, folder / photo.name)
        (folder / photo.name).with_suffix(".txt").write_text(f"the mountain of {photo.stem}")
    shutil.copyfile(PHOTOS[0], folder / "again.jpg")
    for file in ("astronaut__blur_s4.jpg", "astronaut__noise_s30.jpg", "astronaut__jpeg_q05.jpg"):
        shutil.copyfile(DATA / "degraded" / file, folder / file)
    with Image.open(PHOTOS[1]) as picture:
        picture.resize((picture.width // 2, picture.height // 2)).save(folder / "smaller.png")
        picture.resize((1200, 300)).save(folder / "panorama.png")
        picture.resize((60, 40)).save(folder / "tiny.png")
        picture.point(lambda level: level // 8).save(folder / "dark.png")
    Image.new("RGB", (400, 400), "white").save(folder / "blank.png")
    (folder / "page.jpg").write_text("<html>not found</html>")
    (folder / "drawing.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    (folder / "panorama.txt").write_text("mountain " * 80)
    for n, colour in enumerate(("red", "green", "blue")):
        Image.new("RGB", (300, 300), colour).save(folder / f"plain{n}.png")
        (folder / f"plain{n}.txt").write_text("A plain colour for tests.")
    return folder


def test_known_faults_are_found_and_good_photos_are_not(make_dataset: Callable[..., Dataset], pictures: Path) -> None:
    dataset = make_dataset(pictures, shard_size=6)
    dataset.run("cv2", "phash")
    answers = report(dataset)
    assert found(answers, "broken") == {"page.jpg"}
    assert found(answers, "unsupported") == {"drawing.svg"}
    assert found(answers, "equal") <= {"again.jpg", PHOTOS[0].name} and len(found(answers, "equal")) == 1
    assert "smaller.png" in found(answers, "same-look")
    assert "tiny.png" in found(answers, "tiny")
    assert found(answers, "odd-shaped") == {"panorama.png"}
    assert "dark.png" in found(answers, "dark")
    assert "blank.png" in found(answers, "bright") & found(answers, "low-information")
    assert "astronaut__blur_s4.jpg" in found(answers, "blurry")
    assert found(answers, "noisy") == {"astronaut__noise_s30.jpg"}
    assert found(answers, "blocky") == {"astronaut__jpeg_q05.jpg"}
    assert found(answers, "long-caption") == {"panorama.png"}
    assert found(answers, "repeated-caption") == {"plain0.png", "plain1.png", "plain2.png"}
    assert "blank.png" in found(answers, "no-caption")
    for answer in answers.asked:
        if answer.question.name not in ("equal", "same-look", "bars", "tiny"):
            assert not {p.name for p in PHOTOS} & {e.uri.rsplit("/", 1)[-1] for e in answer.examples}, answer.question


def test_every_count_is_what_its_printed_query_gives(make_dataset: Callable[..., Dataset], pictures: Path) -> None:
    dataset = make_dataset(pictures)
    dataset.run("cv2", "phash")
    answers = report(dataset, examples=1)
    assert [a.question for a in answers.asked] == list(QUESTIONS)
    for answer in answers.asked:
        assert len(dataset.sql(answer.sql)) == answer.rows


def test_questions_without_their_table_are_named_and_nothing_is_computed(
    make_dataset: Callable[..., Dataset], pictures: Path
) -> None:
    dataset = make_dataset(pictures)
    dataset.run()
    before = sorted(Path(dataset.resources.tables.root).rglob("*"))
    answers = report(dataset)
    assert {q.table for q in answers.unasked} == {"cv2", "phash"}
    assert any("add 'cv2' to the metrics of 'd'" in line for line in lines(answers))
    assert sorted(Path(dataset.resources.tables.root).rglob("*")) == before


def test_page_needs_nothing_beside_it_and_shows_hostile_text_as_text(
    make_dataset: Callable[..., Dataset], tmp_path: Path
) -> None:
    folder = tmp_path / "hostile"
    folder.mkdir()
    name = "<script>alert('x')</script>&.jpg".replace("/", "")
    shutil.copyfile(PHOTOS[0], folder / name)
    dataset = make_dataset(folder)
    dataset.run("cv2")
    html = page(report(dataset), lambda example: b"\xff\xd8thumbnail", LocalPaths([str(folder)]))
    assert str(tmp_path) not in html
    assert "<script" not in html and "&lt;script&gt;" in html
    assert not re.search(r"(src|href)='(?!data:|#)", html)
