"""Amazon S3 and compatible servers.

Belongs here: the objects of a bucket, through ``Backend``. Does not belong here: credentials (``settings.py``), signing
and retrying (``requests.py``), large objects in parts (``parts.py``), the wording of errors (``errors.py``).

A URI is ``s3://bucket/key`` with the literal key: nothing is unquoted, ``?`` and ``#`` are part of it. A key that ends
with ``/`` is a folder marker and not an object.
"""

import hashlib
import io
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import IO

from resources.storage.backend import SMALL_BYTES, Backend
from resources.storage.objects import ObjectColumns, ObjectInfo, StorageError, explain, replaced, there_already
from resources.storage.s3.conditions import create, read_version, replace
from resources.storage.s3.errors import error_of_code
from resources.storage.s3.listing import one_by_one, whole_prefix
from resources.storage.s3.pages import Page, parse_page
from resources.storage.s3.parts import (
    COPIED_PART_BYTES,
    PART_BYTES,
    abort_old,
    copy_parts,
    download_parts,
    from_bytes,
    from_file,
    upload_parts,
)
from resources.storage.s3.reader import S3Reader
from resources.storage.s3.requests import S3Error, S3Requests, S3Response
from resources.storage.s3.settings import S3Session, S3Settings

PAGE = 1000
"""The maximum number of objects that S3 lists per request."""
BUFFER_BYTES = 1024 * 1024


def split(uri: str) -> tuple[str, str]:
    """Bucket and key.

    Raises:
        StorageError: it has no bucket.
    """
    bucket, _, key = uri.split("://", 1)[1].partition("/")
    if not bucket:
        raise StorageError(f"'{uri}' does not name a bucket; write s3://bucket/key", kind="not_found")
    return bucket, key


class S3Backend(Backend):
    """See ``Backend``.

    Args:
        settings: the server and the credentials.
    """

    scheme = "s3"

    def __init__(self, settings: S3Settings) -> None:
        self._settings = settings
        self._made: S3Requests | None = None
        self._lock = threading.Lock()

    @property
    def requests(self) -> S3Requests:
        """The connection, created on first use."""
        if self._made is None:
            with self._lock:
                if self._made is None:
                    self._made = S3Requests(S3Session(self._settings))
        return self._made

    def ls_columns(self, root: str) -> Iterator[ObjectColumns]:
        """See ``Backend``; one request per thousand objects, several at once in a long listing (``listing.py``)."""
        bucket, key = split(root)
        prefix = f"{key.rstrip('/')}/" if key else ""
        found = False
        for objects in whole_prefix(partial(self._page, root, bucket), f"s3://{bucket}/", prefix):
            found = found or bool(objects.uri)
            yield objects
        if prefix and not found:
            try:
                one = self.stat(f"s3://{bucket}/{key}")
            except StorageError as error:
                if error.kind != "not_found":
                    raise
                if not self._is_folder(root, bucket, prefix):
                    raise StorageError(
                        f"cannot list '{root}': there is no object there or below it; check the spelling; keys are "
                        "case-sensitive",
                        kind="not_found",
                    ) from None
                return
            yield ObjectColumns.of([one])

    def ls_after(self, root: str, after: str) -> Iterator[ObjectColumns]:
        """Objects below a root whose key sorts after that of the URI ``after``, in byte order of the keys."""
        bucket, key = split(root)
        query = {"prefix": f"{key.rstrip('/')}/" if key else ""}
        if after:
            query["start-after"] = split(after)[1]
        for page in self._pages(root, bucket, query):
            yield page.objects

    def stat(self, uri: str) -> ObjectInfo:
        """See ``Backend``."""
        bucket, key = split(uri)
        if not key or key.endswith("/"):
            raise error_of_code(uri, "look up", "NoSuchKey", 404)
        answer = self.requests.get(bucket, key, uri=uri, action="look up", method="HEAD", expected=(200,))
        return info_of(uri, answer)

    def exists(self, uri: str) -> bool:
        """See ``Backend``."""
        bucket, key = split(uri)
        try:
            if key and not key.endswith("/"):
                self.stat(uri)
                return True
        except StorageError as error:
            if error.kind != "not_found":
                raise
        try:
            return self._is_folder(uri, bucket, f"{key.rstrip('/')}/" if key else "")
        except StorageError as error:
            if error.kind != "not_found":
                raise
            return False

    def names(self, uri: str) -> list[str]:
        """See ``Backend``."""
        bucket, key = split(uri)
        prefix = f"{key.rstrip('/')}/" if key else ""
        names: list[str] = []
        try:
            for page in self._pages(uri, bucket, {"prefix": prefix, "delimiter": "/"}):
                names += [found.rsplit("/", 1)[-1] for found in (*page.folders, *page.objects.uri)]
        except StorageError as error:
            if error.kind != "not_found":
                raise
        return names

    def read(self, uri: str, start: int = 0, end: int | None = None) -> bytes:
        """See ``Backend``."""
        bucket, key = split(uri)
        headers = {}
        if start or end is not None:
            if end is not None and end <= start:
                return b""
            headers["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        answer = self.requests.get(
            bucket, key, headers=headers, uri=uri, action="read", expected=(200, 206, 416) if headers else (200,)
        )
        if answer.status == 416:  # a range beyond the end is empty, as for a local file
            return b""
        return answer.body[start:end] if headers and answer.status == 200 else answer.body

    def open(self, uri: str) -> IO[bytes]:
        """See ``Backend``; everything read belongs to one version of the object, otherwise reading fails."""
        bucket, key = split(uri)
        return io.BufferedReader(S3Reader(self.requests, uri, bucket, key), BUFFER_BYTES)

    def write(self, uri: str, data: bytes, create_only: bool = False) -> None:
        """See ``Backend``. ``create_only`` is enforced by the server, see ``conditions.create``."""
        bucket, key = split(uri)
        if len(data) > PART_BYTES * 4:
            upload_parts(self.requests, uri, bucket, key, len(data), from_bytes(data), create_only)
            return
        if not create_only:
            self.requests.call("put_object", uri, "write", Bucket=bucket, Key=key, Body=data)
            return
        try:
            create(self.requests, "put_object", uri, bucket, key, Body=data)
        except S3Error as refused:
            if refused.status != 412:
                raise
            etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
            if not (refused.repeated and self.stat(uri).etag == etag):  # it may be ours: the response was lost
                raise there_already(uri) from None

    def replace(self, uri: str, data: bytes, version: str) -> None:
        """See ``Backend``; enforced by the server, see ``conditions.replace``."""
        bucket, key = split(uri)
        try:
            replace(self.requests, uri, bucket, key, version, data)
        except S3Error as refused:
            if refused.status not in (404, 412):
                raise
            ours = hashlib.md5(data, usedforsecurity=False).hexdigest()
            if not (refused.repeated and self.stat(uri).etag == ours):  # it may be ours: the response was lost
                raise replaced(uri) from None

    def delete(self, uri: str) -> None:
        """See ``Backend``."""
        bucket, key = split(uri)
        try:
            self.requests.call("delete_object", uri, "delete", Bucket=bucket, Key=key)
        except S3Error as refused:
            if refused.code != "NoSuchKey":
                raise

    def content_tag(self, info: ObjectInfo) -> str | None:
        """See ``Backend``; the etag of a multipart upload says nothing about other objects."""
        return f"md5:{info.etag}" if info.etag and "-" not in info.etag else None

    def copy(self, source: str, target: str, known: ObjectInfo | None = None) -> int:
        """See ``Backend``; on the server, so no data is transferred to this machine."""
        bucket, key = split(target)
        size = (known or self.stat(source)).size
        place = dict(zip(("Bucket", "Key"), split(source), strict=True))
        if size > COPIED_PART_BYTES:
            copy_parts(self.requests, target, bucket, key, size, place)
        else:
            self.requests.call("copy_object", target, "write", Bucket=bucket, Key=key, CopySource=place)
        return size

    def upload(self, path: Path, uri: str) -> int:
        """See ``Backend``; large files as multipart uploads."""
        try:
            size = path.stat().st_size
        except OSError as error:
            raise explain(str(path), "read", error) from error
        if size <= SMALL_BYTES:
            return super().upload(path, uri)
        upload_parts(self.requests, uri, *split(uri), size, from_file(path))
        return size

    def download(self, uri: str, path: Path, known: ObjectInfo | None = None, exact: bool = False) -> int:
        """See ``Backend``; large objects in concurrent parts. All of it is one version, identified by the etag."""
        etag = known.etag if exact and known is not None else None
        if exact and not etag:
            return super().download(uri, path, known, exact)
        if known is not None and known.size <= SMALL_BYTES:
            return path.write_bytes(read_version(self.requests, uri, *split(uri), etag or "", {}, (200,)).body)
        return download_parts(S3Reader(self.requests, uri, *split(uri), etag or ""), path)

    def remove_leftovers(self, root: str, older_than_seconds: float) -> int:
        """See ``Backend``; removes incomplete uploads, or none where aborting them is not allowed."""
        bucket, key = split(root)
        try:
            return abort_old(self.requests, root, bucket, f"{key.rstrip('/')}/" if key else "", older_than_seconds)
        except S3Error as refused:
            if refused.kind != "denied" and refused.status != 501:  # a separate permission, which readers may lack
                raise
            return 0

    def presign(self, uri: str, seconds: int) -> str:
        """See ``Backend``."""
        return self.requests.presigned(*split(uri), seconds)

    def _is_folder(self, uri: str, bucket: str, prefix: str) -> bool:
        page = self._page(uri, bucket, {"prefix": prefix, "max-keys": "1"}, None)
        return not prefix or bool(page.objects.uri or page.folders)

    def _pages(self, uri: str, bucket: str, query: dict[str, str]) -> Iterator[Page]:
        return one_by_one(partial(self._page, uri, bucket), query)

    def _page(self, uri: str, bucket: str, query: dict[str, str], token: str | None) -> Page:
        asked = {"list-type": "2", "encoding-type": "url", "max-keys": str(PAGE), **query}
        if token is not None:
            asked["continuation-token"] = token
        answer = self.requests.get(bucket, query=asked, uri=uri, action="list", expected=(200,))
        try:
            return parse_page(answer.body, f"s3://{bucket}/", "max-keys" in query)
        except (ElementTree.ParseError, KeyError, ValueError) as error:
            raise StorageError(
                f"cannot list '{uri}': the response is not an S3 listing ({type(error).__name__}); check AWS_ENDPOINT_URL_S3"
            ) from error


def info_of(uri: str, answer: S3Response) -> ObjectInfo:
    """The object that the headers of a response describe."""
    changed = answer.headers.get("last-modified")
    return ObjectInfo(
        uri,
        int(answer.headers.get("content-length", 0)),
        parsedate_to_datetime(changed).timestamp() if changed else 0.0,
        answer.headers.get("etag", "").strip('"') or None,
    )
