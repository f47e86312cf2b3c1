"""An installed wheel works outside the repository: a project is made, run, asked and reported on."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.conftest import EXAMPLES, REPOSITORY

pytestmark = pytest.mark.slow
SOURCES = ("arot_assets", "resources", "sensors", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel of this repository, which sees the dependencies of this one and not the repository."""
    root = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:  # a copy: building writes beside the sources
        if (REPOSITORY / name).is_dir():
            shutil.copytree(REPOSITORY / name, root / "src" / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(REPOSITORY / name, root / "src" / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    offline = ["--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "wheel", *offline, "-w", str(root / "dist"), str(root / "src")], check=True)
    (wheel,) = (root / "dist").glob("arot-*.whl")
    venv.create(root / "venv", with_pip=False)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(root / "venv"), "platbase": str(root / "venv")}))
    # a line of a .pth file is a folder to look into; the .pth files in there, and with them editable installs, are not read
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    inside = [*pip, "--python", str(root / "venv" / "bin" / "python"), "install", "--no-deps", "--no-index"]
    subprocess.run([*inside, "--force-reinstall", str(wheel)], check=True)
    return root / "venv" / "bin"


def test_wheel_makes_a_project_runs_it_and_answers(installed: Path, tmp_path: Path) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AROT_", "DAGSTER_", "PYTHON"))}

    def run(folder: Path, program: str, *arguments: str) -> str:
        command = [str(installed / program), *arguments]
        done = subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    for package in ("arot_assets", "resources", "sensors"):
        there = run(tmp_path, "python", "-c", f"import {package}; print({package}.__file__)")
        assert there.startswith(str(installed.parent)), there
    assert "version" in run(tmp_path, "arot", "--version")
    run(tmp_path, "arot", "init", "project")
    project = tmp_path / "project"
    assert (project / ".gitignore").is_file() and (project / "defs" / "__init__.py").is_file()
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for picture in sorted((EXAMPLES / "photo" / "sea").glob("*.jpg"))[:3]:
        shutil.copyfile(picture, pictures / picture.name)
    run(project, "arot", "new", "image-dataset", "cats", str(pictures), "--metrics", "phash")
    assert "cats: up to date" in run(project, "arot", "run", "cats")
    assert run(project, "arot", "sql", "select count(*) as n from cats.phash", "-o", "csv").split() == ["n", "3"]
    assert "cats: 3 rows (3 ok)" in run(project, "arot", "report", "cats", "--out", "report.html")
    page = (project / "report.html").read_text()
    assert "data:image/jpeg;base64," in page and str(tmp_path) not in page
    assert (project / ".arot" / "store").is_dir()
