"""Requests of S3 that hold under a condition only: create what is not there, read or replace what did not change.

Belongs here: these, also on servers that do not know conditions (they answer 501). Does not belong here: sending and
repeating (``s3_requests.py``).
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from resources.storage.objects import StorageError, changed, replaced, there_already

if TYPE_CHECKING:
    from resources.storage.s3.requests import S3Requests, S3Response

NOT_IMPLEMENTED = 501


def create(requests: "S3Requests", operation: str, uri: str, bucket: str, key: str, **arguments: Any) -> None:
    """A write that replaces nothing, kept by the server: of two writers one gets an error.

    A server without conditional writes is looked at first. There, of two writers at the same moment the last one wins.

    Args:
        requests: the connection.
        operation: of boto3, which writes the object.
        uri: of the object, for errors.
        bucket, key: where.
        arguments: more of the operation.

    Raises:
        S3Error: the server's answer is an error; 412 if something is there, which may be from an earlier try.
        StorageError: not reachable; of a server without conditional writes also that something is there.
    """
    from resources.storage.s3.requests import S3Error

    place = {"Bucket": bucket, "Key": key, **arguments}
    try:
        requests.call(operation, uri, "write", IfNoneMatch="*", **place)
    except S3Error as refused:
        if refused.status != NOT_IMPLEMENTED:
            raise
        if etag_of(requests, uri, bucket, key):
            raise there_already(uri) from None
        requests.call(operation, uri, "write", **place)


def replace(requests: "S3Requests", uri: str, bucket: str, key: str, etag: str, data: bytes) -> None:
    """A write in place of one version, kept by the server. One without conditional writes is looked at first.

    There, of two writers at the same moment the last one wins.

    Args:
        requests: the connection.
        uri: of the object, for errors.
        bucket, key: where.
        etag: of the version that may be replaced, without quotes.
        data: the new bytes.

    Raises:
        S3Error: the server's answer is an error; 412 or 404 if the version is not there any more.
        StorageError: not reachable; ``changed`` if such a server has another version.
    """
    from resources.storage.s3.requests import S3Error

    place = {"Bucket": bucket, "Key": key, "Body": data}
    try:
        requests.call("put_object", uri, "write", IfMatch=f'"{etag}"', **place)
    except S3Error as refused:
        if refused.status != NOT_IMPLEMENTED:
            raise
        if etag_of(requests, uri, bucket, key) != etag:
            raise replaced(uri) from None
        requests.call("put_object", uri, "write", **place)


def read_version(
    requests: "S3Requests",
    uri: str,
    bucket: str,
    key: str,
    etag: str,
    headers: Mapping[str, str],
    expected: tuple[int, ...],
) -> "S3Response":
    """GET an object, or a part of it, if it still is one version; a server without conditions tells which one it sent.

    Args:
        requests: the connection.
        uri: of the object, for errors.
        bucket, key: where.
        etag: of the version, without quotes; empty for any.
        headers: more of the request.
        expected: statuses that are answers.

    Raises:
        StorageError: not reachable; ``changed`` if it is another version.
    """
    answer = None
    if etag:
        condition = {**headers, "If-Match": f'"{etag}"'}
        known = (*expected, NOT_IMPLEMENTED)
        answer = requests.get(bucket, key, headers=condition, uri=uri, action="read", expected=known)
    if answer is None or answer.status == NOT_IMPLEMENTED:
        answer = requests.get(bucket, key, headers=headers, uri=uri, action="read", expected=expected)
    if etag and answer.headers.get("etag", etag).strip('"') != etag:
        raise changed(uri)
    return answer


def etag_of(requests: "S3Requests", uri: str, bucket: str, key: str) -> str:
    """The etag of what is there; empty without, and where that cannot be told."""
    with suppress(StorageError):
        answer = requests.get(bucket, key, uri=uri, action="look up", method="HEAD", expected=(200,))
        return answer.headers.get("etag", "").strip('"')
    return ""
