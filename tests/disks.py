"""A disk that is full or turns read-only, for tests: a real, small one."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def make_read_only(disk: Path) -> None:
    """Let nothing be written to a disk any more; no file of it may be open for writing."""
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
