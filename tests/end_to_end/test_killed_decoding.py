"""Decoding of films that is killed at any moment, the run or a decoder, ends in the same tables."""

import shutil
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import REPOSITORY
from tests.end_to_end.conftest import Project
from tests.prepared.python import Forked
from tests.waiting import finish, kill_when, until, work_of

pytestmark = pytest.mark.slow

TABLES = ("samples", "frames", "steps", "stills", "sound", "phash", "decoded")
COMMAND = ("run", "films")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The films of the demo, one a shard, decoded."""
    found = Project(tmp_path_factory.mktemp("films"))
    shutil.rmtree(found.defs / "datasets" / "demo")
    shutil.rmtree(found.defs / "classifiers")
    shutil.rmtree(found.root / "dbt_like_sql" / "models")
    shutil.copytree(REPOSITORY / "examples" / "films", found.root / "examples" / "films")
    declared = found.defs / "datasets" / "films" / "defs.yaml"
    declared.parent.mkdir(parents=True)
    declared.write_text(
        "type: arot_assets.components.VideoDataset\nattributes: "
        "{name: films, source: examples/films, settle_seconds: 0.2, shard_size: 2, metrics: [phash]}\n"
    )
    found.arot(*COMMAND)
    return found


def contents(project: Project) -> dict[str, list[Any]]:
    """Every row of every table, without the times of work."""
    return {
        table: project.sql(
            f"select columns(c -> c not in ('computed_at', 'ingested_at')) from films.{table} order by all"
        )
        for table in TABLES
    }


def store(project: Project) -> Path:
    return project.root / ".arot" / "store" / "datasets" / "films"


def decoders(process: Forked) -> list[psutil.Process]:
    """The processes of a run that decode."""
    with suppress(psutil.Error):
        helpers = psutil.Process(process.pid).children(recursive=True)
        return [h for h in helpers if any("isolated" in word for word in h.cmdline())]
    return []


def is_decoding(process: Forked) -> bool:
    """Whether a helper has a film open."""
    with suppress(psutil.Error):
        return any("examples/films" in file.path for h in decoders(process) for file in h.open_files())
    return False


def test_run_that_is_killed_at_any_moment_ends_in_the_same_tables(project: Project) -> None:
    expected = contents(project)
    assert len(expected["decoded"]) == 5 and len(expected["frames"]) > 500
    moments = {
        "samples are read": lambda one: (store(project) / "inventory.parquet").exists(),
        "a film is decoded": lambda one: (store(project) / "samples").is_dir() and is_decoding(one),
        "a shard is half written": lambda one: any((store(project) / "frames").glob("*.parquet")),
        "another shard is at work": lambda one: any((store(project) / "decoded").glob("*.parquet")),
        "all but one are done": lambda one: len(list((store(project) / "decoded").glob("*.parquet"))) > 1,
    }
    shutil.rmtree(store(project))
    seen = []
    for moment, there in moments.items():
        process = project.start(*COMMAND, AROT_THREADS="1")
        output = kill_when(process, lambda: there(process))  # noqa: B023  # called at once
        assert process.returncode == -signal.SIGKILL, f"it ended before {moment}\n{output}"
        seen.append(len(list(store(project).glob("decoded/*.parquet"))))
    assert seen[0] == 0 and seen[-1] >= 1, seen
    project.arot(*COMMAND)
    assert contents(project) == expected
    assert "nothing to do" in project.arot(*COMMAND)


def test_decoder_that_is_killed_gets_its_film_a_second_time(project: Project) -> None:
    expected = contents(project)
    shutil.rmtree(store(project))
    process = project.start(*COMMAND, AROT_THREADS="1")
    until(
        "a film that is decoded",
        lambda: process.poll() is not None or ((store(project) / "samples").is_dir() and is_decoding(process)),
        work_of(process.pid),
    )
    victims = decoders(process)
    for victim in victims:
        with suppress(psutil.NoSuchProcess):
            victim.kill()
    output = finish(process)
    assert victims and process.returncode == 0, output
    assert contents(project) == expected
