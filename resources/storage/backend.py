"""What a scheme must provide so that ``Storage`` can serve it.

Belongs here: the protocol, and a default implementation of each part for schemes that have no better one. Does not
belong here: any particular scheme (``local.py``, ``generic.py`` and the folders), comparing two folders
(``transfer.py``).
"""

import os
import shutil
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, ClassVar, NamedTuple, Protocol, TypeVar

from resources.parallel import ordered_map
from resources.scratch import WorkingFolder
from resources.storage.objects import ObjectColumns, ObjectInfo, StorageError, changed, explain, replaced

T = TypeVar("T")

SMALL_BYTES = 16 * 1024 * 1024
"""Objects up to this size are copied through memory."""
CHUNK_BYTES = 1024 * 1024


class Files(Protocol):
    """What a scheme may ask of other schemes: ``Storage``, as backends see it."""

    def backend(self, uri: str) -> "Backend":
        """The backend of a URI."""
        ...

    def ls(self, root: str | Collection[str], exts: Collection[str] | None = None) -> Iterator[ObjectInfo]:
        """Every object below a root."""
        ...

    def stat(self, uri: str) -> ObjectInfo:
        """Size, modification time and etag of one object."""
        ...

    def exists(self, uri: str) -> bool:
        """Whether something exists at this URI."""
        ...

    def read_bytes(self, uri: str, start: int = 0, end: int | None = None) -> bytes:
        """Bytes of an object."""
        ...

    def open(self, uri: str) -> IO[bytes]:
        """A seekable binary reader."""
        ...

    def download(self, uri: str) -> Path:
        """A local file with the current content of the object, cached if necessary."""
        ...


class PendingCopy(NamedTuple):
    """An object to be copied into a folder.

    Attributes:
        source: what is known about the source.
        target: the URI of the copy.
        there: what is at that URI now, None if nothing is.
    """

    source: ObjectInfo
    target: str
    there: ObjectInfo | None


class Backend(Protocol):
    """One scheme. Every method raises ``StorageError``, made by ``explain``, when the object is not accessible.

    A backend inherits from this protocol: the methods from ``write`` on have default implementations, which it
    overrides where the scheme offers something better.

    Attributes:
        scheme: of its URIs, in lower case.
        keeps_times: whether a copy keeps the modification time of its source.
        read_only: why nothing can be written, and what to do instead; empty if it is writable.
    """

    scheme: str
    keeps_times: ClassVar[bool] = False
    read_only: ClassVar[str] = ""

    def ls_columns(self, root: str) -> Iterator[ObjectColumns]:
        """Every object below a root, recursively, or the one object that the root is; a few thousand at a time.

        A prefix is a folder: ``a/data`` does not list ``a/data2/x``. A root without objects is an error.
        """
        ...

    def stat(self, uri: str) -> ObjectInfo:
        """Size, modification time and etag of one object."""
        ...

    def exists(self, uri: str) -> bool:
        """Whether an object or folder exists."""
        ...

    def names(self, uri: str) -> list[str]:
        """Names directly below a folder; empty when there is none."""
        ...

    def read(self, uri: str, start: int = 0, end: int | None = None) -> bytes:
        """Bytes ``start`` to ``end`` (exclusive; None: to the end) of an object."""
        ...

    def open(self, uri: str) -> IO[bytes]:
        """A seekable binary reader."""
        ...

    def write(self, uri: str, data: bytes, create_only: bool = False) -> None:
        """Write an object in one step: readers see the old bytes or the new ones. ``create_only`` fails if it
        exists."""
        raise self.refused(uri, "write")

    def delete(self, uri: str) -> None:
        """Delete one object; if it does not exist, that is not an error."""
        raise self.refused(uri, "delete")

    def refused(self, uri: str, action: str) -> StorageError:
        """The error of a read-only scheme."""
        return StorageError(f"cannot {action} '{uri}': {self.read_only}", kind="invalid")

    def version(self, uri: str) -> str:
        """What distinguishes an object from any other put in its place; empty if there is none."""
        try:
            return self.stat(uri).etag or ""
        except StorageError as error:
            if error.kind != "not_found":
                raise
            return ""

    def replace(self, uri: str, data: bytes, version: str) -> None:
        """Replace one version of an object; ``changed`` if there is another version.

        The default implementation checks first, so if two processes write at the same moment, the last one wins.
        """
        if self.version(uri) != version:
            raise replaced(uri)
        self.write(uri, data)

    def path(self, uri: str) -> Path | None:
        """The local file that a URI refers to; None if it is not local."""
        return None

    def is_folder(self, uri: str) -> bool:
        """Whether there is anything below this URI; where a server has no listings, nothing is a folder."""
        try:
            self.stat(uri)
        except StorageError as error:
            if error.kind == "denied":
                raise
            return bool(self.names(uri))
        return uri.endswith("/")

    def same(self, one: str, other: str) -> bool:
        """Whether two URIs of this scheme are the same object."""
        return one == other

    def content_tag(self, info: ObjectInfo) -> str | None:
        """``algorithm:digits`` of the content, if the etag contains it, see ``objects.content_is``; otherwise None."""
        return None

    def download(self, uri: str, path: Path, known: ObjectInfo | None = None, exact: bool = False) -> int:
        """Write an object to a local file; returns its size in bytes.

        Args:
            uri: the object.
            path: the file, which no one else sees yet.
            known: what is already known about the object.
            exact: take the version that ``known`` describes, and no other.

        Raises:
            StorageError: it cannot be read; ``changed`` if ``exact`` and the version is a different one.
            OSError: the file cannot be written.
        """
        if known is not None and known.size <= SMALL_BYTES:
            size = path.write_bytes(self.read(uri))
        else:
            with self.open(uri) as reader, path.open("wb") as writer:
                shutil.copyfileobj(reader, writer, CHUNK_BYTES)
                size = writer.tell()
        if exact and self.stat(uri) != known:
            raise changed(uri)
        return size

    def upload(self, path: Path, uri: str) -> int:
        """Upload a local file; returns its size in bytes. A file that changes during the upload is an error."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise explain(str(path), "read", error) from error
        self.write(uri, data)
        return len(data)

    def fill(self, uri: str, fill: Callable[[Path], T]) -> T:
        """Write an object from a local file that ``fill`` writes; returns what ``fill`` returns."""
        with WorkingFolder("object") as folder:
            path = folder / "object"
            result = fill(path)
            self.upload(path, uri)
        return result

    def copy(self, source: str, target: str, known: ObjectInfo | None = None) -> int:
        """Copy an object within the scheme; returns its size in bytes.

        Args:
            source: the object.
            target: the URI of the copy.
            known: what is already known about the source.
        """
        return self.fill(target, partial(fetch, self, source, known=known))

    def receive(self, giver: "Backend", source: str, target: str, known: ObjectInfo | None = None) -> int:
        """Copy an object from any scheme to this one, by the most direct route; returns its size in bytes.

        Args:
            giver: the backend of the source.
            source, target, known: see ``copy``.
        """
        if giver is self:
            return self.copy(source, target, known)
        here = giver.path(source)
        if here is not None:
            return self.upload(here, target)
        return self.fill(target, partial(fetch, giver, source, known=known))

    def rename(self, source: str, target: str) -> bool:
        """Rename an object of this scheme in one step; False where there is no such step."""
        return False

    def check_target(self, root: str) -> None:
        """Check that a root is writable, before much work is done for it.

        Raises:
            StorageError: nothing can ever be written there.
        """
        if self.read_only:
            raise self.refused(root, "write")

    def bring(
        self, files: Files, pending: Iterable[PendingCopy], threads: int
    ) -> Generator[tuple[PendingCopy, int | StorageError | None], None, None]:
        """Copy many objects to their targets.

        Args:
            files: accesses the sources.
            pending: the objects; read only as fast as results are taken.
            threads: number of objects in progress at a time.

        Yields:
            Each object with its size in bytes, None if it turned out to be there already, or the reason it could not be
            copied.

        Raises:
            StorageError: a failure that stops all of them.
        """

        def one(item: PendingCopy) -> tuple[PendingCopy, int | StorageError | None]:
            try:
                uri = item.source.uri
                return item, self.receive(files.backend(uri), uri, item.target, item.source)
            except StorageError as error:
                return item, error

        return ordered_map(one, pending, threads, finish=True)

    def remove(self, uris: Collection[str], threads: int) -> Iterator[tuple[str, StorageError | None]]:
        """Delete many objects; yields each with the reason it could not be deleted, or None."""

        def one(uri: str) -> tuple[str, StorageError | None]:
            try:
                self.delete(uri)
            except StorageError as error:
                return uri, error
            return uri, None

        return ordered_map(one, uris, threads, finish=True)

    def presign(self, uri: str, seconds: int) -> str:
        """A URL with which anybody may read an object for this many seconds."""
        raise StorageError(f"'{uri}' cannot be presigned: only objects of s3:// can; copy it there", kind="invalid")

    def remove_leftovers(self, root: str, older_than_seconds: float) -> int:
        """Remove what killed processes left partially written below a folder, if it is old enough; returns the
        number."""
        return 0


def fetch(giver: Backend, uri: str, path: Path, known: ObjectInfo | None = None, exact: bool = False) -> int:
    """``Backend.download``; the file gets the object's modification time if that is known beforehand."""
    size = giver.download(uri, path, known, exact)
    if known is not None and known.mtime:
        os.utime(path, (known.mtime, known.mtime))
    return size
