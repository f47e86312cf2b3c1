"""A folder of any other scheme that can be written, such as S3: each version has its own prefix, which no reader knows before its
receipt is written.

Nodes of a cluster put media beside the versions, under a name that nobody reads; when the version is known to be whole, the
server copies them to its prefix.
"""

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from arot_assets.exports.tree import Elsewhere, Tree
from arot_assets.progress import log
from resources.beside import TEMPORARY_PREFIX, temporary_name
from resources.compute import Compute, Needs
from resources.parallel import FETCH_THREADS, grouped, ordered_map
from resources.processes import Owner
from resources.scratch import WorkingFolder
from resources.storage import Storage, StorageError
from resources.storage.objects import join

COPIES = 500
"""Files of a unit that takes them to their place: a few seconds of requests."""
FETCHED = "fetched"
"""Folder of a unit for files that it needs."""
LEFT_SECONDS = 86_400
"""Age at which what lies under the name of a stage is taken for what a killed process left."""


@dataclass(frozen=True)
class RemoteStage:
    """A prefix for the media of a version that is being built, see ``Stage``.

    Attributes:
        storage: reaches it.
        root: the prefix.
    """

    storage: Storage
    root: str

    def scratch(self) -> WorkingFolder:
        """See ``Stage``."""
        return WorkingFolder("export")

    def take(self, folder: Path, paths: Sequence[str]) -> None:
        """See ``Stage``; an object is there as a whole or not at all."""

        def send(path: str) -> None:
            self.storage.upload(folder / path, join(self.root, path))

        _each(ordered_map(send, paths, FETCH_THREADS))

    def copy(self, folder: Path, pairs: Sequence[tuple[str, str]]) -> None:
        """See ``Stage``: the server copies."""

        def copy(pair: tuple[str, str]) -> None:
            self.storage.copy(join(self.root, pair[0]), join(self.root, pair[1]))

        _each(ordered_map(copy, pairs, FETCH_THREADS))

    def fetch(self, folder: Path, paths: Sequence[str]) -> Path:
        """See ``Stage``."""
        target = folder / FETCHED

        def get(path: str) -> None:
            self.storage.download(join(self.root, path), target / path)

        for parent in {(target / path).parent for path in paths}:
            parent.mkdir(parents=True, exist_ok=True)
        _each(ordered_map(get, paths, FETCH_THREADS))
        return target

    def remove(self, paths: Sequence[str]) -> None:
        """See ``Stage``."""
        _each(ordered_map(lambda path: self.storage.delete(join(self.root, path)), paths, FETCH_THREADS))

    def files(self) -> Elsewhere:
        """What is there."""
        start = len(self.root) + 1
        sizes = {one.uri[start:]: one.size for one in self.storage.ls(self.root)}
        return Elsewhere(self.storage, self.root, sizes)


@dataclass(frozen=True)
class Copier:
    """Takes files from a stage to a version's prefix: the unit of work of an engine. The server copies.

    Attributes:
        storage: reaches both.
        source: the stage.
        target: the version's prefix.
    """

    storage: Storage
    source: str
    target: str

    def __call__(self, paths: Sequence[str]) -> int:
        """Copy some files; gives their number.

        Raises:
            StorageError: one cannot be copied.
        """

        def copy(path: str) -> None:
            self.storage.copy(join(self.source, path), join(self.target, path))

        _each(ordered_map(copy, paths, FETCH_THREADS))
        return len(paths)


class RemoteDestination:
    """Versions below a prefix.

    Args:
        storage: reaches it.
        root: the export's own prefix.
        compute: takes media to their place.
    """

    def __init__(self, storage: Storage, root: str, compute: Compute) -> None:
        self.storage = storage
        self.root = root
        self._compute = compute
        self._staging: WorkingFolder | None = None
        self._stage: RemoteStage | None = None
        self._elsewhere: Elsewhere | None = None

    def only_here(self) -> str:
        """See ``Destination``."""
        return ""

    def place(self, version: str) -> str:
        """See ``Destination``."""
        return join(self.root, version)

    def staging(self) -> Path:
        """See ``Destination``."""
        self._staging = WorkingFolder("export")
        return self._staging.path

    def stage(self) -> RemoteStage:
        """See ``Destination``; what a process left is removed that was killed here, or elsewhere a day ago."""
        for name in self.storage.names(self.root):
            owner = Owner.named_in(name)
            gone = owner.is_gone if owner is not None else None
            if name.startswith(TEMPORARY_PREFIX) and gone is not False:
                self._remove(join(self.root, name), None if gone else LEFT_SECONDS)
        self._stage = RemoteStage(self.storage, join(self.root, temporary_name(Path()).name))
        return self._stage

    def built(self) -> Tree:
        """See ``Destination``."""
        assert self._staging is not None, "a version is being built"
        self._elsewhere = self._stage.files() if self._stage is not None else None
        return Tree(self._staging.path, self._elsewhere)

    def earlier(self, version: str, path: str) -> Path | None:
        """See ``Destination``."""
        return None

    def publish(self, staging: Path, version: str, message: str) -> str:
        """See ``Destination``."""
        target = self.place(version)
        files = sorted(p for p in staging.rglob("*") if p.is_file())

        def send(path: Path) -> None:
            self.storage.upload(path, join(target, path.relative_to(staging).as_posix()))

        _each(ordered_map(send, files, FETCH_THREADS))
        if self._elsewhere is not None:
            copier = Copier(self.storage, self._elsewhere.root, target)
            with closing(self._compute.map(copier, grouped(sorted(self._elsewhere.sizes), COPIES), Needs())) as copied:
                for _ in copied:
                    pass
        return ""

    def has(self, version: str) -> bool:
        """See ``Destination``."""
        return self.storage.is_folder(self.place(version))

    def remove(self, version: str) -> bool:
        """See ``Destination``."""
        if self.has(version):
            for one in self.storage.ls(self.place(version)):
                self.storage.delete(one.uri)
        return True

    def close(self) -> None:
        """See ``Destination``."""
        if self._staging is not None:
            self._staging.remove()
            self._staging = None
        if self._stage is not None:
            self._remove(self._stage.root)
            self._stage = None

    def _remove(self, stage: str, older_than_seconds: float | None = None) -> None:
        """Remove a stage, unless something of it is too young; what stays is named in the log, and is tried again later."""
        try:
            found = list(self.storage.ls(stage)) if self.storage.is_folder(stage) else []
            if older_than_seconds is not None and any(one.mtime > time.time() - older_than_seconds for one in found):
                return
            refused = self.storage.backend(stage).remove([one.uri for one in found], FETCH_THREADS)
            errors = [error for _, error in refused if error is not None]
        except StorageError as error:
            errors = [error]
        if errors:
            log.warning("'%s' is no longer needed and could not be removed: %s", stage, errors[0])


def _each(results: Generator[None, None, None]) -> None:
    """Do all of it, and stop at the first error."""
    with closing(results):
        for _ in results:
            pass
