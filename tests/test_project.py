"""A project is a folder of its own: declarations, SQL, metrics and store, found from anywhere below it."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from arot_assets.cli.main import main
from arot_assets.declarations import load_declarations
from arot_assets.metrics.registry import get_metric, known_metrics
from arot_assets.project import defs_folder, init_project, sql_folder
from resources.root import NoProjectError, project_root
from resources.tables import default_store
from tests.conftest import REPOSITORY

METRIC = '''
import pyarrow as pa

from arot_assets.metrics.metric import Column, image_metric


@image_metric(version="1", columns=[Column("mean", pa.float32(), "mean gray level, 0-255", 0, 255)])
def brightness(image):
    """How bright the image is."""
    return {"mean": float(image.gray.mean())}
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("AROT_PROJECT", raising=False)
    monkeypatch.delenv("AROT_STORE", raising=False)
    init_project(tmp_path / "p")
    return tmp_path / "p"


def test_project_is_the_nearest_folder_upward_that_is_marked(folder: Path, monkeypatch: pytest.MonkeyPatch):
    below = folder / "pictures" / "cats"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert project_root() == folder
    assert (defs_folder(), sql_folder()) == (folder / "defs", folder / "dbt_like_sql")
    assert default_store() == str(folder / ".arot" / "store")


def test_repository_is_the_project_where_no_other_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AROT_PROJECT", raising=False)
    monkeypatch.chdir(tmp_path)
    assert project_root() == REPOSITORY


def test_installed_packages_are_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AROT_PROJECT", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("resources.root.REPOSITORY", tmp_path / "site-packages")
    with pytest.raises(NoProjectError, match="`arot init DIR` creates one"):
        project_root()


def test_project_may_be_named_from_elsewhere(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (folder / "pictures").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AROT_PROJECT", "")  # so that what the command sets is undone
    said = CliRunner().invoke(main, ["--project", "p", "new", "image-dataset", "cats", str(folder / "pictures")])
    assert said.exit_code == 0, said.output
    assert (folder / "defs" / "datasets" / "cats" / "defs.yaml").is_file()
    assert list(load_declarations().datasets) == ["cats"]


def test_project_that_is_not_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AROT_PROJECT", str(tmp_path / "absent"))
    said = CliRunner().invoke(main, ["status"])
    assert said.exit_code == 1
    assert said.output.startswith("Error: project ") and "there is no such folder" in said.output


def test_metrics_of_a_project_are_found_beside_those_of_the_catalogue(folder: Path, monkeypatch: pytest.MonkeyPatch):
    (folder / "metrics" / "brightness.py").write_text(METRIC)
    monkeypatch.chdir(folder)
    assert {"brightness", "cv2"} <= known_metrics()
    assert get_metric("brightness").description == "How bright the image is."
    monkeypatch.chdir(folder.parent)
    assert "brightness" not in known_metrics()


def test_nothing_is_overwritten(folder: Path):
    said = CliRunner().invoke(main, ["init", str(folder)])
    assert said.exit_code == 1 and "already exists" in said.output


def test_dagster_loads_a_new_project(folder: Path):
    code = "from arot_assets.definitions import build_definitions; print(len(list(build_definitions().resolve_all_asset_keys())))"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "0"), done.stderr


def test_a_project_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    said = CliRunner().invoke(main, ["init", str(tmp_path / "file" / "project")])
    assert said.exit_code == 1 and "cannot create a project in" in said.output and "Traceback" not in said.output


def test_full_disk_leaves_no_half_written_project_or_declaration(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filler = small_disk / "filler"
    with suppress(OSError), filler.open("wb") as file:
        while True:
            file.write(b"x" * 4096)
            file.flush()
    with filler.open("rb+") as file:
        file.truncate(file.seek(0, 2) - 16384)  # room for some of the files
    run = CliRunner()
    done = run.invoke(main, ["init", str(small_disk / "p")])
    assert done.exit_code == 1 and "No space left on device" in done.output and "Traceback" not in done.output
    assert not [file for file in (small_disk / "p").rglob("*") if file.is_file()]
    kept = filler.read_bytes()
    filler.unlink()
    assert run.invoke(main, ["init", str(small_disk / "p")]).exit_code == 0
    monkeypatch.setenv("AROT_PROJECT", str(small_disk / "p"))
    with suppress(OSError):
        filler.write_bytes(kept)
    (small_disk / "p" / "defs" / "datasets" / "cats").mkdir(parents=True, exist_ok=True)
    done = run.invoke(main, ["new", "image-dataset", "cats", str(REPOSITORY / "examples" / "images")])
    assert done.exit_code == 1 and "No space left on device" in done.output
    filler.unlink()
    done = run.invoke(main, ["new", "image-dataset", "cats", str(REPOSITORY / "examples" / "images")])
    assert done.exit_code == 0, done.output


def test_what_a_terminal_cannot_show_is_printed_otherwise(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9 \xe2\x80\xa6.jpg")).touch()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG"))}
    ascii_only = {
        **kept,
        "LC_ALL": "POSIX",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONPATH": str(REPOSITORY),
    }
    arot = [sys.executable, "-m", "arot_assets.cli"]
    done = subprocess.run([*arot, "ls", str(tmp_path)], env=ascii_only, capture_output=True)
    assert done.returncode == 0 and b"caf\xe9 \xe2\x80\xa6.jpg" in done.stdout, done.stderr
    done = subprocess.run([*arot, "models"], env=ascii_only, capture_output=True, cwd=tmp_path)
    assert done.returncode == 0 and b"?" in done.stdout and b"Traceback" not in done.stderr, done.stderr
