"""Connections to web servers, with address checks and timeouts.

Belongs here: which addresses may be connected to, and giving up on a server that stalls or trickles. Does not belong
here: requests and the meaning of responses (``client.py``).

The address that is checked is the one that the socket connects to, so neither a name that resolves to another address a
moment later nor a redirect can get around it. A socket asks its ``Patience`` before each receive, so that headers,
bodies and chunks that arrive byte by byte are all detected.
"""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.ssl_ import create_urllib3_context

from resources.storage.http.rules import is_public
from resources.storage.http.settings import HttpSettings

POOLS = 50
"""Hosts whose idle connections are kept open."""


class PrivateAddress(Exception):
    """A host that has only private, loopback or link-local addresses."""


class Patience:
    """How much longer one exchange may take.

    Args:
        settings: the timeouts.
        seconds: for the exchange as a whole.

    Attributes:
        verdict: why the exchange was given up; empty if it was not.
    """

    def __init__(self, settings: HttpSettings, seconds: float) -> None:
        self.verdict = ""
        self._settings = settings
        self._deadline = time.monotonic() + seconds
        self._since: float | None = None
        self._bytes = 0

    def seconds(self) -> float:
        """Timeout of the next socket operation.

        Raises:
            TimeoutError: there is no time left.
        """
        left = self._deadline - time.monotonic()
        if left <= 0:
            self._give_up(f"not finished after {self._settings.total_seconds:g} s in total")
        return min(left, self._settings.read_seconds)

    def received(self, count: int) -> None:
        """Record received bytes.

        Raises:
            TimeoutError: they arrive so slowly that they count as silence.
        """
        now = time.monotonic()
        window = self._settings.read_seconds
        if self._since is None:
            self._since = now
        self._bytes += count
        if now - self._since >= window:
            if self._bytes < window * self._settings.slowest_bytes_per_second:
                self._give_up(f"only {self._bytes} bytes arrived in {now - self._since:.3g} s")
            self._since, self._bytes = now, 0

    def _give_up(self, verdict: str) -> None:
        self.verdict = verdict
        raise TimeoutError(verdict)


_current = threading.local()


@contextmanager
def watched(watch: Patience) -> Iterator[None]:
    """Within this context, the sockets that this thread reads from observe this watch."""
    _current.watch = watch
    try:
        yield
    finally:
        _current.watch = None


class _WatchMixin:
    """Mixed into a socket: every receive observes the watch of its thread."""

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        watch: Patience = _current.watch
        self.settimeout(watch.seconds())  # type: ignore[attr-defined]
        try:
            count: int = super().recv_into(*args, **kwargs)  # type: ignore[misc]
        except TimeoutError:
            watch.seconds()  # raises if the whole exchange has run out of time
            raise
        watch.received(count)
        return count


class _WatchedSocket(_WatchMixin, socket.socket):
    pass


class _WatchedTlsSocket(_WatchMixin, ssl.SSLSocket):
    pass


def connect(connection: HTTPConnection, allow_private: bool) -> socket.socket:
    """A connected socket to the first allowed address of the connection's host that responds.

    Raises:
        PrivateAddress: none of the addresses is allowed.
        NameResolutionError, ConnectTimeoutError, NewConnectionError: as urllib3 raises them.
    """
    watch: Patience = _current.watch
    try:
        found = socket.getaddrinfo(connection.host.strip("[]"), connection.port, 0, socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise NameResolutionError(connection.host, connection, error) from error
    except UnicodeError as error:
        unknown = socket.gaierror(socket.EAI_NONAME, str(error))
        raise NameResolutionError(connection.host, connection, unknown) from error
    allowed = [one for one in found if allow_private or is_public(str(one[4][0]))]
    if not allowed:
        raise PrivateAddress(", ".join(sorted({str(one[4][0]) for one in found})))
    failure: OSError = OSError("no address")
    for family, kind, protocol, _, address in allowed:
        sock = _WatchedSocket(family, kind, protocol)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(min(cast(float, connection.timeout), watch.seconds()))
            sock.connect(address)
            return sock
        except OSError as error:
            sock.close()
            failure = error
    if isinstance(failure, TimeoutError):
        raise ConnectTimeoutError(connection, "no response") from failure
    raise NewConnectionError(connection, str(failure)) from failure


def pool_manager(settings: HttpSettings) -> PoolManager:
    """Connection pools that follow the settings. Only for threads inside ``watched``."""
    allow_private = settings.private_allowed

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return connect(self, allow_private)

    class Tls(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return connect(self, allow_private)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = Tls

    context = create_urllib3_context()
    context.load_default_certs()
    context.sslsocket_class = _WatchedTlsSocket
    manager = PoolManager(num_pools=POOLS, maxsize=settings.per_host, ssl_context=context, cert_reqs="CERT_REQUIRED")
    manager.pool_classes_by_scheme = {"http": PlainPool, "https": TlsPool}
    return manager
