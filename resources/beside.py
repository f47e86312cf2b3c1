"""Temporary files and folders beside their target, moved there in one step, on the same disk.

Belongs here: their names, which tell their process, and the removal of those whose process was killed. Does not belong here:
temporary folders that are moved nowhere (``scratch.py``).
"""

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from resources.processes import Owner

TEMPORARY_PREFIX = ".arot-tmp-"
"""How the names of files and folders begin that are being written; no listing shows them."""
LOCK_NAME = f"{TEMPORARY_PREFIX}lock"
"""A file that processes lock which make temporary folders beside it; it stays."""
LEFT_SECONDS = 86_400.0
"""How long nothing has changed in what a process left that cannot be asked: one of another machine."""


def temporary_name(folder: Path) -> Path:
    """A path of nothing yet."""
    return folder / f"{_prefix()}{secrets.token_hex(4)}"


def temporary_file(folder: Path) -> Path:
    """A new, empty file that only this user may read.

    Raises:
        OSError: it cannot be made.
    """
    handle, name = tempfile.mkstemp(prefix=_prefix(), dir=folder)
    os.close(handle)
    return Path(name)


def temporary_folder(folder: Path) -> Path:
    """A new, empty folder that only this user may read.

    Raises:
        OSError: it cannot be made.
    """
    return Path(tempfile.mkdtemp(prefix=_prefix(), dir=folder))


@contextmanager
def folder_beside(folder: Path) -> Iterator[Path]:
    """A new, empty folder, removed at the end; first, what processes left in ``folder`` that were killed.

    Raises:
        OSError: it cannot be made.
    """
    remove_left(folder.iterdir())
    made = temporary_folder(folder)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def replace_file(file: Path, text: str, mode: int | None = None) -> None:
    """Write a file of a small folder in one step; what processes left there that were killed is removed.

    Args:
        file: to be written.
        text: its content.
        mode: its permissions; None for those of any new file.

    Raises:
        OSError: it cannot be written.
    """
    remove_left(file.parent.iterdir())
    put(file, text.encode(), mode)


def put(file: Path, data: bytes, mode: int | None = None) -> None:
    """The same, whatever else lies in the folder.

    Raises:
        OSError: it cannot be written; nothing of it stays.
    """
    made = temporary_name(file.parent)
    try:
        made.write_bytes(data)
        if mode is not None:
            made.chmod(mode)
        made.replace(file)
    except OSError:
        with suppress(OSError):
            made.unlink()
        raise


def remove_left(paths: Iterable[Path], older_than_seconds: float = LEFT_SECONDS) -> int:
    """Remove what is left of processes that were killed; returns the number of files and folders. What cannot be removed stays.

    Args:
        paths: of which those are looked at that have the name of something temporary.
        older_than_seconds: age at which something is taken for left whose process cannot be asked.
    """
    removed = 0
    for path in paths:
        if path.name.startswith(TEMPORARY_PREFIX) and _is_left(path, older_than_seconds):
            with suppress(OSError):  # its process has ended it meanwhile, or nothing can be removed here
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
                removed += 1
    return removed


def below(folder: Path) -> Iterator[Path]:
    """What is temporary in a folder and all below it, whoever removes it meanwhile."""
    for parent, folders, files in os.walk(folder):
        yield from (Path(parent, name) for name in (*folders, *files) if name.startswith(TEMPORARY_PREFIX))
        folders[:] = [name for name in folders if not name.startswith(TEMPORARY_PREFIX)]


def _prefix() -> str:
    return f"{TEMPORARY_PREFIX}{Owner.me()}-"


def _is_left(path: Path, older_than_seconds: float) -> bool:
    if path.name == LOCK_NAME:
        return False
    owner = Owner.named_in(path.name)
    gone = owner.is_gone if owner is not None else None
    if gone is None:  # a version that is read back before it takes its place does not change for a while
        longest = max(older_than_seconds, LEFT_SECONDS) if path.is_dir() else older_than_seconds
        return _last_change(path) < time.time() - longest
    return gone


def _last_change(path: Path) -> float:
    """When something in it changed last; now, if it is gone."""
    changes = []
    with suppress(OSError):
        changes.append(path.lstat().st_mtime)
    for folder, _, names in os.walk(path):
        for name in (".", *names):
            with suppress(OSError):
                changes.append(os.lstat(os.path.join(folder, name)).st_mtime)
    return max(changes, default=time.time())
