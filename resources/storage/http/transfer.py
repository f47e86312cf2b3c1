"""The bytes of one object as they arrive, over as many broken responses as it takes.

Belongs here: which bytes of a response belong where, whether they are complete, and how the next request continues.
Does not belong here: sending requests (``client.py``).
"""

import zlib
from collections.abc import Mapping

from urllib3 import BaseHTTPResponse

from resources.storage.http import rules
from resources.storage.http.failures import HttpFailure, failed_status

PIECE = 256 * 1024


class Transfer:
    """Bytes ``start`` to ``end`` of one object.

    Args:
        start: first byte wanted.
        end: the byte after the last one, None for the end of the object.
        limit: maximum number of bytes accepted.
        known: headers that make the request conditional.

    Attributes:
        total: size of the whole object, None until it is known.
        most: the largest number of bytes received of any one version of the object.
    """

    def __init__(self, start: int, end: int | None, limit: int, known: dict[str, str]) -> None:
        self.total: int | None = None
        self.most = 0
        self._start, self._end, self._limit, self._known = start, end, limit, known
        self._data = bytearray()
        self._validator: str | None = None
        self._encoding = ""
        self._headers: Mapping[str, str] = {}

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the next request: everything wanted, or the rest of it if it is still the same object."""
        headers = dict(self._known)
        first = self._start + len(self._data)
        if first or self._end is not None:
            headers["Range"] = f"bytes={first}-{'' if self._end is None else self._end - 1}"
        if self._data and self._validator:
            headers["If-Range"] = self._validator
        return headers

    def take(self, response: BaseHTTPResponse) -> tuple[int, Mapping[str, str]]:
        """Read a response to its end.

        Returns:
            Its status and headers. The bytes are complete.

        Raises:
            HttpFailure: the response is unusable, or it broke off; bytes received so far are kept if it can be
                continued.
            HTTPError, OSError: the connection broke; likewise.
        """
        if response.status == 304 and self._known:
            return 304, response.headers
        if response.status == 416:
            self.total = rules.size_of_unsatisfied(response.headers.get("Content-Range"))
            if not self._data and self.total is not None and self._start >= self.total:
                return 206, response.headers
            self._restart()
            raise HttpFailure("truncated", "the server reports contradictory sizes", again=True)
        if response.status not in (200, 206):
            raise failed_status(response.status, response.headers.get("Retry-After"))
        position, stop = self._place(response)
        try:
            self._read(response, position, stop)
        except BaseException:
            if self._validator is None:
                self._restart()
            raise
        return response.status, self._headers

    def result(self) -> bytes:
        """What was received, decoded if the server compressed it despite being asked not to."""
        if self._encoding in ("", "identity"):
            return bytes(self._data)
        if self._encoding not in ("gzip", "x-gzip", "deflate"):
            raise HttpFailure("rejected", f"the server sends it with the unsupported encoding {self._encoding!r}")
        decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)
        try:
            data = decoder.decompress(bytes(self._data), self._limit + 1)
        except zlib.error:
            raise HttpFailure("truncated", f"the body is not valid {self._encoding}") from None
        if len(data) > self._limit:
            raise self._too_large(None)
        if not decoder.eof:
            raise HttpFailure("truncated", f"the {self._encoding} body is incomplete")
        self.total = len(data)
        return data

    def _restart(self) -> None:
        self._data.clear()
        self._validator = None

    def _place(self, response: BaseHTTPResponse) -> tuple[int, int | None]:
        """Where in the object the body begins, and the byte before which it must end (None: unknown)."""
        headers = response.headers
        validator = rules.strong_validator(headers)
        length = headers.get("Content-Length", "")
        span = rules.content_range(headers.get("Content-Range"))
        position = self._start + len(self._data)
        if response.status == 200:
            self._restart()
            position, self.total = 0, int(length) if length.isdecimal() else None
        elif span is None or span[0] != position or self._is_another(validator, span[2]):
            self._restart()
            raise HttpFailure("truncated", "the server sent a different range than requested", again=True)
        else:
            self.total = span[2]
        if not self._data:  # the response to a continued request may omit what the first one said
            self._validator, self._headers = validator, headers
            self._encoding = headers.get("Content-Encoding", "").strip().lower()
        if self._encoding not in ("", "identity") and (self._start or self._end is not None):
            raise HttpFailure("rejected", f"the server sends it as {self._encoding!r}, so it has no ranges")
        stop = self.total if self._end is None else min(self._end, self.total or self._end)
        if stop is not None and stop - self._start > self._limit:
            raise self._too_large(stop - self._start)
        return position, stop if self.total is not None else None

    def _is_another(self, validator: str | None, total: int | None) -> bool:
        """Whether the response to a continued request belongs to another version than the bytes received so far."""
        return bool(self._data) and (validator not in (None, self._validator) or self.total not in (None, total))

    def _read(self, response: BaseHTTPResponse, position: int, stop: int | None) -> None:
        end = self._end if stop is None else stop
        while end is None or position < end:
            piece = response.read1(PIECE)
            if not piece:
                break
            skipped = max(0, self._start - position)
            kept = len(piece) if end is None else end - position
            self._data += piece[skipped:kept]
            position += len(piece)
            self.most = max(self.most, len(self._data))
            if position - self._start > self._limit or (skipped and position > self._limit):
                raise self._too_large(None)
        if stop is not None and position < stop:
            raise HttpFailure("truncated", f"only {position} of {stop} bytes arrived", again=True)
        if self.total is None and self._end is None:
            self.total = position

    def _too_large(self, size: int | None) -> HttpFailure:
        said = f"{size:,} bytes" if size is not None else "more bytes than allowed"
        return HttpFailure("too_large", f"{said}; the limit is {self._limit:,} bytes")
