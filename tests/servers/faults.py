"""A proxy between a client and a server of the tests that breaks some of what passes, by rates and a seed.

Belongs here: connections and HTTP messages in general; it knows nothing of S3 or the Hub.
Does not belong here: answers that a script decides (``tests.servers.http``).

What befalls a request depends on the seed, the request's method and target and how often that was asked before, not on
the order in which concurrent requests arrive. Where targets differ from run to run (a commit, a bucket's name), so do the
faults, and ``at_most`` is what a client can be held to.
"""

import asyncio
import contextlib
import functools
import random
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import urlsplit

from tests.servers.loopback import ABORT

HEAD_BYTES = 256 * 1024
PIECE = 64 * 1024
NO_BODY = (204, 304)


@dataclass(frozen=True)
class Faults:
    """Shares (0–1) of the requests that go wrong, each in one way.

    Attributes:
        refuse: the connection breaks before the request is forwarded.
        error: 500 or 503 in place of an answer; the request is not forwarded.
        lost: the request is done, but its answer is a 500 or 503.
        reset: the connection breaks (RST) amid the answer.
        half: the connection closes amid the answer, as if it had ended.
        delay: the answer waits ``delay_seconds``.
        delay_seconds: how long.
        at_most: faults that one method and target suffers; no limit when None. Three let a client of seven attempts
            through even where a download is two requests, as on the Hub.
    """

    refuse: float = 0.0
    error: float = 0.0
    lost: float = 0.0
    reset: float = 0.0
    half: float = 0.0
    delay: float = 0.0
    delay_seconds: float = 0.2
    at_most: int | None = 3


KINDS = ("refuse", "error", "lost", "reset", "half", "delay")


@dataclass(frozen=True)
class Head:
    """The first line and the headers of a message."""

    raw: bytes
    first: list[str]
    fields: dict[str, str]

    @property
    def length(self) -> int | None:
        """Bytes of the body; None when it comes in chunks or ends with the connection."""
        return int(self.fields["content-length"]) if "content-length" in self.fields else None

    @property
    def chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return "chunked" in self.fields.get("transfer-encoding", "")


class FaultProxy:
    """A proxy in a thread of its own; use as a context manager.

    Attributes:
        faults: may be replaced while it runs.
        injected: how often each kind of fault happened.
        requests: how many requests came.
    """

    def __init__(self, target: str, faults: Faults, seed: int = 0) -> None:
        """Args: target: ``http://host:port`` of the server; faults: what goes wrong; seed: of the choice."""
        parts = urlsplit(target)
        self._host, self._port = str(parts.hostname), int(parts.port or 80)
        self.faults = faults
        self.injected: Counter[str] = Counter()
        self.requests = 0
        self._seed = seed
        self._asked: Counter[str] = Counter()
        self._suffered: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._address = ("127.0.0.1", 0)

    @property
    def endpoint(self) -> str:
        """What a client is given in place of the server's address."""
        return f"http://127.0.0.1:{self._address[1]}"

    def __enter__(self) -> "FaultProxy":
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        """Within it, nothing listens: every new connection is refused, and open ones are broken."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        try:
            yield
        finally:
            asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, *self._address, limit=HEAD_BYTES, backlog=512)
        self._address = self._server.sockets[0].getsockname()[:2]

    async def _end(self) -> None:
        assert self._server is not None
        self._server.close()
        mine = asyncio.current_task()
        tasks = [t for t in asyncio.all_tasks() if t is not mine]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _choose(self, target: str) -> tuple[str | None, random.Random]:
        self.requests += 1
        chance = random.Random(f"{self._seed} {target} {self._asked[target]}")
        self._asked[target] += 1
        if self.faults.at_most is not None and self._suffered[target] >= self.faults.at_most:
            return None, chance
        drawn = chance.random()
        for kind in KINDS:
            drawn -= getattr(self.faults, kind)
            if drawn < 0:
                self._suffered[target] += 1
                self.injected[kind] += 1
                return kind, chance
        return None, chance

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client, with one of ours to the server."""
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while (head := await read_head(reader)) is not None:
                fault, chance = self._choose(" ".join(head.first[:2]))
                if fault == "refuse":
                    abort(writer)
                    return
                if fault == "error":
                    await refuse(head, reader, writer, chance)
                    return
                upstream = upstream or await asyncio.open_connection(self._host, self._port, limit=HEAD_BYTES)
                if not await self._exchange(head, (reader, writer), upstream, fault, chance):
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            abort(writer)
        except asyncio.CancelledError:
            pass  # the proxy ends, or plays dead: the connection ends with it
        finally:
            for one in (writer, *(upstream or ())[1:]):
                one.close()

    async def _exchange(
        self,
        head: Head,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        fault: str | None,
        chance: random.Random,
    ) -> bool:
        """One request and its answer; returns whether the connection can be used again."""
        upstream[1].write(head.raw)
        body = asyncio.ensure_future(copy_body(head, client[0], upstream[1], answer=False))
        # without the end of its request the server would wait for ever
        body.add_done_callback(functools.partial(abort_when_failed, upstream[1]))
        try:
            while True:
                answer = await read_head(upstream[0])
                if answer is None:
                    raise ConnectionResetError("the server closed the connection")
                status = int(answer.first[1])
                if status >= 200:
                    break
                client[1].write(answer.raw)
            if fault == "delay":
                await asyncio.sleep(self.faults.delay_seconds)
            if fault == "lost":
                # an answer before the end of the request's body would itself be a broken connection
                await body
                client[1].write(error_message(chance))
                await client[1].drain()
                return False
            empty = head.first[0] == "HEAD" or status in NO_BODY
            if fault in ("reset", "half"):
                await break_answer(answer, upstream[0], client[1], fault, chance, empty)
                return False
            client[1].write(answer.raw)
            if not empty:
                await copy_body(answer, upstream[0], client[1], answer=True)
            await client[1].drain()
            ends = "close" in (answer.fields.get("connection", "") + head.fields.get("connection", "")).lower()
            return body.done() and not ends and (empty or answer.chunked or answer.length is not None)
        finally:
            body.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError, asyncio.IncompleteReadError):
                await body


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """The next message's head, None when the connection ends before it."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    lines = raw.decode("latin-1").split("\r\n")
    pairs = (line.split(":", 1) for line in lines[1:] if ":" in line)
    return Head(raw, lines[0].split(" ", 2), {k.strip().lower(): v.strip() for k, v in pairs})


async def body_pieces(head: Head, reader: asyncio.StreamReader, answer: bool) -> AsyncIterator[bytes]:
    """The body of a message as it passes over the wire, chunk marks included.

    Args:
        head: of the message.
        reader: where the body comes from.
        answer: an answer without a length ends with its connection; a request without one has no body.

    Raises:
        asyncio.IncompleteReadError: it ends too early.
    """
    if head.chunked:
        size = -1
        while size:
            mark = await reader.readuntil(b"\r\n")
            size = int(mark.split(b";")[0], 16)
            yield mark + await reader.readexactly(size + 2)
    elif head.length is not None:
        left = head.length
        while left:
            piece = await reader.read(min(left, PIECE))
            if not piece:
                raise asyncio.IncompleteReadError(b"", left)
            left -= len(piece)
            yield piece
    elif answer:
        while piece := await reader.read(PIECE):
            yield piece


async def copy_body(head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bool) -> None:
    """Pass the body of a message on."""
    async for piece in body_pieces(head, reader, answer):
        writer.write(piece)
        await writer.drain()


async def refuse(head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, chance: random.Random) -> None:
    """Answer a request with an error in the server's place, and end the connection."""
    if head.fields.get("expect", "").lower() != "100-continue":  # such a client has not sent its body yet
        async for _ in body_pieces(head, reader, answer=False):
            pass
    writer.write(error_message(chance))
    await writer.drain()


async def break_answer(
    answer: Head,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    fault: str,
    chance: random.Random,
    empty: bool,
) -> None:
    """Send a part of an answer, then close the connection (``half``) or break it (``reset``)."""
    if empty or answer.length == 0:
        writer.write(answer.raw[: len(answer.raw) // 2])
    else:
        writer.write(answer.raw)
        left = int(chance.random() * answer.length) if answer.length else None
        async for piece in body_pieces(answer, reader, answer=True):
            part = piece[: len(piece) // 2 if left is None else left]
            writer.write(part)
            await writer.drain()
            if left is None or len(part) == left:
                break
            left -= len(part)
    await writer.drain()
    if fault == "reset":
        abort(writer)


def error_message(chance: random.Random) -> bytes:
    """An answer that says 500 or 503."""
    status = chance.choice(("500 Internal Server Error", "503 Service Unavailable"))
    return f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()


def abort(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST."""
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
    writer.transport.abort()


def abort_when_failed(writer: asyncio.StreamWriter, done: "asyncio.Future[None]") -> None:
    """End a connection to which a body could not be copied."""
    if not done.cancelled() and done.exception() is not None:
        abort(writer)
