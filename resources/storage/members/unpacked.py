"""Compressed tars, decompressed once into the object cache, so that any member can be read without those before it.

Belongs here: decompressing one stream into a file, within limits. Does not belong here: the contents of the tar
(``tar.py``).

A stream can expand to any size: decompression stops at ``MOST_TIMES`` the size of the archive, at the size of the
cache, and before the disk is full.
"""

import gzip
import os
import shutil
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, cast

from resources.storage.cache import Cache
from resources.storage.members.reader import MemberError
from resources.storage.objects import TEMPORARY_PREFIX, ObjectInfo, StorageError

MOST_TIMES = 200
"""A tar of images shrinks by a few per cent, one of blank bitmaps to a hundredth; gzip can compress zeros a
thousandfold."""
ALWAYS = 64 * 1024 * 1024
"""Bytes that a small archive may expand to, whatever the ratio."""
FREE = 512 * 1024 * 1024
"""Bytes of disk space that are kept free."""
CHUNK = 1024 * 1024


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
        temporary = path.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{threading.get_ident()}")
        try:
            with open_() as source, temporary.open("wb") as target:
                size = _copy(_decoder(info.uri, source), target, info.size, cache)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return size

    return cache.fetch(entry, fill)


def _decoder(uri: str, source: IO[bytes]) -> IO[bytes]:
    """The decompressed stream. Arrow refuses a Zstandard frame that needs more memory than ``zstd -d`` allows."""
    if uri.lower().endswith("gz"):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=source))
    import pyarrow as pa

    stream: IO[bytes] = pa.CompressedInputStream(source, "zstd")
    return stream


def _copy(stream: IO[bytes], target: IO[bytes], packed: int, cache: Cache) -> int:
    most = max(ALWAYS, packed * MOST_TIMES)
    written = 0
    while True:
        try:
            chunk = stream.read(CHUNK)
        except (OSError, EOFError, zlib.error) as error:
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
