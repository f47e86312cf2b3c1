"""Large S3 objects, transferred in concurrent parts; the object appears when all parts are complete.

Belongs here: multipart uploads and copies, downloads in parts. A failed part is sent again; a failed upload is aborted
as a whole, and what a killed process leaves is invisible until ``abort_old`` removes it.
"""

import hashlib
import os
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resources.parallel import ordered_map
from resources.storage.objects import StorageError, explain, there_already
from resources.storage.s3.conditions import create, etag_of

if TYPE_CHECKING:
    from resources.storage.s3.reader import S3Reader
    from resources.storage.s3.requests import S3Requests

PART_BYTES = 16 * 1024 * 1024
MOST_PARTS = 10_000
"""S3's own limit."""
COPIED_PART_BYTES = 512 * 1024 * 1024
THREADS = 4
"""Parts in progress at a time; each is held in memory."""

ReadPart = Callable[[int, int], bytes]
"""(first byte, byte after the last) -> the bytes."""


def from_bytes(data: bytes) -> ReadPart:
    """Parts of bytes in memory."""
    return lambda start, end: data[start:end]


def from_file(path: Path) -> ReadPart:
    """Parts of a file."""

    def read(start: int, end: int) -> bytes:
        try:
            with path.open("rb", buffering=0) as file:
                data = os.pread(file.fileno(), end - start, start)
        except OSError as error:
            raise explain(str(path), "read", error) from error
        if len(data) != end - start:
            raise StorageError(f"cannot read '{path}': it became shorter in the meantime; run it again", kind="changed")
        return data

    return read


def upload_parts(
    requests: "S3Requests",
    uri: str,
    bucket: str,
    key: str,
    size: int,
    read: ReadPart,
    create_only: bool = False,
) -> None:
    """Upload an object in parts.

    Args:
        requests: the connection.
        uri: of the object, for error messages.
        bucket, key: of the object.
        size: in bytes.
        read: returns any part; called in threads.
        create_only: fail if something is there already.

    Raises:
        StorageError: refused, not reachable, or the object exists.
    """

    def send(upload: str, number: int, start: int, end: int) -> tuple[str, bytes]:
        data = read(start, end)
        answer = requests.call(
            "upload_part", uri, "write", Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=data
        )
        return answer["ETag"], hashlib.md5(data, usedforsecurity=False).digest()

    _in_parts(requests, uri, bucket, key, size, max(PART_BYTES, -(-size // MOST_PARTS)), send, create_only)


def copy_parts(requests: "S3Requests", uri: str, bucket: str, key: str, size: int, source: dict[str, str]) -> None:
    """Copy a large object within the server.

    Args:
        requests, uri, bucket, key, size: see ``upload_parts``.
        source: ``Bucket`` and ``Key``.
    """

    def send(upload: str, number: int, start: int, end: int) -> tuple[str, bytes]:
        answer = requests.call(
            "upload_part_copy",
            uri,
            "write",
            Bucket=bucket,
            Key=key,
            UploadId=upload,
            PartNumber=number,
            CopySource=source,
            CopySourceRange=f"bytes={start}-{end - 1}",
        )
        etag = answer["CopyPartResult"]["ETag"]
        return etag, bytes.fromhex(etag.strip('"'))

    _in_parts(requests, uri, bucket, key, size, max(COPIED_PART_BYTES, -(-size // MOST_PARTS)), send, False)


def download_parts(reader: "S3Reader", path: Path) -> int:
    """Download an object into a file, in parts of one version; returns its size in bytes.

    Raises:
        StorageError: not reachable, or the object changed in the meantime.
        OSError: the file cannot be written.
    """
    size = reader.size
    with path.open("wb") as file:
        handle = file.fileno()

        def fetch(start: int) -> None:
            data = memoryview(reader.read_range(start, min(start + PART_BYTES, size)))
            while data:
                written = os.pwrite(handle, data, start)
                data, start = data[written:], start + written

        with closing(ordered_map(fetch, range(0, size, PART_BYTES), THREADS, finish=True)) as parts:
            for _ in parts:
                pass
    return size


def abort_old(requests: "S3Requests", uri: str, bucket: str, prefix: str, older_than_seconds: float) -> int:
    """Abort uploads below a prefix that are at least this old; returns the number.

    Raises:
        StorageError: refused, or not reachable.
    """
    oldest = time.time() - older_than_seconds
    found: list[dict[str, Any]] = []
    marks: dict[str, str] = {}
    while True:
        answer = requests.call("list_multipart_uploads", uri, "list uploads of", Bucket=bucket, Prefix=prefix, **marks)
        found += [u for u in answer.get("Uploads", ()) if u["Initiated"].timestamp() < oldest]
        if not answer.get("IsTruncated"):
            break
        marks = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer.get("NextUploadIdMarker", "")}
    for upload in found:
        _abort(requests, uri, bucket, upload["Key"], upload["UploadId"])
    return len(found)


def _in_parts(
    requests: "S3Requests",
    uri: str,
    bucket: str,
    key: str,
    size: int,
    part: int,
    send: Callable[[str, int, int, int], tuple[str, bytes]],
    create_only: bool,
) -> None:
    from resources.storage.s3.requests import S3Error

    upload = requests.call("create_multipart_upload", uri, "write", Bucket=bucket, Key=key)["UploadId"]
    try:
        ranges = [(n, start, min(start + part, size)) for n, start in enumerate(range(0, size, part), 1)]
        sent = list(ordered_map(lambda span: send(upload, *span), ranges, THREADS, finish=True))
    except BaseException:
        _abort(requests, uri, bucket, key, upload)
        raise
    whole = hashlib.md5(b"".join(digest for _, digest in sent), usedforsecurity=False).hexdigest()
    parts = [{"PartNumber": n, "ETag": etag} for n, (etag, _) in enumerate(sent, 1)]
    told = {"UploadId": upload, "MultipartUpload": {"Parts": parts}}
    try:
        if create_only:
            create(requests, "complete_multipart_upload", uri, bucket, key, **told)
        else:
            requests.call("complete_multipart_upload", uri, "write", Bucket=bucket, Key=key, **told)
    except S3Error as refused:
        if refused.repeated and etag_of(requests, uri, bucket, key) == f"{whole}-{len(parts)}":
            return  # an earlier attempt completed it, and its response was lost
        _abort(requests, uri, bucket, key, upload)
        if refused.status == 412:
            raise there_already(uri) from None
        raise
    except StorageError as error:
        if error.kind == "exists":
            _abort(requests, uri, bucket, key, upload)
        raise


def _abort(requests: "S3Requests", uri: str, bucket: str, key: str, upload: str) -> None:
    with suppress(StorageError):  # the first error is the one to report; leftovers are invisible and removed later
        requests.call("abort_multipart_upload", uri, "abort the upload of", Bucket=bucket, Key=key, UploadId=upload)
