"""A polite HTTP client: few concurrent requests per host, patient, and certain that what it received is complete.

Belongs here: one object from the first request to the last byte: redirects, retries, resuming, limits, opt-out. Does
not belong here: connections (``connections.py``), the wording of failures (``failures.py``).
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from urllib3 import BaseHTTPResponse, Timeout
from urllib3.exceptions import HTTPError

from resources.retry import Retry
from resources.storage.http import rules
from resources.storage.http.connections import Patience, PrivateAddress, pool_manager, watched
from resources.storage.http.failures import HttpFailure, failed_exchange, failed_status
from resources.storage.http.settings import HttpSettings
from resources.storage.http.transfer import Transfer

T = TypeVar("T")
REDIRECTS = (301, 302, 303, 307, 308)
LONGEST_BACKOFF = 30.0
PROGRESS = 64 * 1024
"""Bytes after which a broken attempt counts as progress: the count of failures starts again."""


@dataclass
class _Host:
    """What threads share about one host.

    Attributes:
        slots: how many more requests it may receive now.
        users: threads that use this entry.
        quiet_until: monotonic time until which the host wants no requests.
    """

    slots: threading.BoundedSemaphore
    users: int = 0
    quiet_until: float = 0.0


@dataclass
class _Budget:
    """The remaining budget of one object, and what servers said about it.

    Attributes:
        seconds: left for exchanges with servers.
        opt_out: the directive of a server, or of one that redirected, that forbids training.
    """

    seconds: float
    opt_out: str | None = None


@dataclass(frozen=True)
class HttpResponse:
    """A server's response for an object.

    Attributes:
        status: 200, 206 or 304.
        headers: of the last response.
        data: the bytes; empty for a HEAD request and for 304.
        total: size of the whole object, None if the server does not report it.
        opt_out: the directive that forbids training on it, or None; only set where that is not a failure.
    """

    status: int
    headers: Mapping[str, str]
    data: bytes = b""
    total: int | None = None
    opt_out: str | None = None


class HttpClient:
    """See the module. Thread-safe; threads share its connections and its rate limits."""

    def __init__(self, settings: HttpSettings) -> None:
        self.settings = settings
        self._pools = pool_manager(settings)
        self._hosts: dict[str, _Host] = {}
        self._lock = threading.Lock()

    def head(self, uri: str) -> HttpResponse:
        """The headers of an object.

        Raises:
            HttpFailure: they cannot be fetched.
        """

        def take(response: BaseHTTPResponse) -> HttpResponse:
            if response.status != 200:
                raise failed_status(response.status, response.headers.get("Retry-After"))
            length = response.headers.get("Content-Length", "")
            return HttpResponse(200, response.headers, total=int(length) if length.isdecimal() else None)

        return self._persist(lambda budget: self._exchange("HEAD", uri, {}, take, budget), lambda: 0)

    def get(
        self, uri: str, start: int = 0, end: int | None = None, known: Mapping[str, str] | None = None
    ) -> HttpResponse:
        """The bytes of an object from ``start`` to ``end`` (exclusive; None: to its end).

        Args:
            known: headers that make the request conditional; an unchanged object is returned with status 304.

        Raises:
            HttpFailure: they cannot be fetched.
        """
        transfer = Transfer(start, end, self.settings.max_bytes, dict(known or {}))

        def once(budget: _Budget) -> HttpResponse:
            status, headers = self._exchange("GET", uri, transfer.headers, transfer.take, budget)
            return HttpResponse(status, headers, transfer.result(), transfer.total, budget.opt_out)

        return self._persist(once, lambda: transfer.most)

    def _persist(self, once: Callable[[_Budget], T], progress: Callable[[], int]) -> T:
        """Try until it succeeds, cannot succeed, or is not worth another attempt."""
        budget = _Budget(self.settings.total_seconds)
        retry = Retry(self.settings.attempts, self.settings.backoff_seconds, LONGEST_BACKOFF)
        reached = 0
        while True:
            try:
                return once(budget)
            except HttpFailure as failure:
                if progress() - reached >= PROGRESS:
                    reached = progress()
                    retry.progressed()
                spent = budget.seconds <= 0 or (failure.wait or 0.0) > self.settings.longest_wait_seconds
                if spent or not failure.again or not retry.again():  # its wait applies to all requests to this host
                    raise

    def _exchange(
        self,
        method: str,
        uri: str,
        headers: Mapping[str, str],
        take: Callable[[BaseHTTPResponse], T],
        budget: _Budget,
    ) -> T:
        """One request, following redirects, and what ``take`` makes of the response.

        Raises:
            HttpFailure: the request failed.
        """
        hops = 0
        try:
            url = rules.request_url(uri)
        except ValueError as error:
            raise HttpFailure("invalid", str(error)) from None
        while True:
            with self._slot(url) as host:
                began = time.monotonic()
                try:
                    result, location = self._request(method, url, headers, take, host, budget)
                finally:
                    budget.seconds -= time.monotonic() - began
            if location is None:
                return result  # type: ignore[return-value]
            hops += 1
            if hops > self.settings.max_redirects:
                raise HttpFailure("redirects", f"more than {self.settings.max_redirects} redirects")
            try:
                url = rules.next_hop(url, location)
            except ValueError as error:
                raise HttpFailure("redirects", f"redirected to an address that is not allowed: {error}") from None

    def _request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        take: Callable[[BaseHTTPResponse], T],
        host: _Host,
        budget: _Budget,
    ) -> tuple[T | None, str | None]:
        """One request to one server: what ``take`` makes of the response, or the redirect target."""
        watch = Patience(self.settings, budget.seconds)
        response: BaseHTTPResponse | None = None
        try:
            with watched(watch):
                response = self._pools.urlopen(
                    method,
                    url,
                    headers={
                        "User-Agent": self.settings.agent,
                        "Accept-Encoding": "identity",
                        "Accept": "*/*",
                        **headers,
                    },
                    timeout=Timeout(connect=self.settings.connect_seconds, read=self.settings.read_seconds),
                    redirect=False,
                    retries=False,
                    preload_content=False,
                    decode_content=False,
                )
                budget.opt_out = self._opt_out(response) or budget.opt_out
                if response.status in REDIRECTS and response.headers.get("Location"):
                    return None, response.headers["Location"]
                return take(response), None
        except HttpFailure as failure:
            if failure.wait:
                host.quiet_until = max(host.quiet_until, time.monotonic() + failure.wait)
            raise
        except (HTTPError, OSError, PrivateAddress) as error:
            raise failed_exchange(error, watch, began=response is not None) from None
        finally:
            if response is not None:
                with watched(watch):
                    _finish(response)

    def _opt_out(self, response: BaseHTTPResponse) -> str | None:
        directive = rules.opt_out(response.headers.getlist("X-Robots-Tag")) if response.status < 400 else None
        if directive and self.settings.honour_opt_out:
            raise HttpFailure("opt_out", f"the server says `X-Robots-Tag: {directive}`")
        return directive

    @contextmanager
    def _slot(self, url: str) -> Iterator[_Host]:
        """Wait for a free slot of the URL's host, and until the host accepts requests again."""
        name = urlsplit(url).hostname or ""
        with self._lock:
            host = self._hosts.setdefault(name, _Host(threading.BoundedSemaphore(self.settings.per_host)))
            host.users += 1
        try:
            while True:
                quiet = host.quiet_until - time.monotonic()
                if quiet > self.settings.longest_wait_seconds:
                    raise HttpFailure("throttled", f"its host accepts no requests for the next {quiet:.0f} s")
                if quiet > 0:
                    time.sleep(quiet + random.uniform(0, 0.1))  # not all of them at the same moment
                with host.slots:
                    if host.quiet_until <= time.monotonic():
                        yield host
                        return
        finally:
            with self._lock:
                host.users -= 1
                if host.users == 0 and host.quiet_until <= time.monotonic():
                    self._hosts.pop(name, None)


def _finish(response: BaseHTTPResponse) -> None:
    """Make the connection ready for the next request: read the little that is left, or close it."""
    if not response.closed and response.length_remaining is not None and response.length_remaining <= PROGRESS:
        with suppress(HTTPError, OSError):
            while response.read1(PROGRESS):
                pass
    if not response.closed:
        response.close()
    response.release_conn()
