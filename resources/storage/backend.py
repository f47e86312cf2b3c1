"""What a scheme must offer so that ``Storage`` can serve it.

Belongs here: the protocol, and how each part of it is done where a scheme knows no better way. Does not belong here: any one
scheme (``local.py``, ``generic.py`` and the folders), what two folders have to do with each other (``transfer.py``).
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, ClassVar, NamedTuple, Protocol, TypeVar

from resources.parallel import ordered_map
from resources.storage.objects import ObjectColumns, ObjectInfo, StorageError, changed, explain, replaced

T = TypeVar("T")

SMALL_BYTES = 16 * 1024 * 1024
"""Objects up to this size go through memory."""
CHUNK_BYTES = 1024 * 1024


class Files(Protocol):
    """What a scheme may ask of the others: ``Storage``, as backends see it."""

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
        """Whether something is at this URI."""
        ...

    def read_bytes(self, uri: str, start: int = 0, end: int | None = None) -> bytes:
        """Bytes of an object."""
        ...

    def open(self, uri: str) -> IO[bytes]:
        """A seekable binary reader."""
        ...

    def download(self, uri: str) -> Path:
        """A local file with what the object is now, of the cache if need be."""
        ...


class PendingCopy(NamedTuple):
    """An object that a folder is to get.

    Attributes:
        source: what is known of it.
        target: the URI that it is to have.
        there: what is at that URI so far, None if nothing is.
    """

    source: ObjectInfo
    target: str
    there: ObjectInfo | None


class Backend(Protocol):
    """One scheme. Every method raises ``StorageError``, made by ``explain``, when the object cannot be had.

    A class of this protocol names it as its base: the methods from ``write`` on have a body, which it replaces where the scheme
    has something better.

    Attributes:
        scheme: of its URIs, in lower case.
        keeps_times: a copy that is made here has the modification time of its source.
        read_only: why nothing can be written, and what to do instead; empty where it can.
    """

    scheme: str
    keeps_times: ClassVar[bool] = False
    read_only: ClassVar[str] = ""

    def ls_columns(self, root: str) -> Iterator[ObjectColumns]:
        """Every object below a root, recursively, or the one object that the root is; some thousands at a time.

        A prefix is a folder: ``a/data`` does not list ``a/data2/x``. A root without any object is an error.
        """
        ...

    def stat(self, uri: str) -> ObjectInfo:
        """Size, modification time and etag of one object."""
        ...

    def exists(self, uri: str) -> bool:
        """Whether an object or folder is there."""
        ...

    def names(self, uri: str) -> list[str]:
        """Names directly below a folder; empty when there is none."""
        ...

    def read(self, uri: str, start: int = 0, end: int | None = None) -> bytes:
        """Bytes ``start`` to ``end`` (not included; None: to the end) of an object."""
        ...

    def open(self, uri: str) -> IO[bytes]:
        """A seekable binary reader."""
        ...

    def write(self, uri: str, data: bytes, create_only: bool = False) -> None:
        """Put an object in one step: readers see the old bytes or the new ones. ``create_only`` fails if it is there."""
        raise self.refused(uri, "write")

    def delete(self, uri: str) -> None:
        """Remove one object; it is no error if it is gone already."""
        raise self.refused(uri, "delete")

    def refused(self, uri: str, action: str) -> StorageError:
        """The error of a scheme that is read only."""
        return StorageError(f"cannot {action} '{uri}': {self.read_only}", kind="invalid")

    def version(self, uri: str) -> str:
        """What tells an object from any other that is put in its place; empty when there is none."""
        try:
            return self.stat(uri).etag or ""
        except StorageError as error:
            if error.kind != "not_found":
                raise
            return ""

    def replace(self, uri: str, data: bytes, version: str) -> None:
        """Put an object in place of one version of it; ``changed`` if another is there.

        This body looks first, so of two writers at the same moment the last one wins.
        """
        if self.version(uri) != version:
            raise replaced(uri)
        self.write(uri, data)

    def path(self, uri: str) -> Path | None:
        """The file of this machine that a URI is; None where it is none."""
        return None

    def is_folder(self, uri: str) -> bool:
        """Whether something is below this place; what a server cannot list is no folder."""
        try:
            self.stat(uri)
        except StorageError as error:
            if error.kind == "denied":
                raise
            return bool(self.names(uri))
        return uri.endswith("/")

    def same(self, one: str, other: str) -> bool:
        """Whether two URIs of this scheme are one object."""
        return one == other

    def content_tag(self, info: ObjectInfo) -> str | None:
        """``algorithm:digits`` of the bytes, where the etag tells them, see ``objects.content_is``; None where not."""
        return None

    def download(self, uri: str, path: Path, known: ObjectInfo | None = None, exact: bool = False) -> int:
        """Write an object to a file of this machine; returns its bytes.

        Args:
            uri: the object.
            path: the file, which nobody else sees yet.
            known: what is known of the object already.
            exact: take the version that ``known`` is about, and no other.

        Raises:
            StorageError: it cannot be read; ``changed`` if ``exact`` and there is another version.
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
        """Put a file of this machine; returns its bytes. A file that changes meanwhile is an error."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise explain(str(path), "read", error) from error
        self.write(uri, data)
        return len(data)

    def fill(self, uri: str, fill: Callable[[Path], T]) -> T:
        """Put an object that ``fill`` writes as a file of this machine; returns what ``fill`` returns."""
        with tempfile.TemporaryDirectory(prefix="arot-") as folder:
            path = Path(folder) / "object"
            result = fill(path)
            self.upload(path, uri)
        return result

    def copy(self, source: str, target: str, known: ObjectInfo | None = None) -> int:
        """Copy an object within the scheme; returns its bytes.

        Args:
            source: the object.
            target: where the copy is to be.
            known: what is known of the source already.
        """
        return self.fill(target, partial(fetch, self, source, known=known))

    def receive(self, giver: "Backend", source: str, target: str, known: ObjectInfo | None = None) -> int:
        """Copy an object of any scheme to this one, by the shortest way; returns its bytes.

        Args:
            giver: the backend of the source.
            source, target, known: as for ``copy``.
        """
        if giver is self:
            return self.copy(source, target, known)
        here = giver.path(source)
        if here is not None:
            return self.upload(here, target)
        return self.fill(target, partial(fetch, giver, source, known=known))

    def rename(self, source: str, target: str) -> bool:
        """Give an object of this scheme another name in one step; False where there is no such step."""
        return False

    def check_target(self, root: str) -> None:
        """See that something may be written below a root, before much work is done for it.

        Raises:
            StorageError: nothing can ever be.
        """
        if self.read_only:
            raise self.refused(root, "write")

    def bring(
        self, files: Files, pending: Iterable[PendingCopy], threads: int
    ) -> Generator[tuple[PendingCopy, int | StorageError | None], None, None]:
        """Put many objects at their places.

        Args:
            files: reaches their sources.
            pending: the objects; read only as fast as results are taken.
            threads: objects under way at a time.

        Yields:
            Each with its bytes, None if it turned out to be there as it is to be, or why it could not be had.

        Raises:
            StorageError: what must stop all of them.
        """

        def one(item: PendingCopy) -> tuple[PendingCopy, int | StorageError | None]:
            try:
                uri = item.source.uri
                return item, self.receive(files.backend(uri), uri, item.target, item.source)
            except StorageError as error:
                return item, error

        return ordered_map(one, pending, threads, finish=True)

    def remove(self, uris: Collection[str], threads: int) -> Iterator[tuple[str, StorageError | None]]:
        """Delete many objects; returns each with why it could not be deleted, or None."""

        def one(uri: str) -> tuple[str, StorageError | None]:
            try:
                self.delete(uri)
            except StorageError as error:
                return uri, error
            return uri, None

        return ordered_map(one, uris, threads, finish=True)

    def presign(self, uri: str, seconds: int) -> str:
        """An address with which anybody may read an object for so many seconds."""
        raise StorageError(f"'{uri}' cannot be presigned: only objects of s3:// can; copy it there", kind="invalid")

    def remove_leftovers(self, root: str, older_than_seconds: float) -> int:
        """Remove what killed processes left half written below a folder, if it is so old; returns how many."""
        return 0


def fetch(giver: Backend, uri: str, path: Path, known: ObjectInfo | None = None, exact: bool = False) -> int:
    """``Backend.download``; the file gets the object's time of change where that is known before the bytes."""
    size = giver.download(uri, path, known, exact)
    if known is not None and known.mtime:
        os.utime(path, (known.mtime, known.mtime))
    return size
