"""Writing to the Hugging Face Hub: repositories, branches, and commits of many files.

Belongs here: what changes a repository. Does not belong here: reading, and the retry policy (``client.py``), how many files
go into one commit (``transfer.py``).

The client is ``huggingface_hub``, which does not retry commits itself.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from resources.storage.hub.address import MAIN, HubAddress
from resources.storage.hub.client import HubClient, again, new_retry
from resources.storage.hub.errors import status_of
from resources.storage.objects import StorageError

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd

Content: TypeAlias = "bytes | Path | CommitOperationAdd"
"""The content of a file: bytes, a local file, or what ``preupload`` has uploaded."""
COMMIT_SECONDS = 600.0
"""For a commit to a branch that others commit to as well, counted from the first attempt."""
LONGEST_MOVED_SECONDS = 4.0
"""The longest wait after another's commit: as long as a commit of some files takes, so that processes avoid each other."""
_turns: dict[tuple[str, str], threading.Lock] = {}
"""(server, branch) -> the lock that serializes commits, for all clients of this process."""
_turns_made = threading.Lock()


def require_token(client: HubClient, address: HubAddress) -> None:
    """Check that there is a token, without which nothing can be written.

    Raises:
        StorageError: there is none on this machine.
    """
    from huggingface_hub.errors import LocalTokenNotFoundError

    if client.settings.token() is None:
        raise client.error(address, "write", LocalTokenNotFoundError())


def check_branch(client: HubClient, address: HubAddress) -> None:
    """Check that there is a token and that the address is not that of a commit, which never changes.

    Raises:
        StorageError: there is no token on this machine, or the address names a commit.
    """
    require_token(client, address)
    if address.commit:
        raise StorageError(
            f"cannot write to '{address.uri}': a commit never changes; name a branch, or omit the @…",
            kind="invalid",
        )


def ensure_repo(client: HubClient, address: HubAddress, private: bool = True) -> bool:
    """Create a repository unless it exists; returns whether it was created. An existing one keeps its visibility.

    Raises:
        StorageError: no token, or no permission.
    """
    try:
        client.pinned(HubAddress(address.kind, address.repo))
        return False
    except StorageError as error:
        if error.kind != "not_found":
            raise
    require_token(client, address)
    client.ask(
        address,
        "create",
        lambda: client.api().create_repo(
            address.repo,
            repo_type=address.kind,
            private=private,
            exist_ok=True,
            space_sdk="static" if address.kind == "space" else None,
        ),
    )
    return True


def ensure_branch(client: HubClient, address: HubAddress) -> bool:
    """Create the branch of an address, from the main one, unless it exists; returns whether it was created.

    Raises:
        StorageError: no permission, or a name that the Hub refuses.
    """
    branch = address.revision
    if branch is None or client.has(address):
        return False
    client.ask(
        address,
        "create",
        lambda: client.api().create_branch(address.repo, branch=branch, repo_type=address.kind, exist_ok=True),
    )
    return True


def preupload(client: HubClient, address: HubAddress, additions: "Sequence[CommitOperationAdd]") -> None:
    """Upload the content of files before the commit that will contain them. It is invisible until that commit.

    Args:
        address: the repository and its branch.
        additions: the files; the content of those stored in LFS is removed from them (``b""``), so that it can be
            deleted from this machine. Pass them to ``commit`` as they are.

    Raises:
        StorageError: no permission to write, or the Hub cannot be reached.
    """
    with _no_bars():
        client.ask(
            address,
            "write",
            lambda: client.api().preupload_lfs_files(
                address.repo, additions, repo_type=address.kind, revision=address.revision
            ),
        )


def commit(
    client: HubClient,
    address: HubAddress,
    message: str,
    changes: Callable[[str], tuple[Mapping[str, Content], Sequence[str]]],
    description: str = "",
) -> tuple[str, bool]:
    """Write and delete files of a branch in one commit. Files that already have the desired content are not written
    again, and if nothing is left to do, no commit is made.

    Args:
        address: the repository and its branch.
        message: the first line of the commit message.
        changes: called with the current commit of the branch; returns path -> content of the files to write, and the
            paths of those to delete. It is called again if somebody else has committed in the meantime, so that its
            decisions are never based on an old state.
        description: the rest of the commit message.

    Returns:
        The resulting commit of the branch, and whether it is a new one.

    Raises:
        StorageError: no token, no permission, a name that the Hub refuses, or others keep committing for
            ``COMMIT_SECONDS``.
    """
    check_branch(client, address)
    branch = address.child("")
    with _turns_made:
        turn = _turns.setdefault((client.settings.address(), branch.at(branch.revision or MAIN).uri), threading.Lock())
    with turn:  # one at a time in this process: each commit would make the others start again
        return _commit(client, branch, message, changes, description)


def _commit(
    client: HubClient,
    branch: HubAddress,
    message: str,
    changes: Callable[[str], tuple[Mapping[str, Content], Sequence[str]]],
    description: str,
) -> tuple[str, bool]:
    retry = new_retry()
    moved = replace(
        new_retry(),
        attempts=None,
        longest=LONGEST_MOVED_SECONDS,
        deadline=time.monotonic() + COMMIT_SECONDS,
        shortest=0.0,
    )
    while True:
        head = str(client.pinned(branch, "write").revision)
        additions, deletions = changes(head)
        if not additions and not deletions:
            return head, False
        try:
            client.set_timeouts()
            with _no_bars():
                made = client.api().create_commit(
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
            # 412: the branch has changed, perhaps by this very commit, whose response was lost: look again at what is left to do
            if not (moved.again() if status_of(error) == 412 else again(retry, error)):
                raise client.error(branch, "write", error) from None


@contextmanager
def _no_bars() -> Iterator[None]:
    """Without the progress bars of ``huggingface_hub``: the caller reports its own progress."""
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
