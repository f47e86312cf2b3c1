"""A file object over an S3 object: seeking transfers nothing, reading uses ranges, all of one version.

Belongs here: the reader. The first request fetches the end of the object together with its size and etag: Parquet and
zip keep their index there, and a small object is complete.
"""

from typing import TYPE_CHECKING

from resources.storage.ranges import RangeReader
from resources.storage.s3.conditions import read_version

if TYPE_CHECKING:
    from resources.storage.s3.requests import S3Requests

TAIL_BYTES = 128 * 1024


class S3Reader(RangeReader):
    """See the module. Not thread-safe except for ``read_range``.

    Attributes:
        size: the object's size in bytes.

    Args:
        requests: the connection.
        uri: of the object, for error messages.
        bucket, key: of the object.
        etag: of the version wanted, without quotes; empty for the current one.

    Raises:
        StorageError: it cannot be read; while reading, also that it changed since it was opened.
    """

    def __init__(self, requests: "S3Requests", uri: str, bucket: str, key: str, etag: str = "") -> None:
        self._requests, self._uri, self._bucket, self._key = requests, uri, bucket, key
        tail = {"Range": f"bytes=-{TAIL_BYTES}"}
        answer = read_version(requests, uri, bucket, key, etag, tail, (200, 206, 416))
        self._tail = answer.body if answer.status != 416 else b""  # 416: the object is empty
        self._etag = answer.headers.get("etag", "").strip('"')
        total = answer.headers.get("content-range", "").rpartition("/")[2]
        super().__init__(self.read_range, int(total) if answer.status == 206 and total.isdecimal() else len(self._tail))

    def read_range(self, start: int, end: int) -> bytes:
        """Bytes ``start`` to ``end`` (exclusive), both within the object; thread-safe."""
        tail = self.size - len(self._tail)
        if start >= tail:
            return self._tail[start - tail : end - tail]
        stop = min(end, tail)
        part = {"Range": f"bytes={start}-{stop - 1}"}
        answer = read_version(self._requests, self._uri, self._bucket, self._key, self._etag, part, (206,))
        return answer.body + self._tail[: max(0, end - tail)]
