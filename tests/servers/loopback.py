"""A threaded HTTP/1.1 server on loopback: what the Hub and the web server of the tests share.

Belongs here: listening, reading requests, answering with a body or a part of it, ending every connection at the stop.
Does not belong here: what is served (``tests.servers.hub``, ``tests.servers.http``).
"""

import contextlib
import json
import re
import shutil
import socket
import struct
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

ABORT = struct.pack("ii", 1, 0)
"""``SO_LINGER``: a close sends RST and drops what is not yet sent."""
RANGE = re.compile(r"bytes=(\d*)-(\d*)$")


class Exchange(BaseHTTPRequestHandler):
    """One request and its answer."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    owner: "LoopbackServer"

    def answer(self) -> None:
        """Let the server answer; a client that went away is no error."""
        self._body: bytes | None = None
        try:
            self.owner.handle(self)
            self.read_body()  # the next request of this connection starts behind it
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = answer

    @property
    def route(self) -> str:
        """The path as it was sent, still quoted, without the query."""
        return urlsplit(self.path).path

    @property
    def query(self) -> dict[str, str]:
        """The last value of each query parameter."""
        return {k: v[-1] for k, v in parse_qs(urlsplit(self.path).query, keep_blank_values=True).items()}

    @property
    def host(self) -> str:
        """``host:port`` as the client sees this server, through a proxy too."""
        return self.headers.get("Host", "")

    def read_body(self) -> bytes:
        """The request's body, by length or in chunks."""
        if self._body is None:
            if "chunked" in self.headers.get("Transfer-Encoding", ""):
                self._body = b"".join(iter(self._read_chunk, b""))
            else:
                self._body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return self._body

    def reply(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """Answer with all of a body."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD" and status not in (204, 304):
            self.wfile.write(body)

    def reply_json(self, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Answer with JSON."""
        self.reply(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def reply_content(self, content: bytes | Path, etag: str, headers: Mapping[str, str] | None = None) -> None:
        """Answer with content that has an ETag: whole, a range, unchanged (304) or out of range (416).

        Args:
            content: the bytes, or the file that holds them.
            etag: with its quotes.
            headers: more of them.
        """
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        shared = {"ETag": etag, "Accept-Ranges": "bytes", **(headers or {})}
        if etag in self.headers.get("If-None-Match", ""):
            self.reply(304, headers=shared)
            return
        asked = self.headers.get("Range") if self.headers.get("If-Range", etag) == etag else None
        span = parse_range(asked, size)
        if span is None:
            self.reply(416, headers={**shared, "Content-Range": f"bytes */{size}"})
            return
        start, end = span
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        for name, value in {**shared, "Content-Length": str(end - start)}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if isinstance(content, bytes):
            self.wfile.write(content[start:end])
        elif (start, end) == (0, size):
            with content.open("rb") as file:
                shutil.copyfileobj(file, self.wfile)
        else:
            with content.open("rb") as file:
                file.seek(start)
                self.wfile.write(file.read(end - start))

    def abort(self) -> None:
        """End the connection with RST: the client sees "connection reset by peer"."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing on standard error."""

    def _read_chunk(self) -> bytes:
        size = int(self.rfile.readline().split(b";")[0], 16)
        data = self.rfile.read(size)
        self.rfile.readline()
        return data


def parse_range(asked: str | None, size: int) -> tuple[int, int] | None:
    """Start and end (not included) of a ``Range`` header; all when there is none; None when it cannot be had."""
    if not asked:
        return 0, size
    match = RANGE.match(asked)
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        return (max(0, size - int(last)), size) if int(last) else None
    end = min(int(last) + 1, size) if last else size
    return (int(first), end) if int(first) < end else None


class _Server(ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True

    def __init__(self, handler: type[Exchange]) -> None:
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        if request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == ABORT:
            self.close_request(request)  # a shutdown would say goodbye first
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that break a connection are expected; anything else is shown as usual."""
        import sys

        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class LoopbackServer:
    """A server in threads of this process; use as a context manager. Subclasses say what it answers."""

    def __init__(self) -> None:
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def handle(self, exchange: Exchange) -> None:
        """Answer one request; called in a thread of its connection."""
        raise NotImplementedError

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._server is not None, "the server is not started"
        return int(self._server.server_address[1])

    @property
    def endpoint(self) -> str:
        """``http://127.0.0.1:PORT``."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._server = _Server(type("Exchange", (Exchange,), {"owner": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None and self._thread is not None
        self._server.shutdown()
        self._thread.join()
        for connection in list(self._server.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()
