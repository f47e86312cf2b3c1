"""The files of a version, as loaders find them: in a folder of this machine, and elsewhere, where nodes of a cluster put them.

Belongs here: which files there are, their sizes and bytes. Does not belong here: what they are for (``layouts/``).
"""

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from resources.storage import Storage
from resources.storage.objects import join


@dataclass(frozen=True)
class Elsewhere:
    """Files in another place.

    Attributes:
        storage: reaches it.
        root: where it is.
        sizes: path below it -> bytes.
    """

    storage: Storage
    root: str
    sizes: Mapping[str, int]

    def read(self, path: str) -> bytes:
        """The bytes of a file.

        Raises:
            StorageError: it cannot be read.
        """
        return self.storage.read_bytes(join(self.root, path))


@dataclass(frozen=True)
class TreeFile:
    """A file of a version.

    Attributes:
        read: returns its bytes.
        size: returns how many they are.
    """

    read: Callable[[], bytes]
    size: Callable[[], int]


@dataclass(frozen=True)
class Tree:
    """The files of a version.

    Attributes:
        folder: of this machine.
        elsewhere: media that are not in it.
    """

    folder: Path
    elsewhere: Elsewhere | None = None

    def file(self, path: str) -> TreeFile | None:
        """A file by its path; None if it is not there, or its path leaves the folder by itself or by a symbolic link."""
        if self.elsewhere is not None and path in self.elsewhere.sizes:
            return TreeFile(partial(self.elsewhere.read, path), partial(self.elsewhere.sizes.__getitem__, path))
        inside = _inside(self.folder, path)
        return TreeFile(Path(inside).read_bytes, partial(_size, inside)) if inside is not None else None

    def read(self, path: str) -> bytes | None:
        """The bytes of a file of the folder; None if there is none."""
        try:
            with open(f"{self.folder}/{path}", "rb", buffering=0) as file:
                return file.readall()
        except (FileNotFoundError, IsADirectoryError):
            return None

    def names(self, folder: str, every: bool = False) -> list[str]:
        """Names of the files in a folder of the version, in order.

        Args:
            folder: its path.
            every: with folders and hidden files.
        """
        there = os.scandir(self.folder / folder) if (self.folder / folder).is_dir() else ()
        found = [f.name for f in there if every or (f.is_file() and not f.name.startswith("."))]
        if self.elsewhere is not None:
            found += [name for at, _, name in (p.rpartition("/") for p in self.elsewhere.sizes) if at == folder]
        return sorted(found)


def _size(file: str) -> int:
    return os.stat(file).st_size


def _inside(folder: Path, path: str) -> str | None:
    """A file below a folder; None if it is not there, or its path leaves the folder by itself or by a symbolic link."""
    parts = path.split("/")
    if ".." not in parts and "" not in parts:
        at, mode = str(folder), 0
        for part in parts:
            at = f"{at}/{part}"
            try:
                mode = os.lstat(at).st_mode
            except OSError:
                return None
            if stat.S_ISLNK(mode):
                break
        if stat.S_ISREG(mode):
            return at
    file = folder / path
    inside = folder.resolve() in file.resolve().parents
    return str(file) if inside and file.is_file() else None
