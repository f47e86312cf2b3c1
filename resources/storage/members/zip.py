"""Files in a zip: its directory, and the bytes of one member at a time.

Belongs here: reading one zip by byte ranges, on any scheme. Does not belong here: where it is (``backend.py``).

Only the directory at the end and the requested members are fetched. Sizes claimed by headers are never trusted: no more
is decompressed than the header says, nor more than ``MEMBER_BYTES``.
"""

import bz2
import posixpath
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import IO

from resources.storage.members.reader import MEMBER_BYTES, ArchiveMember, MemberError, numbered, repeated
from resources.storage.objects import shown

ZSTANDARD = 93
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, ZSTANDARD)
ENCRYPTED = 1
HEADER = struct.Struct("<4s5H3L2H")
MAGIC = b"PK\3\4"
SPARE = 512
"""Extra bytes requested with each member: its data follows a header and a name whose lengths only the header gives."""
LONGEST_LINK = 4096
MOST_LINKS = 40
HOUSEKEEPING = "__MACOSX/"
"""Files that macOS adds for each file; they are not the user's."""


@dataclass(frozen=True)
class ZipEntry:
    """One file in a zip.

    Attributes:
        offset: of its header.
        packed, size: bytes, compressed and uncompressed.
        method: the compression method.
        crc: checksum of the uncompressed bytes.
        problem: why it cannot be read.
    """

    offset: int
    packed: int
    size: int
    method: int
    crc: int
    problem: str | None = None


class ZipMembers:
    """An open zip, see ``Reader``. A link stands for the file that it leads to, if that is in the archive.

    Args:
        file: seekable, for the directory; closed once that is read.
        read: returns the bytes of the zip from a start to an end (exclusive); thread-safe.

    Raises:
        zipfile.BadZipFile, ValueError, OSError: it is not a zip, or its directory is damaged.
    """

    problem: str | None = None

    def __init__(self, file: IO[bytes], read: Callable[[int, int], bytes]) -> None:
        self._read = read
        with file, zipfile.ZipFile(file) as archive:
            infos = [i for i in archive.infolist() if not i.is_dir() and not i.filename.startswith(HOUSEKEEPING)]
            folders = {posixpath.normpath(_name(i)) for i in archive.infolist() if i.is_dir()}
        names = [_name(i) for i in infos]
        self.notes = repeated(names)
        self.files = {name: _member(info) for name, info in zip(numbered(names), infos, strict=True)}
        links = [n for n, i in zip(self.files, infos, strict=True) if stat.S_ISLNK(i.external_attr >> 16)]
        if links:
            self._follow(links, folders)

    def entries(self) -> Iterator[ArchiveMember]:
        """See ``Reader``."""
        for name, member in self.files.items():
            yield ArchiveMember(name, member.size, member.problem)

    def size(self, name: str) -> int:
        """See ``Reader``."""
        return self.files[name].size

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """See ``Reader``."""
        return self._bytes(self.files[name])[start:end]

    def _bytes(self, member: ZipEntry) -> bytes:
        if member.problem is not None:
            raise MemberError(member.problem)
        data = self._read(member.offset, member.offset + HEADER.size + SPARE + member.packed)
        if len(data) < HEADER.size or not data.startswith(MAGIC):
            raise MemberError("its header in the zip is damaged")
        *_, name, extra = HEADER.unpack_from(data)
        begin = HEADER.size + name + extra
        packed = data[begin : begin + member.packed]
        if len(packed) < member.packed:  # an unusually long header
            packed = self._read(member.offset + begin, member.offset + begin + member.packed)
        try:
            found = _unpack(packed, member)
        except (zlib.error, OSError, ValueError, EOFError) as error:
            raise MemberError(f"decompression failed: {error}") from error
        if len(found) != member.size or zlib.crc32(found) != member.crc:
            raise MemberError("its bytes do not match the checksum in the zip's directory: it is damaged")
        return found

    def _follow(self, links: list[str], folders: set[str]) -> None:
        """Replace each link by the file that it leads to."""
        leads: dict[str, str] = {}
        for name in links:
            member = self.files[name]
            try:
                text = self._bytes(member).decode("utf-8", "surrogateescape") if member.size <= LONGEST_LINK else ""
                leads[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), shown(text)))
            except MemberError as error:
                self.files[name] = replace(member, problem=str(error))
        for name, target in leads.items():
            there = target
            for _ in range(MOST_LINKS):
                if there not in leads:
                    break
                there = leads[there]
            found = self.files.get(there) if there not in leads else None
            if found is not None:
                self.files[name] = found
            elif there in folders or any(n.startswith(f"{there}/") for n in self.files):
                del self.files[name]
                self.notes += (f"'{name}' is a link to a folder in the archive, which is not followed",)
            else:
                self.files[name] = replace(
                    self.files[name], problem=f"a link to '{target}', which is not in the archive"
                )


def _name(info: zipfile.ZipInfo) -> str:
    """The name with forward slashes: some Windows tools write backslashes, against the specification."""
    return shown(info.filename if "/" in info.filename else info.filename.replace("\\", "/"))


def _member(info: zipfile.ZipInfo) -> ZipEntry:
    problem = None
    if info.flag_bits & ENCRYPTED:
        problem = "it is encrypted; unpack the zip with its password"
    elif info.compress_type not in METHODS:
        name = zipfile.compressor_names.get(info.compress_type, str(info.compress_type))  # type: ignore[attr-defined]
        problem = f"its compression '{name}' is not supported; create the zip again with deflate"
    elif info.file_size > MEMBER_BYTES:
        problem = f"it expands to {info.file_size:,} bytes, more than {MEMBER_BYTES:,}"
    return ZipEntry(info.header_offset, info.compress_size, info.file_size, info.compress_type, info.CRC, problem)


def _unpack(packed: bytes, member: ZipEntry) -> bytes:
    """At most one byte more than the directory claims, which is enough to detect a wrong claim."""
    most = member.size + 1
    if member.method == zipfile.ZIP_STORED:
        return packed
    if member.method == zipfile.ZIP_DEFLATED:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, most)
    if member.method == zipfile.ZIP_BZIP2:
        return bz2.BZ2Decompressor().decompress(packed, most)
    import pyarrow as pa

    found: bytes = pa.decompress(packed, decompressed_size=member.size, codec="zstd", asbytes=True)
    return found
