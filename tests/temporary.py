"""Where tests keep their files: in memory where there is room.

Belongs here: the choice. Does not belong here: folders of single tests (pytest's ``tmp_path``).

Dagster's records, the test servers and PostgreSQL wait for the disk at every commit, a thousand times in one run of a dataset.
What they do is the same in a file system of memory, without the waiting.
"""

import os
import shutil
import tempfile
from pathlib import Path

import psutil

IN_MEMORY = Path("/dev/shm")
ROOM = 6 << 30
"""Bytes that must be free there: about three times what all tests write."""
MEMORY = 12 << 30
"""Bytes of memory that must be available: what is written there, and four workers with their servers."""
VARIABLE = "PYTEST_DEBUG_TEMPROOT"
"""Names the folder in which pytest makes that of a session."""


def choose_folder() -> None:
    """Have pytest write to memory, unless it is told where, or there is no room."""
    if VARIABLE not in os.environ and IN_MEMORY.is_dir() and _has_room():
        os.environ[VARIABLE] = str(IN_MEMORY)


def _has_room() -> bool:
    if shutil.disk_usage(IN_MEMORY).free < ROOM or psutil.virtual_memory().available < MEMORY:
        return False
    if os.statvfs(IN_MEMORY).f_flag & os.ST_NOEXEC:  # tests write programs and start them
        return False
    try:
        with tempfile.NamedTemporaryFile(dir=IN_MEMORY) as file:
            os.setxattr(file.name, "user.arot", b"1")  # the S3 server keeps what it knows of an object there
    except OSError:
        return False
    return True


def give_back(folder: Path) -> None:
    """Delete the folder of a session that ended well, where it takes memory."""
    if IN_MEMORY in folder.parents:
        shutil.rmtree(folder, ignore_errors=True)
