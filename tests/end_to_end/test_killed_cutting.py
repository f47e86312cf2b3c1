"""Cutting that is killed at any moment leaves whole files only, and ends in the same files with the same proof."""

import shutil
from contextlib import suppress
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from tests.conftest import REPOSITORY
from tests.end_to_end.conftest import Project
from tests.prepared.python import Forked
from tests.waiting import kill_when

pytestmark = pytest.mark.slow

COMMAND = ("cut", "film_clips", "out", "--films", "films", "--size", "96x64", "--frames", "9")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The films of the demo, decoded, and their clips, cut."""
    found = Project(tmp_path_factory.mktemp("films"))
    shutil.copytree(REPOSITORY / "examples" / "films", found.root / "examples" / "films")
    for name in ("films", "clips"):
        shutil.copytree(REPOSITORY / "arot_assets" / "defs" / "datasets" / name, found.defs / "datasets" / name)
    declared = found.defs / "datasets" / "films" / "defs.yaml"
    declared.write_text(declared.read_text().replace("metrics: [embedding, style]", "metrics: []"))
    found.arot("run", "films")
    return found


def files(folder: Path) -> dict[str, bytes]:
    """The files of clips under their final names."""
    return {path.name: path.read_bytes() for path in folder.glob("*.mp4")}


def is_writing(process: Forked) -> bool:
    """Whether a helper of a process has the file of a clip open."""
    with suppress(psutil.Error):
        helpers = psutil.Process(process.pid).children()
        return any(file.path.endswith(".mp4") and "/clips_" in file.path for h in helpers for file in h.open_files())
    return False


def left_in(scratch: Path) -> list[Path]:
    """Files of clips in temporary folders."""
    return list(scratch.rglob("*.mp4"))


def killed(project: Project, folder: Path, scratch: Path, *command: str) -> list[dict[str, bytes]]:
    """Start a command again and again, kill it each time a little later, and tell which files were there then."""
    scratch.mkdir(exist_ok=True)
    seen: list[dict[str, bytes]] = []
    for more in (None, 0, 3):
        process = project.start(*command, AROT_THREADS="1", AROT_SCRATCH=str(scratch))
        before = len(files(folder))
        kill_when(
            process,
            (lambda: is_writing(process)) if more is None else (lambda: len(files(folder)) > before + more),  # noqa: B023  # called at once
        )
        seen.append(files(folder))
        assert more is not None or left_in(scratch), "it was killed within a clip"
    return seen


def test_asset_that_is_killed_while_it_cuts_ends_in_the_same_files_and_rows(project: Project) -> None:
    store = project.root / ".arot" / "store"
    folder, table = store / "clips" / "clips", "select * from clips.cut order by all"
    expected, rows = files(folder), project.sql(table)
    assert len(expected) > 10 and len(expected) == sum(row.count("ok") for row in rows)
    shutil.rmtree(store / "clips")
    shutil.rmtree(store / "datasets" / "clips")
    scratch = project.root / "scratch"
    seen = killed(project, folder, scratch, "run", "films")
    assert not seen[0] and 0 < len(seen[1]) < len(expected), "it was killed within a clip, and between two films"
    assert all(there.items() <= expected.items() for there in seen)
    project.arot("run", "films", AROT_SCRATCH=str(scratch))
    assert not list(scratch.glob("*/*")), "of what was killed nothing stays"
    assert files(folder) == expected and project.sql(table) == rows
    assert "nothing to do" in project.arot("run", "films")


def test_command_that_is_killed_ends_in_the_same_files_and_proofs(project: Project) -> None:
    out = project.root / "out"
    project.arot(*COMMAND)
    expected, proofs = files(out), pq.read_table(out / "clips.parquet")
    shutil.rmtree(out)
    scratch = project.root / "scratch"
    seen = killed(project, out, scratch, *COMMAND)
    assert not seen[0] and 0 < len(seen[1]) < len(expected)
    assert all(there.items() <= expected.items() for there in seen)
    project.arot(*COMMAND, AROT_SCRATCH=str(scratch))
    assert not list(scratch.glob("*/*")), "of what was killed nothing stays"
    assert files(out) == expected and pq.read_table(out / "clips.parquet").equals(proofs)
