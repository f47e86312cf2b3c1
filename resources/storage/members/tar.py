"""Files in a tar: their offsets and their bytes.

Belongs here: reading one open tar file. Does not belong here: downloading it (``backend.py``), decompressing it
(``unpacked.py``).

Nothing is ever unpacked into a folder, so no name or link of a member can lead anywhere: both are looked up in the
index only.
"""

import os
import posixpath
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO

from resources.storage.members.reader import ArchiveMember, MemberError, numbered, repeated
from resources.storage.objects import shown

CHUNK = 1024 * 1024
MOST_LINKS = 40
"""The longest chain of links that is followed; as in Linux."""
FOLDER = "folder"


@dataclass(frozen=True)
class TarEntry:
    """One file in a tar.

    Attributes:
        offset: where its bytes begin.
        size: their number.
        link: the target of a link, as a path in the archive; None for a file.
        problem: why it cannot be read.
    """

    offset: int = 0
    size: int = 0
    link: str | None = None
    problem: str | None = None


class TarMembers:
    """An open tar, see ``Reader``.

    Several concatenated tars are read as one, as with ``tar --ignore-zeros``. A link stands for the file that it leads
    to, if that is in the archive. Folders and links to folders are not members.

    Attributes:
        files: name -> member, in the order of the archive.

    Args:
        file: a local file; read by several threads at once, by offset.

    Raises:
        OSError: it cannot be read at all.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        found: list[tuple[str, TarEntry]] = []
        self.problem = _index(self._file, found)
        names = [name for name, _ in found if name]
        found = _resolved(found)
        self.notes = repeated([name for name, _ in found])
        linked = len(names) - len(found)
        if linked:
            self.notes += (f"{linked:,} links to folders in the archive are not followed",)
        unique = numbered([name for name, _ in found])
        self.files = {name: member for name, (_, member) in zip(unique, found, strict=True)}

    def entries(self) -> Iterator[ArchiveMember]:
        """See ``Reader``."""
        for name, member in self.files.items():
            yield ArchiveMember(name, member.size, member.problem)

    def size(self, name: str) -> int:
        """See ``Reader``."""
        return self._member(name).size

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """See ``Reader``."""
        member = self._member(name)
        stop = member.size if end is None else min(end, member.size)
        return os.pread(self._file.fileno(), max(0, stop - start), member.offset + start)

    def _member(self, name: str) -> TarEntry:
        member = self.files[name]
        if member.problem is not None:
            raise MemberError(member.problem, "not_found" if member.link else "format")
        return member


def _index(file: IO[bytes], found: list[tuple[str, TarEntry]]) -> str | None:
    """Add all members of a file that contains one or more tars; returns why it ends prematurely. A folder has an empty
    name and its path as its link."""
    end = os.fstat(file.fileno()).st_size
    start = 0
    while True:
        file.seek(start)
        try:
            with tarfile.open(fileobj=file, mode="r:") as archive:
                while (one := archive.next()) is not None:
                    name = shown(one.name)
                    if one.isfile() and one.offset_data + one.size > end:
                        return f"it is truncated in '{name}'"
                    found.append(("", TarEntry(link=name)) if one.isdir() else (name, _member(one)))
                    archive.members.clear()  # type: ignore[attr-defined]  # else it keeps them all
                stopped = archive.offset
        except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
            return str(error) or type(error).__name__
        following = _after_zeros(file, stopped)
        if following is None:
            return None
        if following == stopped:
            return (
                f"what is at byte {stopped:,} is not a tar header: the tar is damaged, or something was appended to it"
            )
        start = following


def _member(one: tarfile.TarInfo) -> TarEntry:
    if one.islnk():
        return TarEntry(link=posixpath.normpath(shown(one.linkname)))
    if one.issym():
        return TarEntry(
            link=posixpath.normpath(posixpath.join(posixpath.dirname(shown(one.name)), shown(one.linkname)))
        )
    if one.issparse():
        return TarEntry(problem="a sparse file, which is not supported; pack it without `--sparse`")
    if not one.isfile():
        return TarEntry(problem="a device or pipe, not a file")
    return TarEntry(one.offset_data, one.size)


def _after_zeros(file: IO[bytes], start: int) -> int | None:
    """Offset of the first block that is not all zeros; None if there is none."""
    file.seek(start)
    while chunk := file.read(CHUNK):
        if chunk.count(0) < len(chunk):
            first = len(chunk) - len(chunk.lstrip(b"\0"))
            return start + first // tarfile.BLOCKSIZE * tarfile.BLOCKSIZE
        start += len(chunk)
    return None


def _resolved(found: list[tuple[str, TarEntry]]) -> list[tuple[str, TarEntry]]:
    """The members, with each link replaced by the file that it leads to; without folders and links to folders."""
    files = {posixpath.normpath(name): member for name, member in found if name}
    folders = {posixpath.normpath(member.link or "") for name, member in found if not name} | {"."}
    for name in files:
        while (name := posixpath.dirname(name)) and name not in folders:
            folders.add(name)
    result = []
    for name, member in found:
        if not name:
            continue
        if member.link is not None:
            target = _target(member.link, files, folders)
            if target == FOLDER:
                continue
            member = target if isinstance(target, TarEntry) else TarEntry(link=member.link, problem=target)
        result.append((name, member))
    return result


def _target(link: str, files: Mapping[str, TarEntry], folders: set[str]) -> TarEntry | str:
    """The file that a link leads to; ``FOLDER``, or the reason it leads to none."""
    name = link
    for _ in range(MOST_LINKS):
        if name in folders and name not in files:
            return FOLDER
        member = files.get(name)
        if member is None:
            where = "out of the archive" if name.startswith(("/", "..")) else "to what is not in the archive"
            return f"a link to '{link}', which leads {where}"
        if member.link is None:
            return member
        name = member.link
    return f"a link to '{link}', which leads in a circle"
