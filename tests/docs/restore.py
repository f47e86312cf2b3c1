"""Makes a folder equal to another one again, at the cost of what differs.

Belongs here: that alone. A page of the documentation changes a few files of some thousand.
"""

import os
import shutil
import stat
from pathlib import Path


def restore(folder: Path, kept: Path) -> None:
    """Make a folder what it was when it was copied: names, contents, times and modes.

    A file is taken for unchanged if its kind, mode, size and time of change in nanoseconds are those of its copy; a link, if
    it leads to the same place.

    Args:
        folder: what may have been changed.
        kept: its copy, made with ``shutil.copytree(…, symlinks=True)``, which keeps times.
    """
    found = {entry.name: entry for entry in os.scandir(folder)}
    wanted = {entry.name: entry for entry in os.scandir(kept)}
    for name in found.keys() - wanted.keys():
        _remove(found[name])
    for name, copy in wanted.items():
        place, entry = folder / name, found.get(name)
        if entry is not None and _is_folder(entry) and _is_folder(copy):
            restore(place, Path(copy.path))
            continue
        if entry is not None and _looks(entry) == _looks(copy):
            continue
        if entry is not None:
            _remove(entry)
        if _is_folder(copy):
            shutil.copytree(copy.path, place, symlinks=True)
        else:
            shutil.copy2(copy.path, place, follow_symlinks=False)
    shutil.copystat(kept, folder)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    return entry.is_dir(follow_symlinks=False)


def _looks(entry: "os.DirEntry[str]") -> tuple[object, ...]:
    """What tells a changed file or link from an unchanged one."""
    if entry.is_symlink():
        return (os.readlink(entry.path),)
    found = entry.stat(follow_symlinks=False)
    return stat.S_IFMT(found.st_mode), stat.S_IMODE(found.st_mode), found.st_size, found.st_mtime_ns


def _remove(entry: "os.DirEntry[str]") -> None:
    if _is_folder(entry):
        shutil.rmtree(entry.path)
    else:
        os.unlink(entry.path)
