"""A web server on loopback that behaves well or badly, as a script says, path by path.

Belongs here: the behaviours of single answers, and the count of what was asked.
Does not belong here: faults at random between a client and any server (``tests.servers.faults``).

A path answers with its replies one after the other, and keeps the last::

    with WebServer() as web:
        web.serve("/a.jpg", throttled(1), throttled(1), Reply(body=jpeg, etag="v1"))
        fetch(f"{web.endpoint}/a.jpg")
        assert web.count("/a.jpg") == 3
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from tests.servers.loopback import Exchange, LoopbackServer, parse_range

PIECE = 64 * 1024


@dataclass(frozen=True)
class Reply:
    """One answer.

    Attributes:
        status: of HTTP.
        body: what is sent; an error's body says its status when it is empty.
        size: send so many zero bytes in place of a body (a huge file costs no memory).
        content_type: None sends none.
        headers: more of them, in place of the usual ones of the same name.
        etag: without quotes; with it ``If-None-Match`` gives 304, and ``If-Range`` is minded.
        ranges: honour ``Range``; without, everything is sent with status 200.
        latency: seconds before anything is sent.
        length: the ``Content-Length`` that is claimed; a true one when None.
        cut: close the connection after so many bytes of the body, as if it had ended.
        reset: break the connection (RST) after so many bytes of the body; -1 sends not even a status.
        chunked: send no length, but chunks.
        drip: (bytes, seconds): send that many at a time and wait after each.
    """

    status: int = 200
    body: bytes = b""
    size: int | None = None
    content_type: str | None = "application/octet-stream"
    headers: Mapping[str, str] = field(default_factory=dict)
    etag: str | None = None
    ranges: bool = True
    latency: float = 0.0
    length: int | None = None
    cut: int | None = None
    reset: int | None = None
    chunked: bool = False
    drip: tuple[int, float] | None = None

    def pieces(self, start: int, end: int) -> Iterator[bytes]:
        """The body between two offsets, in pieces."""
        step = self.drip[0] if self.drip else PIECE
        for at in range(start, end, step):
            stop = min(at + step, end)
            yield bytes(stop - at) if self.size is not None else self.body[at:stop]


def throttled(seconds: float, status: int = 429) -> Reply:
    """Too many requests (or 503): come again after so many seconds."""
    return Reply(status, headers={"Retry-After": f"{seconds:g}"})


def redirect(to: str, status: int = 302) -> Reply:
    """Look elsewhere: an address or a path, which may be private, or this very one."""
    return Reply(status, headers={"Location": to})


@dataclass(frozen=True)
class Request:
    """What a client asked for."""

    method: str
    path: str
    headers: Mapping[str, str]
    at: float
    """Seconds of ``time.monotonic``."""


class WebServer(LoopbackServer):
    """A web server; use as a context manager. A path that was not scripted is a 404.

    Attributes:
        requests: all so far, in the order of arrival.
    """

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Request] = []
        self._replies: dict[str, list[Reply]] = {}
        self._lock = threading.Lock()
        self._now: Counter[str] = Counter()
        self._most: Counter[str] = Counter()

    def serve(self, path: str, *replies: Reply) -> str:
        """Script a path (unquoted, with its slash); returns its URL, unquoted."""
        self._replies[path] = list(replies)
        return self.endpoint + path

    def count(self, path: str, method: str | None = None) -> int:
        """How often a path was asked for (by one method)."""
        return sum(r.path == path and method in (None, r.method) for r in self.requests)

    def most_at_once(self, host: str | None = None) -> int:
        """The most requests that were being answered at the same time; of one ``Host`` header, or the most of any."""
        return self._most[host] if host else max(self._most.values(), default=0)

    def handle(self, exchange: Exchange) -> None:
        """Answer by the script."""
        path = unquote(exchange.route)
        with self._lock:
            self.requests.append(Request(exchange.command, path, dict(exchange.headers), time.monotonic()))
            replies = self._replies.get(path, [Reply(404)])
            reply = replies.pop(0) if len(replies) > 1 else replies[0]
            self._now[exchange.host] += 1
            self._most[exchange.host] = max(self._most[exchange.host], self._now[exchange.host])
        try:
            exchange.read_body()
            send(exchange, reply)
        finally:
            with self._lock:
                self._now[exchange.host] -= 1


def send(exchange: Exchange, reply: Reply) -> None:
    """Give one answer, well or badly."""
    time.sleep(reply.latency)
    if reply.reset == -1:
        exchange.abort()
        return
    body = reply.body or (f"status {reply.status}\n".encode() if reply.status >= 400 and reply.size is None else b"")
    if body != reply.body:
        reply = Reply(**{**vars(reply), "body": body})
    size = len(body) if reply.size is None else reply.size
    headers = {"Content-Type": reply.content_type or "", "Accept-Ranges": "bytes" if reply.ranges else "none"}
    status, start, end = reply.status, 0, size
    if reply.etag:
        headers["ETag"] = f'"{reply.etag}"'
        if headers["ETag"] in exchange.headers.get("If-None-Match", ""):
            exchange.reply(304, headers={"ETag": headers["ETag"]})
            return
    asked = exchange.headers.get("Range") if reply.ranges and status == 200 else None
    if asked and exchange.headers.get("If-Range", headers.get("ETag")) == headers.get("ETag"):
        span = parse_range(asked, size)
        if span is None:
            exchange.reply(416, headers={"Content-Range": f"bytes */{size}"})
            return
        status, (start, end) = 206, span
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    if reply.chunked:
        headers["Transfer-Encoding"] = "chunked"
    else:
        headers["Content-Length"] = str(end - start if reply.length is None else reply.length)
    exchange.send_response(status)
    for name, value in {**headers, **reply.headers}.items():
        if value:
            exchange.send_header(name, value)
    exchange.end_headers()
    if exchange.command != "HEAD" and status not in (204, 304):
        send_body(exchange, reply, start, end)


def send_body(exchange: Exchange, reply: Reply, start: int, end: int) -> None:
    """Send the body, or as much of it as the script says; what went wrong ends the connection."""
    sent = 0
    stop = next((limit for limit in (reply.cut, reply.reset) if limit is not None), None)
    for piece in reply.pieces(start, end):
        part = piece if stop is None else piece[: stop - sent]
        exchange.wfile.write(b"%x\r\n%b\r\n" % (len(part), part) if reply.chunked and part else part)
        sent += len(part)
        if sent == stop:
            break
        if reply.drip:
            time.sleep(reply.drip[1])
    if reply.reset is not None:
        exchange.abort()
    elif reply.cut is not None or (reply.length is not None and reply.length > sent):
        exchange.close_connection = True
    elif reply.chunked:
        exchange.wfile.write(b"0\r\n\r\n")
