"""How web requests fail: the kind, the cause, the remedy.

Belongs here: classifying failures. Does not belong here: deciding how often to retry (``client.py``).
"""

import http.client
import socket
import ssl

from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from resources.retry import retry_after
from resources.storage.http.connections import Patience, PrivateAddress
from resources.storage.http.rules import redacted
from resources.storage.http.settings import ALLOW_PRIVATE_VARIABLE
from resources.storage.objects import StorageError

REMEDIES = {
    "dns": "check the spelling of the host, and this machine's DNS server",
    "refused": "check that the server is running and that no firewall blocks it",
    "reset": "the server or the network drops connections; try again later",
    "timeout": "try again later, or raise the timeouts (`total_seconds`, `read_seconds`)",
    "not_found": "remove it from the list, or correct the address",
    "denied": "the server requires a login or a permission that is missing",
    "too_large": "raise the limit (`max_bytes`) if the size is intended",
    "opt_out": "its owner does not want it used for training",
    "throttled": "try again later, or lower `per_host`",
    "server_error": "the error is on the server; try again later",
    "tls": "check that the certificate is valid; SSL_CERT_FILE adds certificate authorities",
    "redirects": "use the object's final address",
    "private_address": f"allow it with `allow_private: true` or {ALLOW_PRIVATE_VARIABLE}=1 if that is intended",
    "truncated": "try again later; the server's copy may be damaged",
    "rejected": "open the address in a browser",
    "invalid": "correct the address",
}
"""Remedies by kind. The kinds are what rows are selected by (``arot retry --reason``)."""

RETRY_STATUSES = {408: "timeout", 421: "server_error", 425: "throttled", 429: "throttled"}
NEVER_BETTER = (501, 505, 511)


class HttpFailure(Exception):
    """One failed attempt.

    Attributes:
        kind: a key of ``REMEDIES``.
        cause: in words, without the address.
        again: whether another attempt may help.
        wait: seconds that the server asks to wait first, None if it does not.
    """

    def __init__(self, kind: str, cause: str, *, again: bool = False, wait: float | None = None) -> None:
        super().__init__(cause)
        self.kind = kind
        self.cause = cause
        self.again = again
        self.wait = wait

    def storage_error(self, uri: str, action: str) -> StorageError:
        """The error shown to the caller, without any secrets of the URL."""
        return StorageError(f"cannot {action} '{redacted(uri)}': {self.cause}; {REMEDIES[self.kind]}", kind=self.kind)


def failed_status(status: int, asked_to_wait: str | None) -> HttpFailure:
    """What a response means whose status is 400 or above, or makes no sense."""
    wait = retry_after(asked_to_wait)
    said = f"HTTP {status} {http.client.responses.get(status, '')}".strip()
    if wait is not None:
        said += f", asking to wait {wait:.3g} s"
    if status in (404, 410):
        return HttpFailure("not_found", said)
    if status in (401, 402, 403, 407, 451):
        return HttpFailure("denied", said)
    if status == 413:
        return HttpFailure("too_large", said)
    if status in RETRY_STATUSES:
        return HttpFailure(RETRY_STATUSES[status], said, again=True, wait=wait)
    if status >= 500:
        kind = "throttled" if status == 503 and wait is not None else "server_error"
        return HttpFailure(kind, said, again=status not in NEVER_BETTER, wait=wait)
    return HttpFailure("rejected", said)


def failed_exchange(error: BaseException, watch: Patience, began: bool) -> HttpFailure:
    """What an exception of urllib3 means.

    Args:
        error: the exception.
        watch: the watch of that exchange, which may have ended it.
        began: whether the body had started to arrive.
    """
    if isinstance(error, PrivateAddress):
        return HttpFailure("private_address", f"the host resolves to {error}, which is not a public address")
    if isinstance(error, NameResolutionError):
        cause = error.__cause__
        passing = isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_AGAIN
        return HttpFailure("dns", f"the host has no address: {_words(cause)}", again=passing)
    if isinstance(error, LocationValueError):
        return HttpFailure("invalid", "not a valid address")
    if isinstance(error, NewConnectionError):
        return HttpFailure("refused", f"no connection: {_words(error.__cause__)}", again=True)
    if isinstance(error, ConnectTimeoutError):
        return HttpFailure("timeout", watch.verdict or "no connection was established in time", again=True)
    if isinstance(error, ReadTimeoutError | TimeoutError):
        return HttpFailure("timeout", watch.verdict or "the server stopped responding", again=True)
    if isinstance(error, SSLError | ssl.SSLError):
        inner = error.args[0] if error.args else error
        certificate = isinstance(inner, ssl.SSLCertVerificationError)
        cause_text = inner.verify_message if isinstance(inner, ssl.SSLCertVerificationError) else _words(inner)
        return HttpFailure("tls", f"no secure connection: {cause_text}", again=not certificate)
    if isinstance(error, ProtocolError | OSError | HTTPError | http.client.HTTPException):
        if began:
            return HttpFailure("truncated", "the connection broke in the middle of the body", again=True)
        return HttpFailure("reset", "the connection broke before a response arrived", again=True)
    raise error


def _words(error: object) -> str:
    """An operating system error without its number and without addresses."""
    return str(getattr(error, "strerror", None) or getattr(error, "reason", None) or type(error).__name__)
