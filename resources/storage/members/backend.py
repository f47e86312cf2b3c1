"""Members of archives as objects: files in a tar or zip, images in the rows of a Parquet file; read only.

Belongs here: the backend of ``<archive>!/<member>``, on whatever scheme the archive is. Does not belong here: the kinds
of archives (``tar.py``, ``zip.py``, ``parquet.py``), addresses (``member_address.py``).

A tar is downloaded whole into the object cache, and decompressed there if necessary; of a zip or a Parquet file, only
the requested parts are fetched. An open archive is checked for changes now and then. The etag and time of a member are
those of its archive.
"""

import io
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import IO

from resources.storage.backend import Backend, Files
from resources.storage.member_address import MARK, MemberAddress, cell_uri, member_uri, parse_cell, parse_member
from resources.storage.members.reader import MemberError, Reader
from resources.storage.objects import MEMBERS, ObjectColumns, ObjectInfo, StorageError, absolute

OPEN_ARCHIVES = 8
SURE_SECONDS = 30.0
"""For this long, an open archive is used without checking its etag again."""
PAGE = 5000


@dataclass
class OpenArchive:
    """An open archive.

    Attributes:
        info: its state when it was opened.
        content: its reader.
        asked: when it was last confirmed to be unchanged, in monotonic seconds.
    """

    info: ObjectInfo
    content: Reader
    asked: float = field(default_factory=time.monotonic)


class MembersBackend(Backend):
    """See ``Backend``.

    Args:
        files: accesses the archives.
    """

    scheme = MEMBERS
    read_only = "members of archives are read-only; copy the member out first"

    def __init__(self, files: Files) -> None:
        self._files = files
        self._opened: OrderedDict[str, OpenArchive] = OrderedDict()
        self._opening: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def ls_columns(self, root: str) -> Iterator[ObjectColumns]:
        """See ``Backend``."""
        address = _address(root)
        opened = self.opened(address.archive)
        if opened.content.problem is not None:
            raise broken(address.archive, opened.content.problem)
        name = address.name.rstrip("/")
        infos = []
        for info in members_of(opened):
            inner = info.uri[len(address.archive) + 2 :]
            if not name or inner == name or inner.startswith(f"{name}/"):
                infos.append(info)
            if len(infos) == PAGE:
                yield ObjectColumns.of(infos)
                infos = []
        if name and not infos:
            raise _missing(root)
        yield ObjectColumns.of(infos)

    def stat(self, uri: str) -> ObjectInfo:
        """See ``Backend``; finding the size of a Parquet cell means reading it."""
        address = _address(uri)
        opened = self.opened(address.archive)
        with _translated(uri, address.archive):
            return opened.info._replace(uri=uri, size=opened.content.size(address.name))

    def exists(self, uri: str) -> bool:
        """See ``Backend``."""
        address = _address(uri)
        if not self._files.exists(address.archive):
            return False
        try:
            next(self.ls_columns(uri), None)
        except StorageError as error:
            if error.kind != "not_found":
                raise
            return False
        return True

    def names(self, uri: str) -> list[str]:
        """See ``Backend``."""
        address = _address(uri)
        prefix = member_uri(address.archive, f"{address.name.rstrip('/')}/" if address.name else "")
        inner = (
            i.uri.removeprefix(prefix) for i in members_of(self.opened(address.archive)) if i.uri.startswith(prefix)
        )
        return list(dict.fromkeys(name.partition("/")[0] for name in inner))

    def read(self, uri: str, start: int = 0, end: int | None = None) -> bytes:
        """See ``Backend``."""
        address = _address(uri)
        opened = self.opened(address.archive)
        if opened.content.problem is not None and not address.name:
            raise broken(address.archive, opened.content.problem)
        with _translated(uri, address.archive):
            return opened.content.read(address.name, start, end)

    def open(self, uri: str) -> IO[bytes]:
        """See ``Backend``."""
        return io.BytesIO(self.read(uri))

    def opened(self, archive: str) -> OpenArchive:
        """Open an archive.

        Raises:
            StorageError: it is missing, inaccessible, or not an archive (kind ``format``).
        """
        with self._lock:
            lock = self._opening.setdefault(archive, threading.Lock())
        with lock:
            known = self._opened.get(archive)
            if known is not None and self._still(known):
                return known
            made = self._open(archive)
            with self._lock:
                self._opened[archive] = made
                self._opened.move_to_end(archive)
                while len(self._opened) > OPEN_ARCHIVES:
                    gone, _ = self._opened.popitem(last=False)
                    self._opening.pop(gone, None)
            return made

    def _still(self, known: OpenArchive) -> bool:
        if (
            self._files.backend(known.info.uri).path(known.info.uri) is None
            and time.monotonic() - known.asked < SURE_SECONDS
        ):
            return True
        known.asked = time.monotonic()
        return self._files.stat(known.info.uri)[1:] == known.info[1:]

    def _open(self, archive: str) -> OpenArchive:
        import zipfile

        import pyarrow as pa

        info = self._files.stat(archive)
        try:
            return OpenArchive(info, self._reader(info))
        except (pa.ArrowException, zipfile.BadZipFile, ValueError, MemberError) as error:
            raise broken(archive, str(error)) from error
        except OSError as error:
            raise broken(archive, error.strerror or str(error)) from error

    def _reader(self, info: ObjectInfo) -> Reader:
        from resources.storage.members.tar import TarMembers

        lower = info.uri.lower()
        if lower.endswith(".parquet"):
            from resources.storage.members.parquet import ParquetMembers

            return _over(self._files.open(info.uri), ParquetMembers)
        if lower.endswith(".zip"):
            from resources.storage.members.zip import ZipMembers

            read = partial(self._files.read_bytes, info.uri)
            return _over(self._files.open(info.uri), lambda file: ZipMembers(file, read))
        if lower.endswith(".tar"):
            return _over(self._files.download(info.uri).open("rb"), TarMembers)
        from resources.storage.cache import Cache, default_bytes, default_folder
        from resources.storage.members.unpacked import unpacked

        cache = Cache(default_folder(), default_bytes())
        return _over(unpacked(info, partial(self._files.open, info.uri), cache).open("rb"), TarMembers)


def _over(file: IO[bytes], reader: Callable[[IO[bytes]], Reader]) -> Reader:
    """A reader over a file, which is closed if it cannot be read, and else with the last use of the reader: an archive
    may leave the open ones while other threads still read from it."""
    try:
        made = reader(file)
    except BaseException:
        file.close()
        raise
    weakref.finalize(made, file.close)
    return made


def members_of(opened: OpenArchive) -> Iterator[ObjectInfo]:
    """The readable members of an open archive; the size of a Parquet cell is not known before it is read: 0."""
    archive = opened.info
    for entry in opened.content.entries():
        if entry.problem is None:
            yield archive._replace(uri=member_uri(archive.uri, entry.name), size=entry.size)


@contextmanager
def _translated(uri: str, archive: str) -> Iterator[None]:
    """Translate failures of a member into the errors that ``Backend`` raises."""
    import pyarrow as pa

    try:
        yield
    except KeyError:
        raise _missing(uri) from None
    except MemberError as error:
        raise StorageError(f"cannot read '{uri}': {error}", kind=error.kind) from error
    except (pa.ArrowException, OSError) as error:
        raise broken(archive, str(error)) from error


def broken(archive: str, problem: str) -> StorageError:
    """The error for an archive that is not what its name says."""
    first = problem.strip().splitlines()[0] if problem.strip() else "it cannot be read"
    return StorageError(
        f"cannot open '{archive}': {first}; check that it is complete, and that its extension is right", kind="format"
    )


def _address(uri: str) -> MemberAddress:
    address = parse_member(absolute(uri))
    assert address is not None, uri
    cell = parse_cell(address.name) if address.kind == "parquet" else None
    return address if cell is None else address._replace(name=cell_uri("", *cell).removeprefix(MARK))


def _missing(uri: str) -> StorageError:
    return StorageError(f"there is no '{uri}'; `arot ls` lists what the archive holds", kind="not_found")
