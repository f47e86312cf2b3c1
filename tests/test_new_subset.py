"""`arot new subset` writes a model that loads, and that has a step for each condition."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from arot_assets.cli.main import main
from arot_assets.project import init_project
from arot_assets.subsets.load import load_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new project with a dataset of images, ``cats``, and one of films."""
    root = tmp_path / "project"
    init_project(root)
    for name, kind, metrics in (("cats", "ImageDataset", "[cv2, phash]"), ("films", "VideoDataset", "[cv2]")):
        declaration = root / "defs" / name / "defs.yaml"
        declaration.parent.mkdir()
        declaration.write_text(
            f"type: arot_assets.components.{kind}\nattributes: {{name: {name}, source: '{root}', metrics: {metrics}}}\n"
        )
    monkeypatch.setenv("AROT_PROJECT", str(root))
    monkeypatch.chdir(root)
    return root / "dbt_like_sql"


def new(*words: str) -> str:
    """The output of the command, which must succeed."""
    done = CliRunner().invoke(main, ["new", "subset", *words])
    assert done.exit_code == 0, done.output
    return done.output


def test_each_condition_is_a_line_and_its_tables_are_joined(project: Path) -> None:
    conditions = ("cv2.sharpness >= 100", "samples.width >= 512\n or samples.caption is not null")
    told = new("sharp", "cats", "--where", conditions[0], "--where", conditions[1])
    loaded = load_project(project)
    assert not loaded.broken and list(loaded.subsets) == ["sharp"]
    text = (project / "models" / "subsets" / "sharp.sql").read_text()
    assert text.splitlines()[-3:] == [
        "where samples.status = 'ok'  -- decodable, first copy",
        "    and cv2.sharpness >= 100",
        "    and (samples.width >= 512 or samples.caption is not null)",
    ]
    assert text.count("left join") == 1 and "source('cats', 'cv2')" in text
    assert {table for source, table in loaded.sources if source == "cats"} == {
        "inventory", "samples", "cv2", "phash", "wide",
    }  # fmt: skip
    assert told.splitlines()[-1] == "next: arot explain sharp"


def test_sources_are_listed_once_and_a_model_is_never_overwritten(project: Path) -> None:
    new("one", "cats")
    assert "sources/" not in new("two", "cats")
    done = CliRunner().invoke(main, ["new", "subset", "one", "cats"])
    assert done.exit_code == 1 and "'one' is already a SQL model" in done.output
    assert not load_project(project).broken


def test_of_films_only_what_has_a_row_a_film_is_joined(project: Path) -> None:
    new("long_films", "films", "--where", "decoded.frames >= 100")
    done = CliRunner().invoke(main, ["new", "subset", "sharp", "films", "--where", "cv2.sharpness > 1"])
    assert done.exit_code == 1 and "'films' has no table 'cv2'" in done.output


def test_a_place_that_cannot_be_written_is_named(project: Path) -> None:
    (project / "models" / "subsets").write_text("a file in the folder's place")
    done = CliRunner().invoke(main, ["new", "subset", "one", "cats"])
    assert done.exit_code == 1 and "cannot write" in done.output and "subsets" in done.output
    (project.parent / "defs" / "datasets").write_text("")
    done = CliRunner().invoke(main, ["new", "image-dataset", "dogs", "."])
    assert done.exit_code == 1 and "cannot write" in done.output and "dogs" in done.output
