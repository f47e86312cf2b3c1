"""Files that are no pictures, and links that lead nowhere, as a user meets them: told by kind, counted once, named."""

import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import EXAMPLES
from tests.end_to_end.conftest import Project

FAULTS = EXAMPLES / "faults"
PICTURES = sorted((EXAMPLES / "photo").rglob("*.jpg"))[:3]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A dataset that was run once: three pictures, one that is cut short, and much that is none."""
    project = Project(tmp_path_factory.mktemp("mixed"))
    source = project.source
    for number, picture in enumerate(PICTURES):
        shutil.copyfile(picture, source / f"{number}.jpg")
    for name in ("vector.svg", "mp4_named.jpg", "bomb_60000x60000.png", "truncated_half.jpg"):
        shutil.copyfile(FAULTS / name, source / name)
    shutil.copyfile(FAULTS / "mp4_named.jpg", source / "film.mp4")
    (source / "notes.md").write_text("# Notes")
    (source / "lost.txt").write_text("of no picture")
    (source / "annexed.jpg").symlink_to("../.git/annex/objects/annexed.jpg")
    (source / "circle.png").symlink_to("circle.png")
    (source / "elsewhere").symlink_to(project.root)
    os.mkfifo(source / "pipe.jpg")
    project.declare_dataset("demo", metrics=["cv2"])
    project.first = project.arot("run", "demo")  # type: ignore[attr-defined]
    return project


def test_run_counts_as_failed_only_what_is_broken_or_cannot_be_read(mixed: Project) -> None:
    text = mixed.first  # type: ignore[attr-defined]
    assert "3 of 9 rows of samples failed" in text, text
    assert dict(mixed.sql("select status, count(*) from demo.samples group by 1")) == {
        "ok": 3,
        "unsupported": 3,
        "corrupt": 1,
        "unreadable": 2,
    }


def test_run_names_links_pipes_and_texts_that_are_left_out(mixed: Project) -> None:
    text = mixed.first  # type: ignore[attr-defined]
    for part in ("1 x .mp4", "1 x .md", "link to a folder", "elsewhere", "named pipe", "pipe.jpg", "lost.txt"):
        assert part in text, text


def test_status_tells_other_files_by_kind_and_links_by_where_they_lead(mixed: Project) -> None:
    text = " ".join(mixed.arot("status", "demo").split())
    assert "│ samples │ 1 of 1 │ 0 │ 9 │ 3 │" in text, text
    for part in (
        "unsupported: SVG",
        "unsupported: MP4 video",
        "unsupported: 60000x60000",
        "cut short",
        "fix the link",
    ):
        assert part in text, text


def test_retry_leaves_other_kinds_alone(mixed: Project) -> None:
    before = dict(mixed.sql("select uri, ingested_at from demo.samples"))
    assert "3 failed rows before, 3 now" in mixed.arot("retry", "demo")
    after = dict(mixed.sql("select uri, ingested_at from demo.samples"))
    again = {Path(uri).name for uri in after if after[uri] != before[uri]}
    assert again == {"truncated_half.jpg", "annexed.jpg", "circle.png"}
    mixed.arot("retry", "demo", "--reason", "SVG")
    assert dict(mixed.sql("select uri, ingested_at from demo.samples")) == after


def test_report_keeps_other_kinds_apart_from_what_is_broken(mixed: Project) -> None:
    lines = [line.split() for line in mixed.arot("report", "demo").splitlines()]
    counts = {line[2].removesuffix(":"): line[0] for line in lines if len(line) > 2 and line[2].endswith(":")}
    assert (counts["broken"], counts["unsupported"]) == ("3", "3")


def test_second_run_does_nothing(mixed: Project) -> None:
    text = mixed.arot("run", "demo")
    assert "nothing to do" in text and "3 of 9 rows of samples failed" in text
