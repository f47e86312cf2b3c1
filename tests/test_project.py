"""A project is a folder of its own: declarations, SQL, metrics and store, found from anywhere below it."""

import subprocess
import sys
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
