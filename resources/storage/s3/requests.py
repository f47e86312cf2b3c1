"""Signed GET and HEAD requests, straight to the connection: what is done a million times.

Belongs here: sending, repeating. Does not belong here: what is asked for (``backend.py``).

A request through boto3 costs about a millisecond of Python before a byte moves. Reading and listing spare more than half of it
here: boto3 is asked once for each bucket where it is and for which region requests are signed, and botocore's signer signs them
(see ``bench/RESULTS.md``: a signer of our own would spare another sixth, which is nothing beside one decoded picture). What is no
plain answer (a redirect to another region) goes back to boto3.
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
"""Tries where nobody listens: a server that restarts is back within them, a wrong address is told after some seconds."""


class BucketEndpoint(NamedTuple):
    """Where a bucket is.

    Attributes:
        origin: ``https://host:port``.
        path: what stands before ``/key``.
        region: what requests are signed for; None when they are not signed.
    """

    origin: str
    path: str
    region: str | None


class S3Response(NamedTuple):
    """Status, headers and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class S3Requests:
    """Requests of one session; safe in threads.

    Attributes:
        session: whose requests these are.
        endpoint: ``scheme://host:port`` of the server, without anything secret.
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
        """Ask for an object, or with an empty key for the bucket; repeats what may succeed when repeated.

        Args:
            bucket: its name.
            key: the object.
            query: parameters.
            headers: more headers.
            uri, action: for errors.
            method: ``GET`` or ``HEAD``.
            expected: statuses that are answers; any other is an error.

        Raises:
            StorageError: refused, or not reachable after all tries.
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
            if method == "HEAD" and answer.status == 403:  # it has no body, so it does not say what is wrong; GET does
                with suppress(BotoCoreError, OSError):
                    code = _code(self._send("GET", place, target, parameters, {"range": "bytes=0-0"}).body)
            passing = answer.status in REPEATED or code in REPEATED_CODES
            if not passing or not retry.again(asked=retry_after(answer.headers.get("retry-after"))):
                raise error_of_code(uri, action, code, answer.status)

    def call(self, operation: str, uri: str, action: str, **arguments: Any) -> dict[str, Any]:
        """Any other operation, by boto3, repeated like the others.

        Raises:
            S3Error: the server's answer is an error.
            StorageError: not reachable after all tries.
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
                self.session.access()  # tells what to do
                raise
            except (BotoCoreError, OSError) as error:
                if not retry.again(HOPELESS_ATTEMPTS if _hopeless(error) else None):
                    raise error_of_connection(uri, action, error, self.endpoint) from error

    def presigned(self, bucket: str, key: str, seconds: int) -> str:
        """An address with which anybody may GET an object for so many seconds."""
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
        # not signed: servers and proxies rewrite such headers (Google's S3 interface the encodings)
        for name, value in {**headers, "User-Agent": "arot", "Accept-Encoding": "identity"}.items():
            request.headers[name] = value
        answer = self._http.send(request.prepare())
        told = {k.lower(): v for k, v in answer.headers.items()}
        length = told.get("content-length", "")
        if method != "HEAD" and length.isdecimal() and len(answer.content) != int(length):
            raise ConnectionError(f"Connection broken: {len(answer.content)} of {length} bytes came")
        return S3Response(answer.status_code, told, answer.content)

    def _place(self, bucket: str, uri: str, action: str) -> BucketEndpoint:
        place = self._places.get(bucket)
        if place is None:
            with self._lock:
                place = self._places[bucket] = self._ask_place(bucket, uri, action)
        return place

    def _ask_place(self, bucket: str, uri: str, action: str) -> BucketEndpoint:
        from botocore.exceptions import BotoCoreError

        self.session.access()  # an error of ours if there are none
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
        """Let boto3 look where a bucket is; whether it is elsewhere than was thought."""
        from botocore.exceptions import BotoCoreError, ClientError

        before = self._places.pop(bucket, None)
        try:
            self._client.list_objects_v2(Bucket=bucket, MaxKeys=1)  # follows a redirect and remembers it
        except (ClientError, BotoCoreError):
            return False
        return self._place(bucket, f"s3://{bucket}", "find") != before


class S3Error(StorageError):
    """An answer of the server that is an error.

    Attributes:
        code: S3's word for it.
        status: of HTTP.
        repeated: an earlier try may have been done without our seeing its answer.
    """

    def __init__(self, told: StorageError, code: str, status: int, repeated: bool) -> None:
        super().__init__(str(told), kind=told.kind)
        self.code = code
        self.status = status
        self.repeated = repeated


def _target(place: BucketEndpoint, key: str) -> str:
    """The path of a request, quoted; that of the bucket with an empty key."""
    return place.path + quote(f"/{key}", safe=SAFE) if key else place.path or "/"


def _hopeless(error: Exception) -> bool:
    """Whether more tries hardly help: no such host, nobody listens, a certificate that is not trusted."""
    text = said_by(error)
    return any(sign in text for sign in HOPELESS)


def _code(body: bytes) -> str:
    found = re.search(rb"<Code>([^<]*)</Code>", body)
    return found.group(1).decode("utf-8", "replace") if found else ""


def _origin(url: str) -> str:
    """An address without a name, a password or a path."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"
