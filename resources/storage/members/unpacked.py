"""Compressed tars, decompressed once into the object cache, so that any member can be read without those before it.

Belongs here: decompressing one stream into a file, within limits. Does not belong here: the contents of the tar
(``tar.py``).

A stream can expand to any size: decompression stops at ``MOST_TIMES`` the size of the archive, at the size of the
cache, and before the disk is full.
"""

import bz2
import gzip
import lzma
import shutil
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, cast

from resources.beside import temporary_name
from resources.storage.cache import Cache
from resources.storage.members.reader import MemberError
from resources.storage.objects import ObjectInfo, StorageError

MOST_TIMES = 200
"""A tar of images shrinks by a few per cent, one of blank bitmaps to a hundredth; gzip can compress zeros a
thousandfold."""
ALWAYS = 64 * 1024 * 1024
"""Bytes that a small archive may expand to, whatever the ratio."""
FREE = 512 * 1024 * 1024
"""Bytes of disk space that are kept free."""
CHUNK = 1024 * 1024
XZ_MEMORY = 256 * 1024 * 1024
"""Bytes of memory that decompressing xz may take: four times what ``xz -9`` asks for; a header can ask for gigabytes."""


def unpacked(info: ObjectInfo, open_: Callable[[], IO[bytes]], cache: Cache) -> Path:
    """The tar in a compressed archive, as a local file.

    Args:
        info: the archive's current state.
        open_: opens the archive.
        cache: where the file is kept; open it soon.

    Raises:
        MemberError: it is damaged, or expands to too much.
        StorageError: it cannot be read, or the cache cannot be written.
    """
    version = info.etag or f"{info.size}/{info.mtime!r}"
    entry = ObjectInfo(f"{info.uri}!/unpacked.tar", 0, 0.0, version)

    def fill(path: Path) -> int:
        temporary = temporary_name(path.parent)
        try:
            with open_() as source, temporary.open("wb") as target:
                size = _copy(_decompressed(info.uri, source), target, info.size, cache)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return size

    return cache.fetch(entry, fill)


def _decompressed(uri: str, source: IO[bytes]) -> Iterator[bytes]:
    """The decompressed bytes. Arrow refuses a Zstandard frame that needs more memory than ``zstd -d`` allows."""
    lower = uri.lower()
    if lower.endswith("xz"):
        return _from_xz(source)
    if lower.endswith("gz"):
        stream = cast("IO[bytes]", gzip.GzipFile(fileobj=source))
    elif lower.endswith("bz2"):
        stream = cast("IO[bytes]", bz2.BZ2File(source))
    else:
        import pyarrow as pa

        stream = pa.CompressedInputStream(source, "zstd")
    return iter(partial(stream.read, CHUNK), b"")


def _from_xz(source: IO[bytes]) -> Iterator[bytes]:
    """The same for one or more xz streams: ``lzma.LZMAFile`` sets no limit to the memory.

    Raises:
        EOFError: the bytes end before their stream does.
        lzma.LZMAError: they are damaged, or need more than ``XZ_MEMORY``.
    """
    data = source.read(CHUNK)
    while data:
        stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)
        while not stream.eof:
            if stream.needs_input and not data:
                data = source.read(CHUNK)
                if not data:
                    raise EOFError("it is truncated")
            found = stream.decompress(data, CHUNK)
            data = b""
            if found:
                yield found
        data = stream.unused_data.lstrip(b"\0")
        while not data and (more := source.read(CHUNK)):  # streams may be padded with zeros
            data = more.lstrip(b"\0")


def _copy(chunks: Iterator[bytes], target: IO[bytes], packed: int, cache: Cache) -> int:
    most = max(ALWAYS, packed * MOST_TIMES)
    written = 0
    while True:
        try:
            chunk = next(chunks, b"")
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            raise MemberError(f"decompression failed after {written:,} bytes: {error}") from error
        if not chunk:
            return written
        written += len(chunk)
        if written > most:
            raise MemberError(f"it expands to more than {MOST_TIMES} times its size, like a decompression bomb")
        if written > cache.most_bytes:
            raise StorageError(
                f"it expands to more than the cache size of {cache.most_bytes:,} bytes; raise AROT_CACHE_GB"
            )
        if shutil.disk_usage(cache.folder).free < FREE:
            raise StorageError(
                f"there is no space to decompress it in '{cache.folder}'; free some space, or set AROT_CACHE"
            )
        target.write(chunk)
