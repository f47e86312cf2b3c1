"""A folder of any other scheme that can be written, such as S3: each version has its own prefix, which no reader knows before its
receipt is written."""

import tempfile
from contextlib import closing
from pathlib import Path

from resources.parallel import FETCH_THREADS, ordered_map
from resources.storage import Storage
from resources.storage.objects import join


class RemoteDestination:
    """Versions below a prefix.

    Args:
        storage: reaches it.
        root: the export's own prefix.
    """

    def __init__(self, storage: Storage, root: str) -> None:
        self.storage = storage
        self.root = root
        self._staging: tempfile.TemporaryDirectory[str] | None = None

    def only_here(self) -> str:
        """See ``Destination``."""
        return f"'{self.root}' gets the files of a version that was built on this machine"

    def place(self, version: str) -> str:
        """See ``Destination``."""
        return join(self.root, version)

    def staging(self) -> Path:
        """See ``Destination``."""
        self._staging = tempfile.TemporaryDirectory(prefix="arot-export-")
        return Path(self._staging.name)

    def stage(self) -> None:
        """See ``Destination``."""

    def earlier(self, version: str, path: str) -> Path | None:
        """See ``Destination``."""
        return None

    def publish(self, staging: Path, version: str, message: str) -> str:
        """See ``Destination``."""
        files = sorted(p for p in staging.rglob("*") if p.is_file())

        def send(path: Path) -> None:
            self.storage.upload(path, join(self.place(version), path.relative_to(staging).as_posix()))

        with closing(ordered_map(send, files, FETCH_THREADS)) as sent:
            for _ in sent:
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
            self._staging.cleanup()
            self._staging = None
