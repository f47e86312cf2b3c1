"""Signed GET and HEAD requests, sent directly: the requests that are made a million times.

Belongs here: sending, retrying. Does not belong here: what is requested (``backend.py``).

A request through boto3 costs about a millisecond of Python before a byte is transferred. Reading and listing avoid more
than half of it here: boto3 is asked once per bucket for its endpoint and region, and botocore's signer signs the
requests (see ``bench/RESULTS.md``: our own signer would save another sixth, which is nothing next to one decoded
image). obstore takes a third of what is left, and was not taken: it refuses keys with an empty part or ``..``, hangs after a
fork, and tells errors as text (same file). Responses that are not plain answers (redirects to another region) are left to boto3.
"""

import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qs, quote, urlsplit

from resources.retry import Retry, retry_after
from resources.storage.objects import StorageError
from resources.storage.s3.errors import (
    HOPELESS,
    REPEATED,
    REPEATED_CODES,
    code_of,
    error_of_code,
    error_of_connection,
    said_by,
)
from resources.storage.s3.settings import ATTEMPTS, CONNECT_SECONDS, CONNECTIONS, READ_SECONDS, S3Session

T = TypeVar("T")

SAFE = "-._~/"
FIRST_WAIT_SECONDS = 0.05
LONGEST_WAIT_SECONDS = 8.0
HOPELESS_ATTEMPTS = 6
"""Attempts when no server is listening: a restarting server is back within them, a wrong address is reported after a
few seconds."""


class BucketEndpoint(NamedTuple):
    """The endpoint of a bucket.

    Attributes:
        origin: ``https://host:port``.
        path: the part before ``/key``.
        region: that requests are signed for; None if they are not signed.
    """

    origin: str
    path: str
    region: str | None


class S3Response(NamedTuple):
    """Status, headers and the whole body of a response."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class S3Requests:
    """Requests of one session; thread-safe.

    Attributes:
        session: the session that signs them.
        endpoint: ``scheme://host:port`` of the server, without any secret.
    """

    def __init__(self, session: S3Session) -> None:
        from botocore.httpsession import URLLib3Session
        from botocore.utils import get_environ_proxies

        self.session = session
        self._client = session.client()
        self.endpoint = _origin(self._client.meta.endpoint_url)
        self._http = URLLib3Session(
            verify=session.ca_bundle,
            proxies=get_environ_proxies(self.endpoint),
            timeout=(CONNECT_SECONDS, READ_SECONDS),
            max_pool_connections=CONNECTIONS,
        )
        self._places: dict[str, BucketEndpoint | None] = {}
        self._lock = threading.Lock()

    def get(
        self,
        bucket: str,
        key: str = "",
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        uri: str,
        action: str,
        method: str = "GET",
        expected: tuple[int, ...] = (200, 206),
    ) -> S3Response:
        """Request an object, or with an empty key the bucket; retries what may succeed on another attempt.

        Args:
            bucket: the bucket's name.
            key: the object's key.
            query: the parameters.
            headers: further headers.
            uri, action: for error messages.
            method: ``GET`` or ``HEAD``.
            expected: statuses that are not errors.

        Raises:
            StorageError: refused, or not reachable after all attempts.
        """
        from botocore.exceptions import BotoCoreError

        place = self._place(bucket, uri, action)
        target = _target(place, key)
        parameters = "&".join(
            f"{quote(k, safe='-._~')}={quote(v, safe='-._~')}" for k, v in sorted((query or {}).items())
        )
        redirected = False
        retry = Retry(ATTEMPTS, FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS)
        while True:
            try:
                answer = self._send(method, place, target, parameters, headers or {})
            except (BotoCoreError, OSError) as error:
                if not retry.again(HOPELESS_ATTEMPTS if _hopeless(error) else None):
                    raise error_of_connection(uri, action, error, self.endpoint) from error
                continue
            if answer.status in expected:
                return answer
            if answer.status in (301, 307, 400) and not redirected and self._moved(bucket):
                redirected, place = True, self._place(bucket, uri, action)
                target = _target(place, key)
                continue
            code = _code(answer.body)
            if method == "HEAD" and answer.status == 403:  # it has no body to say what is wrong; GET does
                with suppress(BotoCoreError, OSError):
                    code = _code(self._send("GET", place, target, parameters, {"range": "bytes=0-0"}).body)
            passing = answer.status in REPEATED or code in REPEATED_CODES
            if not passing or not retry.again(asked=retry_after(answer.headers.get("retry-after"))):
                raise error_of_code(uri, action, code, answer.status)

    def call(self, operation: str, uri: str, action: str, **arguments: Any) -> dict[str, Any]:
        """Any other operation, through boto3, retried like the others.

        Raises:
            S3Error: the server responds with an error.
            StorageError: not reachable after all attempts.
        """
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

        retry = Retry(ATTEMPTS, FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS)
        while True:
            try:
                answer: dict[str, Any] = getattr(self._client, operation)(**arguments)
                return answer
            except ClientError as error:
                code, status = code_of(error)
                repeated = retry.failed > 0
                if (status not in REPEATED and code not in REPEATED_CODES) or not retry.again():
                    raise S3Error(error_of_code(uri, action, code, status), code, status, repeated) from None
            except NoCredentialsError:
                self.session.access()  # raises an error with a remedy
                raise
            except (BotoCoreError, OSError) as error:
                if not retry.again(HOPELESS_ATTEMPTS if _hopeless(error) else None):
                    raise error_of_connection(uri, action, error, self.endpoint) from error

    def presigned(self, bucket: str, key: str, seconds: int) -> str:
        """A URL with which anybody may GET an object for this many seconds."""
        self.session.access()
        url: str = self._client.generate_presigned_url(
            "get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=seconds
        )
        return url

    def _send(
        self, method: str, place: BucketEndpoint, target: str, parameters: str, headers: Mapping[str, str]
    ) -> S3Response:
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest

        request = AWSRequest(method, f"{place.origin}{target}{'?' + parameters if parameters else ''}")
        access = self.session.access() if place.region is not None else None
        if access is not None:
            S3SigV4Auth(access, "s3", place.region).add_auth(request)
        # not signed: servers and proxies rewrite such headers (Google's S3 interface rewrites encodings)
        for name, value in {**headers, "User-Agent": "arot", "Accept-Encoding": "identity"}.items():
            request.headers[name] = value
        answer = self._http.send(request.prepare())
        told = {k.lower(): v for k, v in answer.headers.items()}
        length = told.get("content-length", "")
        if method != "HEAD" and length.isdecimal() and len(answer.content) != int(length):
            raise ConnectionError(f"Connection broken: {len(answer.content)} of {length} bytes arrived")
        return S3Response(answer.status_code, told, answer.content)

    def _place(self, bucket: str, uri: str, action: str) -> BucketEndpoint:
        place = self._places.get(bucket)
        if place is None:
            with self._lock:
                place = self._places[bucket] = self._ask_place(bucket, uri, action)
        return place

    def _ask_place(self, bucket: str, uri: str, action: str) -> BucketEndpoint:
        from botocore.exceptions import BotoCoreError

        self.session.access()  # raises our own error if there are none
        try:
            url = self._client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
        except BotoCoreError as error:
            raise error_of_code(uri, action, "InvalidBucketName", 0) from error
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        scope = query.get("X-Amz-Credential", [""])[0].split("/")
        return BucketEndpoint(
            f"{parts.scheme}://{parts.netloc}",
            parts.path.removesuffix("/k"),
            scope[-3] if len(scope) >= 5 else None,
        )

    def _moved(self, bucket: str) -> bool:
        """Let boto3 find out where a bucket is; returns whether that differs from what was known."""
        from botocore.exceptions import BotoCoreError, ClientError

        before = self._places.pop(bucket, None)
        try:
            self._client.list_objects_v2(Bucket=bucket, MaxKeys=1)  # follows a redirect and remembers the region
        except (ClientError, BotoCoreError):
            return False
        return self._place(bucket, f"s3://{bucket}", "find") != before


class S3Error(StorageError):
    """An error response of the server.

    Attributes:
        code: S3's error code.
        status: the HTTP status.
        repeated: whether an earlier attempt may have succeeded without us receiving its response.
    """

    def __init__(self, told: StorageError, code: str, status: int, repeated: bool) -> None:
        super().__init__(str(told), kind=told.kind)
        self.code = code
        self.status = status
        self.repeated = repeated


def _target(place: BucketEndpoint, key: str) -> str:
    """The quoted path of a request; that of the bucket for an empty key."""
    return place.path + quote(f"/{key}", safe=SAFE) if key else place.path or "/"


def _hopeless(error: Exception) -> bool:
    """Whether further attempts will hardly help: no such host, no server listening, an untrusted certificate."""
    text = said_by(error)
    return any(sign in text for sign in HOPELESS)


def _code(body: bytes) -> str:
    found = re.search(rb"<Code>([^<]*)</Code>", body)
    return found.group(1).decode("utf-8", "replace") if found else ""


def _origin(url: str) -> str:
    """A URL without user name, password and path."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"
