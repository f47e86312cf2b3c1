"""Asking the Hugging Face Hub: what a repository holds at a commit, bytes of a file, a commit of many files.

Belongs here: the requests, and trying them again. Does not belong here: addresses (``hub_address.py``), words for failures
(``hub_errors.py``), what ``Storage`` makes of it (``hub.py``).

The client is ``huggingface_hub``; it repeats some requests itself and others, the commit among them, not at all.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from resources.retry import Retry, retry_after
from resources.storage.hub.address import MAIN, HubAddress
from resources.storage.hub.errors import explain_hub, may_pass, reached, silent, status_of
from resources.storage.hub.settings import HubSettings
from resources.storage.objects import StorageError

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.hf_api import RepoFile, RepoFolder

T = TypeVar("T")
Content: TypeAlias = "bytes | Path | CommitOperationAdd"
"""What a file is to hold: bytes, a local file, or what ``preupload`` has uploaded."""

ATTEMPTS = 7
UNREACHED_ATTEMPTS = 5
"""Where nobody listens: a server that restarts is back within them, a wrong address is told after some seconds."""
SILENT_ATTEMPTS = 2
"""Where somebody listens and says nothing."""
COMMIT_SECONDS = 600.0
"""For a commit to a branch that others commit to as well, from its first attempt on."""
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 20.0
LONGEST_MOVED_SECONDS = 4.0
"""After another's commit: as long as a commit of some files takes, so that processes get out of each other's way."""
CHUNK_BYTES = 1024 * 1024
CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 30.0
"""Of a server that is put up with; ``huggingface_hub`` itself waits for ever."""


_turns: dict[tuple[str, str], threading.Lock] = {}
"""(server, branch) -> whose turn it is to commit, whichever client of this process it uses."""
_turns_made = threading.Lock()


class HubClient:
    """One server of the Hub, asked with the token of the moment. Safe in threads.

    Args:
        settings: where it is.
    """

    def __init__(self, settings: HubSettings | None = None) -> None:
        self.settings = settings or HubSettings()
        self._apis: dict[tuple[str, str | None], HfApi] = {}
        self._making = threading.Lock()

    def api(self) -> "HfApi":
        """The official client for this server and the token of the moment."""
        from huggingface_hub import HfApi

        known = (self.settings.address(), self.settings.token())
        with self._making:
            if known not in self._apis:
                self._apis = {known: HfApi(endpoint=known[0], token=known[1] or False, library_name="arot")}
            return self._apis[known]

    # ---------------------------------------------------------------- looking

    def pinned(self, address: HubAddress, action: str = "look up") -> HubAddress:
        """The same place at the commit that its revision is now; no request if it is a commit already.

        Raises:
            StorageError: there is no such repository or revision, or this token may not see it.
        """
        return address if address.commit else address.at(self._sha(address, action))

    def has(self, address: HubAddress) -> bool:
        """Whether the repository is there and has this revision: history can be squashed away.

        Raises:
            StorageError: it cannot be asked.
        """
        try:
            self._sha(address, "look up")
        except StorageError as error:
            if error.kind != "not_found":
                raise
            return False
        return True

    def _sha(self, address: HubAddress, action: str) -> str:
        info = self._ask(
            address,
            action,
            lambda: self.api().repo_info(
                address.repo, repo_type=address.kind, revision=address.revision, timeout=SILENCE_SECONDS
            ),
        )
        return str(info.sha)

    def entry(self, address: HubAddress) -> "RepoFile | RepoFolder | None":
        """What is at a place, None if nothing is.

        Raises:
            StorageError: there is no such repository or revision, or this token may not see it.
        """
        found = self._ask(
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
            StorageError: there is no such repository, revision or folder, or this token may not see it.
        """
        pinned = self.pinned(address, "list")
        passed = 0
        retry = _retry()
        while True:
            listing = self.api().list_repo_tree(
                pinned.repo, pinned.path or None, recursive=recursive, revision=pinned.revision, repo_type=pinned.kind
            )
            try:
                self._patient()
                for number, one in enumerate(listing):
                    if number >= passed:  # what a broken listing gave already is not given again
                        passed += 1
                        yield one
                return
            except Exception as error:
                if not _again(retry, error):
                    raise self.told(address, "list", error) from None

    # ---------------------------------------------------------------- reading

    def get(self, address: HubAddress, start: int = 0, end: int | None = None) -> bytes:
        """Bytes ``start`` to ``end`` (not included; None: to the end) of a file.

        Raises:
            StorageError: it is not there, or cannot be read.
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

        return self._ask(address, "read", once)

    def download(self, address: HubAddress, path: Path) -> int:
        """Write a file of the Hub to one of this machine as its bytes come; returns their number.

        A connection that breaks is taken up where it broke. Name a commit: a branch may move on in between.

        Raises:
            StorageError: it is not there, or cannot be read.
            OSError: the file cannot be written.
        """
        from huggingface_hub import get_session
        from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

        headers = build_hf_headers(token=self.settings.token() or False, library_name="arot")
        headers["Accept-Encoding"] = "identity"
        retry = _retry()
        with path.open("wb") as file:
            while True:
                before = file.tell()
                try:
                    self._patient()
                    part = {"Range": f"bytes={before}-"} if before else {}
                    with get_session().stream("GET", self.url(address), headers=headers | part) as answer:
                        if before and answer.status_code == 416:  # all of it had come
                            return before
                        hf_raise_for_status(answer)
                        if before and answer.status_code == 200:  # the server gives no ranges
                            file.seek(0)
                            file.truncate()
                        for chunk in answer.iter_bytes(CHUNK_BYTES):
                            file.write(chunk)
                    return file.tell()
                except Exception as error:
                    if isinstance(error, OSError) and not hasattr(error, "response"):  # the disk, not the Hub
                        raise
                    if file.tell() > before:
                        retry.got_on()
                    if not _again(retry, error):
                        raise self.told(address, "read", error) from None

    def url(self, address: HubAddress) -> str:
        """Where a file can be downloaded; the address says who may, not the URL."""
        from huggingface_hub import hf_hub_url

        return hf_hub_url(
            address.repo,
            address.path,
            repo_type=address.kind,
            revision=address.revision or MAIN,
            endpoint=self.settings.address(),
        )

    # ---------------------------------------------------------------- writing

    def require_token(self, address: HubAddress) -> None:
        """Nothing can be written without a token.

        Raises:
            StorageError: there is none on this machine.
        """
        from huggingface_hub.errors import LocalTokenNotFoundError

        if self.settings.token() is None:
            raise self.told(address, "write", LocalTokenNotFoundError())

    def check_branch(self, address: HubAddress) -> None:
        """Nothing can be written without a token, nor to a commit.

        Raises:
            StorageError: there is no token on this machine, or the address names a commit.
        """
        self.require_token(address)
        if address.commit:
            raise StorageError(
                f"cannot write to '{address.uri}': a commit never changes; name a branch, or leave the @… away",
                kind="invalid",
            )

    def ensure_repo(self, address: HubAddress, private: bool = True) -> bool:
        """Make a repository if it is not there; whether it was made now. One that is there keeps its visibility.

        Raises:
            StorageError: no token, or no right to it.
        """
        try:
            self.pinned(HubAddress(address.kind, address.repo))
            return False
        except StorageError as error:
            if error.kind != "not_found":
                raise
        self.require_token(address)
        self._ask(
            address,
            "create",
            lambda: self.api().create_repo(
                address.repo,
                repo_type=address.kind,
                private=private,
                exist_ok=True,
                space_sdk="static" if address.kind == "space" else None,
            ),
        )
        return True

    def is_private(self, address: HubAddress) -> bool:
        """Whether only its owners see a repository.

        Raises:
            StorageError: there is none, or this token may not see it.
        """
        info = self._ask(
            address,
            "look up",
            lambda: self.api().repo_info(address.repo, repo_type=address.kind, timeout=SILENCE_SECONDS),
        )
        return bool(info.private)

    def ensure_branch(self, address: HubAddress) -> bool:
        """Make the branch of an address, from the main one, if it is not there; whether it was made now.

        Raises:
            StorageError: no right to it, or a name that the Hub refuses.
        """
        branch = address.revision
        if branch is None or self.has(address):
            return False
        self._ask(
            address,
            "create",
            lambda: self.api().create_branch(address.repo, branch=branch, repo_type=address.kind, exist_ok=True),
        )
        return True

    def preupload(self, address: HubAddress, additions: "Sequence[CommitOperationAdd]") -> None:
        """Upload the content of files ahead of the commit that is to hold them. Nobody sees it before that commit.

        Args:
            address: the repository and its branch.
            additions: the files; the content of those that LFS keeps is taken out of them (``b""``), so that it may leave
                this machine. Give them to ``commit`` as they are.

        Raises:
            StorageError: no right to write, or the Hub cannot be reached.
        """
        with _no_bars():
            self._ask(
                address,
                "write",
                lambda: self.api().preupload_lfs_files(
                    address.repo, additions, repo_type=address.kind, revision=address.revision
                ),
            )

    def commit(
        self,
        address: HubAddress,
        message: str,
        changes: Callable[[str], tuple[Mapping[str, Content], Sequence[str]]],
        description: str = "",
    ) -> tuple[str, bool]:
        """Write and delete files of a branch in one commit. Files that are there as they are to be are not written again,
        and if nothing is left to do there is no commit.

        Args:
            address: the repository and its branch.
            message: one line.
            changes: called with the commit that the branch is at; returns path -> content of the files to write, and the
                paths of those to delete. It is called again when somebody else committed meanwhile, so that nothing that
                it decides is decided on an old state.
            description: more lines.

        Returns:
            The commit that the branch is at then, and whether it is a new one.

        Raises:
            StorageError: no token, no right, a name that the Hub refuses, or others commit to it for ``COMMIT_SECONDS``.
        """
        self.check_branch(address)
        branch = address.child("")
        with _turns_made:
            turn = _turns.setdefault(
                (self.settings.address(), branch.at(branch.revision or MAIN).uri), threading.Lock()
            )
        with turn:  # of this process one after the other: each would make those of the others start again
            return self._commit(branch, message, changes, description)

    def _commit(
        self,
        branch: HubAddress,
        message: str,
        changes: Callable[[str], tuple[Mapping[str, Content], Sequence[str]]],
        description: str,
    ) -> tuple[str, bool]:
        retry = _retry()
        moved = Retry(None, FIRST_WAIT_SECONDS, LONGEST_MOVED_SECONDS, time.monotonic() + COMMIT_SECONDS, shortest=0.0)
        while True:
            head = str(self.pinned(branch, "write").revision)
            additions, deletions = changes(head)
            if not additions and not deletions:
                return head, False
            try:
                self._patient()
                made = self.api().create_commit(
                    branch.repo,
                    _operations(additions, deletions),
                    commit_message=message,
                    commit_description=description or None,
                    repo_type=branch.kind,
                    revision=branch.revision,
                    parent_commit=head,
                )
                return str(made.oid), made.oid != head
            except StorageError:
                raise
            except Exception as error:
                # 412: the branch moved on, perhaps by this very commit, whose answer was lost: what is left is seen anew
                if not (moved.again() if status_of(error) == 412 else _again(retry, error)):
                    raise self.told(branch, "write", error) from None

    # ---------------------------------------------------------------- failures

    def told(self, address: HubAddress, action: str, error: BaseException) -> StorageError:
        """The error that a caller sees."""
        return explain_hub(address, action, error, self.settings.token() is not None)

    def _ask(self, address: HubAddress, action: str, request: Callable[[], T]) -> T:
        """One request, tried again as long as that may help."""
        retry = _retry()
        while True:
            try:
                self._patient()
                return request()
            except Exception as error:
                if not _again(retry, error):
                    raise self.told(address, action, error) from None

    def _patient(self) -> None:
        """Give the shared HTTP client an end to its patience: it is made without one, and anew after some errors."""
        import httpx2
        from huggingface_hub import get_session

        session = get_session()
        if session.timeout == httpx2.Timeout(None):
            session.timeout = httpx2.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)


def _retry() -> Retry:
    return Retry(ATTEMPTS, FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS)


def _again(retry: Retry, error: Exception) -> bool:
    """``Retry.again``, by what went wrong."""
    most = SILENT_ATTEMPTS if silent(error) else None if reached(error) else UNREACHED_ATTEMPTS
    headers: Mapping[str, str] = getattr(getattr(error, "response", None), "headers", {})
    return may_pass(error) and retry.again(most, retry_after(headers.get("Retry-After")))


@contextmanager
def _no_bars() -> Iterator[None]:
    """Without the bars that ``huggingface_hub`` draws: the caller tells its progress itself."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def _operations(additions: Mapping[str, Content], deletions: Sequence[str]) -> list[Any]:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    made: list[Any] = [
        content if isinstance(content, CommitOperationAdd) else CommitOperationAdd(path, content)
        for path, content in additions.items()
    ]
    return [*made, *(CommitOperationDelete(path, is_folder=False) for path in deletions)]
