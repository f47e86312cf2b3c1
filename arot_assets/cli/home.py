"""Dagster's home: the folder where runs are recorded, and whether anything has been recorded since.

Belongs here: the folder and its files seen from outside, without Dagster. Does not belong here: what is recorded
(``launch.py``).
"""

import hashlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from arot_assets.project import dagster_settings
from resources.errors import ArotError
from resources.root import project_root

SETTINGS = "dagster.yaml"
ELSEWHERE = frozenset({"storage", "run_storage", "event_log_storage", "local_artifact_storage"})
"""Settings that may store the records outside the files of the home."""


class HomeError(ArotError):
    """Dagster's home, where runs are recorded, cannot be used; the message names the folder, cause and remedy."""


def home_folder() -> Path:
    """``$DAGSTER_HOME``, by default ``.arot/dagster`` in the project; it may not exist."""
    return Path(os.environ.get("DAGSTER_HOME") or project_root() / ".arot" / "dagster").absolute()


def prepare_home() -> Path:
    """``home_folder``, with this project's ``dagster.yaml`` in it.

    Raises:
        HomeError: it cannot be written.
    """
    home = home_folder()
    try:
        home.mkdir(parents=True, exist_ok=True)
        ours, theirs = dagster_settings(), home / SETTINGS
        if not theirs.exists() or ("DAGSTER_HOME" not in os.environ and theirs.read_bytes() != ours.read_bytes()):
            shutil.copyfile(ours, theirs)
        with tempfile.TemporaryFile(dir=home) as file:  # another user's home has everything but is not writable
            file.write(b"arot")
    except OSError as error:
        raise HomeError(
            f"Dagster's home '{home}' cannot be written: {error.strerror}; point DAGSTER_HOME to a folder that you may "
            "write to, with some free space"
        ) from error
    os.environ["DAGSTER_HOME"] = str(home)
    return home


@contextmanager
def records_are_writable(home: Path) -> Iterator[None]:
    """An error of the records that are files of a home is one line, whichever event could not be recorded.

    Raises:
        HomeError: the disk is full, or a file is damaged.
    """
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, sqlite3.DatabaseError):
            cause = getattr(cause, "orig", None) or cause.__cause__ or cause.__context__
        if cause is None:
            raise
        raise HomeError(
            f"Dagster's home '{home}': the records of runs cannot be used: {cause}; free some space there, or move the folder "
            "away: tables are not in it, and a new one is made"
        ) from error


def records_elsewhere(home: Path) -> bool:
    """Whether the records are not files of this home but in a database, which other machines may share.

    Raises:
        OSError: the home's settings cannot be read.
        yaml.YAMLError: they are not valid YAML.
    """
    settings = yaml.safe_load((home / SETTINGS).read_bytes())
    return isinstance(settings, dict) and not ELSEWHERE.isdisjoint(settings)


def records_stamp(home: Path) -> str | None:
    """Changes with every event that a run records in a home; None if its files cannot tell.

    Dagster's default storage keeps the events of each run in a file in ``history/runs``, and those of assets, checks
    and run states in a shared one. ``runs.db`` beside that folder is ignored: the daemon writes to it all the time.
    """
    try:
        settings = (home / SETTINGS).read_bytes()
        files = sorted(
            (file.name, found.st_size, found.st_mtime_ns)
            for file in os.scandir(home / "history" / "runs")
            if not file.name.endswith("-shm") and (found := file.stat()).st_size
        )
        elsewhere = records_elsewhere(home)
    except (OSError, yaml.YAMLError):
        return None
    return None if elsewhere else hashlib.sha256(repr((settings, files)).encode()).hexdigest()
