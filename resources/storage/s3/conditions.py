"""Conditional requests to S3: create what does not exist, read or replace what has not changed.

Belongs here: these requests, also on servers that do not support conditions (which respond 501). Does not belong here:
sending and retrying (``requests.py``).
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from resources.storage.objects import StorageError, changed, replaced, there_already

if TYPE_CHECKING:
    from resources.storage.s3.requests import S3Requests, S3Response

NOT_IMPLEMENTED = 501


def create(requests: "S3Requests", operation: str, uri: str, bucket: str, key: str, **arguments: Any) -> None:
    """A write that replaces nothing, enforced by the server: of two writers, one gets an error.

    On a server without conditional writes, a check comes first; if two processes write at the same moment, the last one
    wins.

    Args:
        requests: the connection.
        operation: of boto3, which writes the object.
        uri: of the object, for error messages.
        bucket, key: of the object.
        arguments: further arguments of the operation.

    Raises:
        S3Error: the server responds with an error; 412 if the object exists, possibly from an earlier attempt.
        StorageError: not reachable; on a server without conditional writes, also that the object exists.
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
    """Replace one version, enforced by the server. On a server without conditional writes, a check comes first;

    if two processes write at the same moment, the last one wins.

    Args:
        requests: the connection.
        uri: of the object, for error messages.
        bucket, key: of the object.
        etag: of the version that may be replaced, without quotes.
        data: the new bytes.

    Raises:
        S3Error: the server responds with an error; 412 or 404 if the version no longer exists.
        StorageError: not reachable; ``changed`` if a server without conditional writes has another version.
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
    """GET an object, or a part of it, if it is still the given version; a server without conditions says which one it
    sent.

    Args:
        requests: the connection.
        uri: of the object, for error messages.
        bucket, key: of the object.
        etag: of the version, without quotes; empty for any.
        headers: further headers of the request.
        expected: statuses that are not errors.

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
    """The etag of the current object; empty if there is none, or if it cannot be determined."""
    with suppress(StorageError):
        answer = requests.get(bucket, key, uri=uri, action="look up", method="HEAD", expected=(200,))
        return answer.headers.get("etag", "").strip('"')
    return ""
