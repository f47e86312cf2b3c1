"""A folder of this machine: a version is built beside its place, and moved there in one step."""

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from arot_assets.exports.errors import ExportError
from arot_assets.exports.links import link_or_copy
from arot_assets.exports.tree import Tree
from resources.beside import LOCK_NAME, TEMPORARY_PREFIX, temporary_folder
from resources.storage.objects import absolute, local_path


@dataclass(frozen=True)
class FolderStage:
    """A staging folder that every node sees, see ``Stage``.

    Attributes:
        folder: where the version is built.
    """

    folder: Path

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """See ``Stage``: beside the staging folder, so that what a killed process leaves is never part of a version."""
        made = temporary_folder(self.folder.parent)
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def take(self, folder: Path, paths: Sequence[str]) -> None:
        """See ``Stage``."""
        for path in paths:
            os.replace(folder / path, self.folder / path)

    def copy(self, folder: Path, pairs: Sequence[tuple[str, str]]) -> None:
        """See ``Stage``: links."""
        for source, target in pairs:
            link_or_copy(self.folder / source, folder / target)
            os.replace(folder / target, self.folder / target)

    def fetch(self, folder: Path, paths: Sequence[str]) -> Path:
        """See ``Stage``: they are there."""
        return self.folder

    def remove(self, paths: Sequence[str]) -> None:
        """See ``Stage``."""
        for path in paths:
            (self.folder / path).unlink()


class FolderDestination:
    """Versions below a local folder.

    Args:
        root: the export's own folder.
        shared: every node of a cluster has it under the same path.
    """

    def __init__(self, root: str, shared: bool = False) -> None:
        self.root = Path(absolute(local_path(root)))
        self.shared = shared
        self._lock: IO[bytes] | None = None
        self._staging: Path | None = None

    def only_here(self) -> str:
        """See ``Destination``."""
        if self.shared:
            return ""
        return f"'{self.root}' is a folder of this machine; all write without a `destination`, into the store, or to S3"

    def place(self, version: str) -> str:
        """See ``Destination``."""
        return str(self.root / version)

    def staging(self) -> Path:
        """See ``Destination``; what a killed process left is removed."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self._lock = (self.root / LOCK_NAME).open("wb")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._remove_leftovers()
            self._staging = temporary_folder(self.root)
            self._staging.chmod(0o755)
        except BlockingIOError as error:
            raise ExportError(f"another process is exporting to '{self.root}'; wait until it has finished") from error
        except OSError as error:
            raise ExportError(
                f"'{self.root}' cannot be written: {error.strerror}; choose another `destination`"
            ) from error
        return self._staging

    def stage(self) -> FolderStage | None:
        """See ``Destination``."""
        return FolderStage(self._staging) if self.shared and self._staging is not None else None

    def built(self) -> Tree:
        """See ``Destination``."""
        assert self._staging is not None, "a version is being built"
        return Tree(self._staging)

    def earlier(self, version: str, path: str) -> Path | None:
        """See ``Destination``."""
        file = self.root / version / path
        return file if file.is_file() else None

    def publish(self, staging: Path, version: str, message: str) -> str:
        """See ``Destination``: a rename. A folder without its receipt in the store is of a killed process."""
        target = self.root / version
        if target.exists():
            stale = temporary_folder(self.root)
            os.rename(target, stale / "stale")
            shutil.rmtree(stale)
        os.rename(staging, target)
        return ""

    def has(self, version: str) -> bool:
        """See ``Destination``."""
        return (self.root / version).is_dir()

    def remove(self, version: str) -> bool:
        """See ``Destination``."""
        if self.has(version):
            shutil.rmtree(self.root / version)
        return True

    def close(self) -> None:
        """See ``Destination``."""
        if self._lock is not None:
            if self._staging is not None:  # else the lock is another's
                self._remove_leftovers()
            self._lock.close()
            self._lock = None

    def remove_stale(self) -> None:
        """Remove what a killed export has left, unless one is going on: that one removes its own."""
        try:
            with (self.root / LOCK_NAME).open("rb+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._remove_leftovers()
        except (BlockingIOError, FileNotFoundError):
            return

    def _remove_leftovers(self) -> None:
        """Remove staging folders, and what killed nodes left beside them."""
        for left in self.root.glob(f"{TEMPORARY_PREFIX}*"):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
