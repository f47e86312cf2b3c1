"""Remote objects, cached on this machine.

Belongs here: the cache folder: its contents, how it stays within its size, how processes share it.

An entry is named after its URI and etag, so a changed object is a different entry, and two objects of the same name
never collide. Whether an object changed is checked each time; that costs one request and no data. When the folder is
full, the least recently used entries are removed.
"""

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from resources.beside import TEMPORARY_PREFIX, put, remove_left
from resources.storage.objects import ObjectInfo, StorageError, explain

FOLDER_VARIABLE = "AROT_CACHE"
SIZE_VARIABLE = "AROT_CACHE_GB"
DEFAULT_GIGABYTES = 10.0
KEPT_SECONDS = 60.0
"""An entry handed out this recently is not removed: somebody may be about to open it."""
LOCK = ".lock"
LONGEST_SUFFIX = 16
LOOK_SHARE = 0.02
"""The fraction of its size by which the cache may grow beyond it, for each process that fills it."""

_added: dict[Path, int] = {}
"""By folder: bytes that this process added since it last scanned the whole folder."""


def default_folder() -> Path:
    """``$AROT_CACHE``, or ``arot/objects`` in the user's cache folder."""
    said = os.environ.get(FOLDER_VARIABLE)
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(said).expanduser() if said else Path(base).expanduser() / "arot" / "objects"


def default_bytes() -> int:
    """``$AROT_CACHE_GB`` in bytes.

    Raises:
        StorageError: it is not a number above 0.
    """
    said = os.environ.get(SIZE_VARIABLE) or str(DEFAULT_GIGABYTES)
    try:
        gigabytes = float(said)
    except ValueError:
        gigabytes = 0.0
    if not 0 < gigabytes < float("inf"):
        raise StorageError(f"{SIZE_VARIABLE}={said!r}: must be a number of gigabytes above 0")
    return int(gigabytes * 1e9)


class _Entry(NamedTuple):
    used: float
    size: int
    path: Path


class Cache:
    """One folder of objects, shared by all of a user's processes.

    Args:
        folder: created when needed.
        most_bytes: the maximum size of all entries together.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.folder = folder
        self.most_bytes = most_bytes

    def path_of(self, info: ObjectInfo) -> Path:
        """Where an object is or would be cached. The name contains no part of the URI except its extension.

        An object with neither an etag nor a modification time may differ each time, and gets a new entry each time.
        """
        version = info.etag or f"{info.size}/{info.mtime or time.time_ns()!r}"
        name = hashlib.sha256(f"{info.uri}\0{version}".encode("utf-8", "surrogateescape")).hexdigest()
        suffix = PurePosixPath(info.uri.split("?", 1)[0]).suffix.lower()
        plain = suffix if len(suffix) <= LONGEST_SUFFIX and suffix[1:].isalnum() else ""
        return self.folder / name[:2] / f"{name}{plain}"

    def fetch(self, info: ObjectInfo, fill: Callable[[Path], int]) -> Path:
        """The local file of an object; if several processes want it, one of them fetches it.

        Args:
            info: the object's current state.
            fill: writes a file in one step, like ``Storage.fill``.

        Raises:
            StorageError: it cannot be fetched, or the folder cannot be written.
        """
        path = self.path_of(info)
        if _touch(path, info.size):
            return path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(path.with_name(f"{LOCK}-{path.name}")):
                if not _touch(path, info.size):
                    fill(path)
                    _touch(path, info.size)
            self._make_room(path, path.stat().st_size)
        except OSError as error:
            raise explain(str(self.folder), "write", error) from error
        return path

    def put(self, info: ObjectInfo, data: bytes) -> None:
        """Cache bytes that are already in memory.

        Raises:
            StorageError: the folder cannot be written.
        """
        path = self.path_of(info)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            put(path, data)
            self._make_room(path, len(data))
        except OSError as error:
            raise explain(str(self.folder), "write", error) from error

    def get(self, info: ObjectInfo) -> bytes | None:
        """The bytes of an entry, None if they cannot be read here; the original still has them."""
        path = self.path_of(info)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        _touch(path, info.size)
        return data

    def clear(self) -> int:
        """Remove every entry; returns the number of bytes freed."""
        entries = list(self._entries())
        for entry in entries:
            entry.path.unlink(missing_ok=True)
        return sum(e.size for e in entries)

    def remove_content(self, sizes: Collection[int], is_meant: Callable[[Path], bool]) -> int:
        """Remove the entries of certain content, whatever they are called; returns their number.

        Args:
            sizes: in bytes; only entries of one of them are looked into.
            is_meant: whether the content of an entry is meant.
        """
        found = [entry.path for entry in self._entries() if entry.size in sizes and is_meant(entry.path)]
        for path in found:
            path.unlink(missing_ok=True)
        return len(found)

    def remove_kind(self, suffix: str, is_meant: Callable[[Path], bool]) -> int:
        """Remove the entries with a suffix that are meant; returns their number.

        Args:
            suffix: of their names, with the dot.
            is_meant: whether the content of an entry is meant.
        """
        found = [e.path for e in self._entries() if e.path.suffix == suffix and is_meant(e.path)]
        for path in found:
            path.unlink(missing_ok=True)
        return len(found)

    def size(self) -> int:
        """Bytes of all entries."""
        return sum(e.size for e in self._entries())

    def _entries(self) -> Iterator[_Entry]:
        for path in self.folder.glob("??/*"):
            with suppress(FileNotFoundError):  # another process was faster
                found = path.stat()
                if not path.name.startswith((LOCK, TEMPORARY_PREFIX)):
                    yield _Entry(found.st_atime, found.st_size, path)

    def _make_room(self, keep: Path, added: int) -> None:
        """Shrink the cache if this process has added enough since its last scan: a scan takes time for every entry."""
        since = _added.get(self.folder)
        _added[self.folder] = (since or 0) + added
        if since is None or since + added >= self.most_bytes * LOOK_SHARE:
            _added[self.folder] = 0
            self._shrink(keep)

    def _shrink(self, keep: Path) -> None:
        with _locked(self.folder / LOCK):
            remove_left(self.folder.glob(f"??/{TEMPORARY_PREFIX}*"))
            entries = sorted(self._entries())
            total = sum(e.size for e in entries)
            young = time.time() - KEPT_SECONDS
            for entry in entries:
                if total <= self.most_bytes:
                    break
                if entry.path != keep and entry.used < young:
                    entry.path.unlink(missing_ok=True)
                    entry.path.with_name(f"{LOCK}-{entry.path.name}").unlink(missing_ok=True)
                    total -= entry.size


def _touch(path: Path, size: int) -> bool:
    """Whether a complete entry is there; records that it is in use."""
    try:
        found = path.stat()
        if size and found.st_size != size:
            return False
        os.utime(path, (time.time(), found.st_mtime))
    except FileNotFoundError:
        return False
    return True


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that is released when the process ends."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
