"""What stands in Swift's pipeline besides Swift, so that it behaves as S3 does where Swift alone does not.

Belongs here: paste filters of the proxy.
Does not belong here: how the process starts (``tests.servers.swift_process``).
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]
ANONYMOUS = ("demo:anonymous", "no-secret")
"""Swift's user in whose name unsigned requests are made: it owns nothing, so the bucket's ACL decides."""


class MemoryCache:
    """What Swift asks of memcached, kept in the one proxy process: account and container facts, with expiry."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[float, Any]] = {}

    def set(self, key: str, value: Any, time: float = 0, **_: Any) -> None:
        """Keep a value for ``time`` seconds (0: for ever)."""
        self._kept[key] = (_now() + time if time else float("inf"), value)

    def get(self, key: str, raise_on_error: bool = False) -> Any:
        """The value, or None when it is missing or too old."""
        until, value = self._kept.get(key, (0.0, None))
        return value if until > _now() else None

    def delete(self, key: str, server_key: str | None = None) -> None:
        """Forget a value."""
        self._kept.pop(key, None)

    def incr(self, key: str, delta: int = 1, time: float = 0, **_: Any) -> int:
        """Add to a counter."""
        value = max(0, int(self.get(key) or 0) + int(delta))
        self.set(key, value, time)
        return value


def memory_cache(global_conf: dict[str, str], **local_conf: str) -> Callable[[Application], Application]:
    """Takes the place of ``egg:swift#memcache``: no memcached has to be installed."""
    cache = MemoryCache()

    def wrap(app: Application) -> Application:
        def call(environment: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            environment["swift.cache"] = cache
            return app(environment, start_response)

        return call

    return wrap


def one_at_a_time(global_conf: dict[str, str], **local_conf: str) -> Callable[[Application], Application]:
    """Writes of one object under ``If-None-Match`` wait for each other.

    Swift looks whether the object exists before it takes the body, so of several writers at once more than one may win;
    S3 promises that one does.
    """
    from eventlet.semaphore import Semaphore

    locks: defaultdict[str, Any] = defaultdict(Semaphore)

    def wrap(app: Application) -> Application:
        def call(environment: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            if environment["REQUEST_METHOD"] in ("PUT", "POST") and "HTTP_IF_NONE_MATCH" in environment:
                with locks[environment["PATH_INFO"]]:
                    return list(app(environment, start_response))
            return app(environment, start_response)

        return call

    return wrap


def sign_anonymous(global_conf: dict[str, str], **local_conf: str) -> Callable[[Application], Application]:
    """Signs unsigned reads in the name of a user without rights: Swift's s3api knows no anonymous requests, S3 does."""

    def wrap(app: Application) -> Application:
        def call(environment: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            query = environment.get("QUERY_STRING", "")
            signed = "HTTP_AUTHORIZATION" in environment or "Signature=" in query
            if environment["REQUEST_METHOD"] in ("GET", "HEAD") and not signed:
                _sign(environment, query)
            return app(environment, start_response)

        return call

    return wrap


def _sign(environment: dict[str, Any], query: str) -> None:
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    # WSGI keeps the bytes of a path as latin-1 characters
    path = quote(environment["PATH_INFO"].encode("latin-1"), safe="/-_.~")
    url = f"http://{environment['HTTP_HOST']}{path}" + (f"?{query}" if query else "")
    sent = [(k, v) for k, v in environment["headers_raw"] if k.lower().startswith("x-amz-")]
    request = AWSRequest(environment["REQUEST_METHOD"], url, headers=dict(sent))
    S3SigV4Auth(Credentials(*ANONYMOUS), "s3", "us-east-1").add_auth(request)
    for name in ("Authorization", "X-Amz-Date", "X-Amz-Content-SHA256"):
        environment["HTTP_" + name.upper().replace("-", "_")] = request.headers[name]
        environment["headers_raw"] += ((name, request.headers[name]),)


def _now() -> float:
    return time.monotonic()
