"""Reading the Hugging Face Hub: the contents of a repository at a commit, bytes of a file.

Belongs here: the requests, and retrying them. Does not belong here: writing (``commits.py``), addresses
(``address.py``), the wording of failures (``errors.py``), the backend (``backend.py``).

The client is ``huggingface_hub``; it retries some requests itself, and others not at all.
"""

import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from resources.retry import Retry, retry_after
from resources.storage.hub.address import MAIN, HubAddress
from resources.storage.hub.errors import explain_hub, may_pass, reached, silent
from resources.storage.hub.settings import HubSettings
from resources.storage.objects import StorageError

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile, RepoFolder

T = TypeVar("T")

ATTEMPTS = 7
UNREACHED_ATTEMPTS = 5
"""When no server is listening: a restarting server is back within them, a wrong address is reported after a few
seconds."""
SILENT_ATTEMPTS = 2
"""When a server accepts the connection but does not respond."""
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 20.0
CHUNK_BYTES = 1024 * 1024
CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 30.0
"""Read timeout; ``huggingface_hub`` itself waits for ever."""


class HubClient:
    """A client of one Hub server, with the current token. Thread-safe.

    Args:
        settings: the server's address.
    """

    def __init__(self, settings: HubSettings | None = None) -> None:
        self.settings = settings or HubSettings()
        self._apis: dict[tuple[str, str | None], HfApi] = {}
        self._making = threading.Lock()

    def api(self) -> "HfApi":
        """The official client for this server and the current token."""
        from huggingface_hub import HfApi

        logging.getLogger("huggingface_hub.utils._http").addFilter(without_signatures)
        known = (self.settings.address(), self.settings.token())
        with self._making:
            if known not in self._apis:
                self._apis = {known: HfApi(endpoint=known[0], token=known[1] or False, library_name="arot")}
            return self._apis[known]

    def pinned(self, address: HubAddress, action: str = "look up") -> HubAddress:
        """The same path at the commit that its revision currently points to; no request if it is a commit already.

        Raises:
            StorageError: there is no such repository or revision, or this token has no access to it.
        """
        return address if address.commit else address.at(self._sha(address, action))

    def has(self, address: HubAddress) -> bool:
        """Whether the repository exists and has this revision: history can be squashed away.

        Raises:
            StorageError: the Hub cannot be asked.
        """
        try:
            self._sha(address, "look up")
        except StorageError as error:
            if error.kind != "not_found":
                raise
            return False
        return True

    def _sha(self, address: HubAddress, action: str) -> str:
        info = self.ask(
            address,
            action,
            lambda: self.api().repo_info(
                address.repo, repo_type=address.kind, revision=address.revision, timeout=SILENCE_SECONDS
            ),
        )
        return str(info.sha)

    def entry(self, address: HubAddress) -> "RepoFile | RepoFolder | None":
        """The file or folder at a path, None if there is none.

        Raises:
            StorageError: there is no such repository or revision, or this token has no access to it.
        """
        found = self.ask(
            address,
            "look up",
            lambda: self.api().get_paths_info(
                address.repo, [address.path], repo_type=address.kind, revision=address.revision
            ),
        )
        return next((one for one in found if one.path == address.path), None)

    def tree(self, address: HubAddress, recursive: bool = True) -> "Iterator[RepoFile | RepoFolder]":
        """Everything below a folder, page by page, all of one commit.

        Raises:
            StorageError: there is no such repository, revision or folder, or this token has no access to it.
        """
        pinned = self.pinned(address, "list")
        passed = 0
        retry = new_retry()
        while True:
            listing = self.api().list_repo_tree(
                pinned.repo, pinned.path or None, recursive=recursive, revision=pinned.revision, repo_type=pinned.kind
            )
            try:
                self.set_timeouts()
                for number, one in enumerate(listing):
                    if number >= passed:  # skip what the broken listing has yielded already
                        passed += 1
                        yield one
                return
            except Exception as error:
                if not again(retry, error):
                    raise self.error(address, "list", error) from None

    def is_private(self, address: HubAddress) -> bool:
        """Whether a repository is private.

        Raises:
            StorageError: it does not exist, or this token has no access to it.
        """
        info = self.ask(
            address,
            "look up",
            lambda: self.api().repo_info(address.repo, repo_type=address.kind, timeout=SILENCE_SECONDS),
        )
        return bool(info.private)

    def get(self, address: HubAddress, start: int = 0, end: int | None = None) -> bytes:
        """Bytes ``start`` to ``end`` (exclusive; None: to the end) of a file.

        Raises:
            StorageError: it does not exist, or cannot be read.
        """
        if end is not None and end <= start:
            return b""
        ranged = start > 0 or end is not None

        def once() -> bytes:
            from huggingface_hub import get_session
            from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

            headers = build_hf_headers(token=self.settings.token() or False, library_name="arot")
            if ranged:
                headers["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
            headers["Accept-Encoding"] = "identity"
            answer = get_session().get(self.url(address), headers=headers)
            if answer.status_code == 416:
                return b""
            hf_raise_for_status(answer)
            data: bytes = answer.content
            return data[start:end] if ranged and answer.status_code == 200 else data

        return self.ask(address, "read", once)

    def download(self, address: HubAddress, path: Path) -> int:
        """Download a file from the Hub to a local file as its bytes arrive; returns its size in bytes.

        A broken download is resumed. The address should name a commit, because a branch may change in between.

        Raises:
            StorageError: it does not exist, or cannot be read.
            OSError: the local file cannot be written.
        """
        from huggingface_hub import get_session
        from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

        headers = build_hf_headers(token=self.settings.token() or False, library_name="arot")
        headers["Accept-Encoding"] = "identity"
        retry = new_retry()
        with path.open("wb") as file:
            while True:
                before = file.tell()
                try:
                    self.set_timeouts()
                    part = {"Range": f"bytes={before}-"} if before else {}
                    with get_session().stream("GET", self.url(address), headers=headers | part) as answer:
                        if before and answer.status_code == 416:  # all of it had arrived
                            return before
                        hf_raise_for_status(answer)
                        if before and answer.status_code == 200:  # the server does not support ranges
                            file.seek(0)
                            file.truncate()
                        for chunk in answer.iter_bytes(CHUNK_BYTES):
                            file.write(chunk)
                    return file.tell()
                except Exception as error:
                    if isinstance(error, OSError) and not hasattr(error, "response"):  # the disk, not the Hub
                        raise
                    if file.tell() > before:
                        retry.progressed()
                    if not again(retry, error):
                        raise self.error(address, "read", error) from None

    def url(self, address: HubAddress) -> str:
        """The download URL of a file. It grants nothing by itself: access depends on the token."""
        from huggingface_hub import hf_hub_url

        return hf_hub_url(
            address.repo,
            address.path,
            repo_type=address.kind,
            revision=address.revision or MAIN,
            endpoint=self.settings.address(),
        )

    def error(self, address: HubAddress, action: str, error: BaseException) -> StorageError:
        """The error shown to the caller."""
        return explain_hub(address, action, error, self.settings.token() is not None)

    def ask(self, address: HubAddress, action: str, request: Callable[[], T]) -> T:
        """Send a request, and retry it while that may help."""
        retry = new_retry()
        while True:
            try:
                self.set_timeouts()
                return request()
            except Exception as error:
                if not again(retry, error):
                    raise self.error(address, action, error) from None

    def set_timeouts(self) -> None:
        """Set timeouts on the shared HTTP client: it is created without any, and created again after some errors."""
        import httpx2
        from huggingface_hub import get_session

        session = get_session()
        if session.timeout == httpx2.Timeout(None):
            session.timeout = httpx2.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)


def without_signatures(record: logging.LogRecord) -> bool:
    """A filter of ``huggingface_hub``'s log: it says which request it repeats, with the signature in the URL's query."""
    record.msg, record.args = re.sub(r"(https?://[^\s?]*)\?\S*", r"\1", record.getMessage()), ()
    return True


def new_retry() -> Retry:
    return Retry(ATTEMPTS, FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS)


def again(retry: Retry, error: Exception) -> bool:
    """``Retry.again``, depending on the failure."""
    most = SILENT_ATTEMPTS if silent(error) else None if reached(error) else UNREACHED_ATTEMPTS
    headers: Mapping[str, str] = getattr(getattr(error, "response", None), "headers", {})
    return may_pass(error) and retry.again(most, retry_after(headers.get("Retry-After")))
