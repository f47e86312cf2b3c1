"""Access to files and objects, whatever the scheme.

Belongs here: the resource that selects the backend of a URI. Does not belong here: how a scheme is accessed (one
backend each), what the bytes mean (``resources.tables`` for Parquet, ``arot_assets.datasets`` for images).

A URI without a scheme is a local path.
"""

import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import IO, TypeVar

from resources.storage import transfer
from resources.storage.backend import Backend, fetch
from resources.storage.generic import GenericBackend
from resources.storage.http.settings import HttpSettings
from resources.storage.hub.settings import HubSettings
from resources.storage.local import LocalBackend
from resources.storage.objects import (
    LIST_BATCH,
    MEMBERS,
    ObjectColumns,
    ObjectInfo,
    StorageError,
    SyncResult,
    explain,
    is_local,
    join,
    local_path,
    outermost,
    scheme_of,
    shown,
)
from resources.storage.s3.settings import S3Settings

__all__ = [
    "LIST_BATCH",
    "ObjectColumns",
    "ObjectInfo",
    "Storage",
    "StorageError",
    "explain",
    "is_local",
    "join",
    "local_path",
]

T = TypeVar("T")
B = TypeVar("B", bound=Backend)
FILE, S3, HTTP, HUB = "file", "s3", "http", "hf"
SAME_BACKEND = {"https": HTTP}
"""One backend for both, so that the limit per host applies to both."""
VERSIONS = 5
"""How often an object may change between its lookup and its download before giving up."""


@dataclass(frozen=True)
class Storage:
    """Files and objects on every scheme that fsspec supports, with the same semantics on each.

    Attributes:
        s3: how S3 is accessed; what it leaves open comes from the environment.
        http: how web servers are accessed, and what is refused.
        hub: the address of the Hugging Face Hub.
    """

    s3: S3Settings = field(default_factory=S3Settings)
    http: HttpSettings = field(default_factory=HttpSettings)
    hub: HubSettings = field(default_factory=HubSettings)
    _backends: dict[str, Backend] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __reduce__(self) -> tuple[type["Storage"], tuple[S3Settings, HttpSettings, HubSettings]]:
        """Another process opens its own connections."""
        return type(self), (self.s3, self.http, self.hub)

    def ls(
        self,
        root: str | Collection[str],
        exts: Collection[str] | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> Iterator[ObjectInfo]:
        """Every object below one or more roots, recursively, in no particular order.

        Hidden files are listed; symbolic links to files are followed, links to folders are not (they may form loops). A
        broken link is listed with size and time 0; reading it gives the reason.

        Args:
            root: a folder or an object; or several of them, of any schemes. An object below two of them is listed once.
            exts: keep only these extensions (``{".jpg"}``, compared without case); None keeps all.
            on_progress: called repeatedly with the number of objects seen since the last call.

        Raises:
            StorageError: the root, or a folder below it, cannot be listed. A listing is complete or fails.
        """
        wanted = None if exts is None else {e.lower() for e in exts}
        for one in [root] if isinstance(root, str) else outermost(root):
            for columns in self.ls_columns(one, on_progress):
                for info in columns.infos():
                    if wanted is None or os.path.splitext(info.uri)[1].lower() in wanted:
                        yield info

    def ls_columns(self, root: str, on_progress: Callable[[int], None] | None = None) -> Iterator[ObjectColumns]:
        """The same as ``ls``, a few thousand objects at a time: for sources with millions of them.

        Args:
            root: a folder, or one object.
            on_progress: called repeatedly with the number of objects seen since the last call.

        Raises:
            StorageError: the root, or a folder below it, cannot be listed. A listing is complete or fails.
        """
        columns, skipped = ObjectColumns([], [], [], []), list[tuple[str, str]]()
        for some in self.backend(root).ls_columns(root):
            columns.uri.extend(some.uri)
            columns.size.extend(some.size)
            columns.mtime.extend(some.mtime)
            columns.etag.extend(some.etag)
            skipped.extend(some.skipped)
            if len(columns.uri) >= LIST_BATCH:
                if on_progress is not None:
                    on_progress(len(columns.uri))
                yield columns._replace(skipped=skipped)
                columns, skipped = ObjectColumns([], [], [], []), []
        if columns.uri or skipped:
            if on_progress is not None:
                on_progress(len(columns.uri))
            yield columns._replace(skipped=skipped)

    def stat(self, uri: str) -> ObjectInfo:
        """Size, modification time and etag of one object.

        Raises:
            StorageError: it does not exist, or cannot be accessed.
        """
        return self.backend(uri).stat(uri)

    def exists(self, uri: str) -> bool:
        """Whether something exists at this URI."""
        return self.backend(uri).exists(uri)

    def is_folder(self, uri: str) -> bool:
        """Whether there is anything below this URI; where a server has no listings, nothing is a folder.

        Raises:
            StorageError: access is denied.
        """
        return self.backend(uri).is_folder(uri)

    def names(self, uri: str) -> list[str]:
        """The last part of every name directly below a folder; empty when there is none."""
        return self.backend(uri).names(uri)

    def read_bytes(self, uri: str, start: int = 0, end: int | None = None) -> bytes:
        """The object, or its bytes from ``start`` to ``end`` (exclusive).

        Raises:
            StorageError: it does not exist, or cannot be read.
        """
        return self.backend(uri).read(uri, start, end)

    def open(self, uri: str) -> IO[bytes]:
        """A seekable binary reader.

        Raises:
            StorageError: it does not exist, or cannot be read.
        """
        return self.backend(uri).open(uri)

    def write(self, uri: str, data: bytes, create_only: bool = False) -> None:
        """Write an object in one step: a reader sees the old bytes or the new ones, never a mixture.

        Args:
            uri: the object.
            data: its whole content.
            create_only: fail if something is there already.

        Raises:
            StorageError: no space, no permission, a read-only place, or it exists already. No partial file remains.
        """
        self.backend(uri).write(uri, data, create_only)

    def version(self, uri: str) -> str:
        """What distinguishes an object from any other put in its place; empty if there is none.

        Raises:
            StorageError: it cannot be accessed.
        """
        return self.backend(uri).version(uri)

    def replace(self, uri: str, data: bytes, version: str) -> None:
        """Replace one ``version`` of an object in one step.

        Raises:
            StorageError: see ``write``; ``changed`` if there is another version by now, which is kept.
        """
        self.backend(uri).replace(uri, data, version)

    def delete(self, uri: str) -> None:
        """Delete one object; if it does not exist, that is not an error."""
        self.backend(uri).delete(uri)

    def with_http(self, http: HttpSettings) -> "Storage":
        """The same storage with other settings for web addresses."""
        if http == self.http:
            return self
        other = replace(self, http=http)
        other._backends.update((s, b) for s, b in self._backends.items() if s not in (HTTP, MEMBERS))
        return other

    def copy(self, source: str, target: str) -> None:
        """Copy one object, between any two schemes, by the most direct route: within S3, on the server.

        Raises:
            StorageError: it cannot be read or written; the target is unchanged.
        """
        self.backend(target).receive(self.backend(source), source, target)

    def move(self, source: str, target: str) -> None:
        """Move one object, between any two schemes; within a file system it is one step.

        Raises:
            StorageError: it cannot be read, written or deleted; it remains in at least one of the two places.
        """
        giver, taker = self.backend(source), self.backend(target)
        if giver is taker and (giver.rename(source, target) or giver.same(source, target)):
            return
        taker.receive(giver, source, target)
        giver.delete(source)

    def sync(
        self,
        source: str,
        target: str,
        *,
        exts: Collection[str] | None = None,
        delete: bool = False,
        threads: int = transfer.THREADS,
        on_progress: Callable[[int], None] | None = None,
        dry_run: Callable[[str, str], None] | None = None,
    ) -> SyncResult:
        """Make a folder identical to another one, see ``transfer.sync``; the result names objects that could not be
        copied."""
        return transfer.sync(
            self,
            source,
            target,
            exts=exts,
            delete=delete,
            threads=threads,
            on_progress=on_progress,
            dry_run=dry_run,
        )

    def upload(self, path: str | Path, uri: str) -> None:
        """Upload a local file, large ones in parts.

        Raises:
            StorageError: it cannot be read or written; the target is unchanged.
        """
        self.backend(uri).upload(Path(local_path(str(path))), uri)

    def fill(self, uri: str, fill: Callable[[Path], T]) -> T:
        """Store what ``fill`` writes to a temporary file; returns what ``fill`` returns.

        A local object is written beside its target and moved into place.

        Raises:
            StorageError: see ``write``.
        """
        return self.backend(uri).fill(uri, fill)

    def download(self, uri: str, path: str | Path | None = None) -> Path:
        """Download an object; returns the local path.

        Args:
            uri: the object; a local one without ``path`` is returned as it is.
            path: the file to write; None for the cache, which checks whether the object changed and keeps it until the
                space is needed: open it soon, and do not write to it.

        Raises:
            StorageError: it cannot be read, or the file cannot be written.
        """
        if path is not None:
            target = local_path(str(path))
            self.copy(uri, target)
            return Path(target)
        giver = self.backend(uri)
        info = self.stat(uri)
        here = giver.path(uri)
        if here is not None:
            return here
        from resources.storage.cache import Cache, default_bytes, default_folder

        cache = Cache(default_folder(), default_bytes())
        for left in reversed(range(VERSIONS)):
            try:
                return cache.fetch(info, partial(self._fill_exactly, giver, info))
            except StorageError as error:
                if error.kind != "changed" or not left:
                    raise
            info = self.stat(uri)
        raise AssertionError("the last attempt returns or raises")

    def _fill_exactly(self, giver: Backend, info: ObjectInfo, path: Path) -> int:
        return self.fill(str(path), partial(fetch, giver, info.uri, known=info, exact=True))

    def presign(self, uri: str, seconds: int = 3600) -> str:
        """A URL with which anybody may read an S3 object for this long. It is a secret: do not store it.

        Raises:
            StorageError: another scheme, or no credentials.
        """
        return self.backend(uri).presign(uri, seconds)

    def remove_leftovers(self, root: str, older_than_seconds: float) -> int:
        """Remove what killed processes left partially written below a folder or prefix, if it is old enough; returns
        the number."""
        return self.backend(root).remove_leftovers(root, older_than_seconds)

    def using(self, kind: type[B]) -> B:
        """The backend of one class, for what only that scheme can do: ``storage.using(HubBackend).client``."""
        backend = self._of_scheme(kind.scheme)
        if not isinstance(backend, kind):
            raise TypeError(f"{kind.scheme} is served by {type(backend).__name__}, not by {kind.__name__}")
        return backend

    def backend(self, uri: str) -> Backend:
        """The backend of a URI.

        Raises:
            StorageError: the scheme is unknown, or the URI is not UTF-8, which only local names may be.
        """
        scheme = scheme_of(uri)
        if scheme not in (FILE, MEMBERS) and shown(uri) != uri:
            raise StorageError(f"'{uri}' is not a valid address: it is not UTF-8; rename the object", kind="invalid")
        return self._of_scheme(scheme)

    def _of_scheme(self, scheme: str) -> Backend:
        scheme = SAME_BACKEND.get(scheme, scheme)
        if scheme not in self._backends:
            self._backends.setdefault(scheme, self._make_backend(scheme))
        return self._backends[scheme]

    def _make_backend(self, scheme: str) -> Backend:
        if scheme == FILE:
            return LocalBackend()
        if scheme == MEMBERS:
            from resources.storage.members.backend import MembersBackend

            return MembersBackend(self)
        if scheme == S3:
            from resources.storage.s3.backend import S3Backend

            return S3Backend(self.s3)
        if scheme == HTTP:
            from resources.storage.http.backend import HttpBackend

            return HttpBackend(self.http)
        if scheme == HUB:
            from resources.storage.hub.backend import HubBackend

            return HubBackend(self.hub)
        return GenericBackend(scheme)
