"""Objects on web servers: ``http://`` and ``https://``, read only.

Belongs here: the backend of these schemes. Does not belong here: requests (``client.py``), lists of URLs
(``arot_assets.datasets.sources.url_list``).
"""

import io
from collections.abc import Iterator
from functools import partial
from typing import IO

from resources.storage.backend import Backend
from resources.storage.http import rules
from resources.storage.http.client import HttpClient, HttpResponse
from resources.storage.http.failures import HttpFailure
from resources.storage.http.settings import HttpSettings
from resources.storage.objects import ObjectColumns, ObjectInfo, StorageError
from resources.storage.ranges import ranged

NO_HEAD = ("rejected", "denied", "server_error")
"""Kinds of failures of ``HEAD`` after which one byte is requested with ``GET`` instead: some servers only reject
``HEAD``."""


class HttpBackend(Backend):
    """See ``Backend``. A web server has no listings, so only single objects are accessible.

    Args:
        settings: rate limits, timeouts, and what is refused.
    """

    scheme = "http"
    read_only = "web addresses can only be read; use a folder, s3:// or hf://"

    def __init__(self, settings: HttpSettings | None = None) -> None:
        self.client = HttpClient(settings or HttpSettings())

    def ls_columns(self, root: str) -> Iterator[ObjectColumns]:
        """See ``Backend``; only the object that the root is."""
        if root.endswith("/"):
            raise StorageError(
                f"cannot list '{rules.redacted(root)}': web servers have no listings; name one object, or use a list of URLs"
            )
        one = self.stat(root)
        yield ObjectColumns.of([one])

    def stat(self, uri: str) -> ObjectInfo:
        """See ``Backend``; the size is 0 if the server does not report it."""
        try:
            return _info(uri, self._head(uri))
        except HttpFailure as failure:
            raise failure.storage_error(uri, "look up") from None

    def exists(self, uri: str) -> bool:
        """See ``Backend``.

        Raises:
            StorageError: the server does not say whether the object exists.
        """
        try:
            self._head(uri)
        except HttpFailure as failure:
            if failure.kind == "not_found":
                return False
            raise failure.storage_error(uri, "look up") from None
        return True

    def names(self, uri: str) -> list[str]:
        """See ``Backend``; a web server has no names to list."""
        return []

    def read(self, uri: str, start: int = 0, end: int | None = None) -> bytes:
        """See ``Backend``."""
        if end is not None and end <= start:
            return b""
        try:
            return self.client.get(uri, start, end).data
        except HttpFailure as failure:
            raise failure.storage_error(uri, "read") from None

    def read_with_opt_out(self, uri: str) -> tuple[bytes, str | None]:
        """The object, and the directive (``noai``) with which its server forbids training on it, or None."""
        try:
            answer = self.client.get(uri)
        except HttpFailure as failure:
            raise failure.storage_error(uri, "read") from None
        return answer.data, answer.opt_out

    def read_unless(self, uri: str, etag: str | None, mtime: float = 0.0) -> tuple[ObjectInfo, bytes] | None:
        """The object if it differs from the known one; None if it is the same (one request either way).

        Args:
            uri: the object.
            etag: that of the known object, or None.
            mtime: modification time of the known object, used if there is no etag; 0.0 if unknown.
        """
        known = {}
        if etag:
            known["If-None-Match"] = rules.quoted_etag(etag)
        elif mtime:
            known["If-Modified-Since"] = rules.date_header(mtime)
        try:
            answer = self.client.get(uri, known=known)
        except HttpFailure as failure:
            raise failure.storage_error(uri, "read") from None
        return None if answer.status == 304 else (_info(uri, answer), answer.data)

    def open(self, uri: str) -> IO[bytes]:
        """See ``Backend``; parts are fetched as they are read, if the server supports ranges."""
        try:
            first = self.client.get(uri, 0, 1)
            if first.status == 206 and first.total is not None:
                return ranged(partial(self._part, uri, _info(uri, first)), first.total)
            return io.BytesIO(self.client.get(uri).data)
        except HttpFailure as failure:
            raise failure.storage_error(uri, "read") from None

    def is_folder(self, uri: str) -> bool:
        """See ``Backend``; always False."""
        return False

    def refused(self, uri: str, action: str) -> StorageError:
        """See ``Backend``; shows no secrets of the URL."""
        return super().refused(rules.redacted(uri), action)

    def _part(self, uri: str, known: ObjectInfo, start: int, end: int) -> bytes:
        """Bytes of the known object, never of another that has replaced it."""
        try:
            answer = self.client.get(uri, start, end)
        except HttpFailure as failure:
            raise failure.storage_error(uri, "read") from None
        if _info(uri, answer)[1:] != known[1:]:
            raise StorageError(
                f"cannot read '{rules.redacted(uri)}': it changed while it was being read; read it again"
            )
        return answer.data

    def _head(self, uri: str) -> HttpResponse:
        try:
            answer = self.client.head(uri)
            if answer.total is not None:
                return answer
        except HttpFailure as failure:
            if failure.kind not in NO_HEAD:
                raise
        return self.client.get(uri, 0, 1)


def _info(uri: str, answer: HttpResponse) -> ObjectInfo:
    return ObjectInfo(
        uri, answer.total or 0, rules.http_date(answer.headers.get("Last-Modified")), rules.etag(answer.headers)
    )
