"""Files of the Hugging Face Hub: ``hf://[datasets|models|spaces/]owner/repo[@revision][/path]``.

Belongs here: the backend of this scheme. Does not belong here: requests (``hub_client.py``), what a data set of the Hub means
as a source (``arot_assets.datasets.sources.hub``), publishing (``arot_assets.exports``).

A listing is of one commit, whatever happens meanwhile. The etag of a file is the hash of its content: SHA-256 (64 digits) of
what Git LFS keeps, the blob id of Git (40 digits) of the rest. The Hub tells no time with a listing: it is 0.0.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeGuard

from resources.storage.hub.address import parse
from resources.storage.hub.client import Content, HubClient
from resources.storage.hub.settings import HubSettings
from resources.storage.objects import ObjectColumns, ObjectInfo, StorageError
from resources.storage.ranges import ranged

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoFile

LIST_PAGE = 1000
WHOLE_BYTES = 1024 * 1024
"""Files up to this size are opened by one request."""


class HubBackend:
    """See ``Backend``.

    Args:
        settings: where the Hub is.
    """

    def __init__(self, settings: HubSettings | None = None) -> None:
        self.client = HubClient(settings)

    def ls_columns(self, root: str) -> Iterator[ObjectColumns]:
        """See ``Backend``; the URIs begin as the root does, with the revision that it names."""
        address = self.client.pinned(parse(root), "list")
        if address.path:
            found = self.client.entry(address)
            if found is None:
                raise self.client.told(parse(root), "list", FileNotFoundError())
            if _is_file(found):
                one = _info(root.rstrip("/"), found)
                yield ObjectColumns([one.uri], [one.size], [one.mtime], [one.etag])
                return
        base = root.rstrip("/") + "/"
        cut = len(address.path) + 1 if address.path else 0
        infos: list[ObjectInfo] = []
        for entry in self.client.tree(address):
            if _is_file(entry):
                infos.append(_info(base + entry.path[cut:], entry))
            if len(infos) == LIST_PAGE:
                yield _columns(infos)
                infos = []
        yield _columns(infos)

    def stat(self, uri: str) -> ObjectInfo:
        """See ``Backend``."""
        address = parse(uri)
        found = self.client.entry(address) if address.path else None
        if found is None or not _is_file(found):
            raise self.client.told(address, "look up", FileNotFoundError())
        return _info(uri, found)

    def exists(self, uri: str) -> bool:
        """See ``Backend``."""
        address = parse(uri)
        try:
            if not address.path:
                return self.client.has(address)
            return self.client.entry(address) is not None
        except StorageError as error:
            if error.kind != "not_found":
                raise
            return False

    def names(self, uri: str) -> list[str]:
        """See ``Backend``."""
        try:
            return [one.path.rpartition("/")[2] for one in self.client.tree(parse(uri), recursive=False)]
        except StorageError as error:
            if error.kind != "not_found":
                raise
            return []

    def read(self, uri: str, start: int = 0, end: int | None = None) -> bytes:
        """See ``Backend``."""
        return self.client.get(parse(uri), start, end)

    def open(self, uri: str) -> IO[bytes]:
        """See ``Backend``; all of one commit."""
        address = self.client.pinned(parse(uri), "read")
        info = self.stat(address.uri)
        if info.size <= WHOLE_BYTES:
            return io.BytesIO(self.client.get(address))
        return ranged(lambda start, end: self.client.get(address, start, end), info.size)

    def download(self, uri: str, path: Path) -> int:
        """Write a file of the Hub to one of this machine, all of one commit; gives its bytes.

        Raises:
            StorageError: it is not there, or cannot be read.
            OSError: the file cannot be written.
        """
        return self.client.download(self.client.pinned(parse(uri), "read"), path)

    def upload(self, path: Path, uri: str) -> None:
        """Put a local file there, in a commit of its own.

        Raises:
            StorageError: as ``write``.
        """
        address = parse(uri)
        self.client.commit(address, f"Write {address.path}", lambda _: ({address.path: path}, ()))

    def write(self, uri: str, data: bytes, create_only: bool = False) -> None:
        """See ``Backend``; each call is a commit of its own: ``commit`` writes many files in one."""
        address = parse(uri)
        if not address.path:
            raise StorageError(f"cannot write '{uri}': it names a repository; name a file in it", kind="invalid")

        def changes(head: str) -> tuple[Mapping[str, Content], Sequence[str]]:
            if create_only and self.client.entry(address.at(head)) is not None:
                raise StorageError(f"'{uri}' is there already, and was to be created only", kind="exists")
            return {address.path: data}, ()

        self.client.commit(address, f"Write {address.path}", changes)

    def delete(self, uri: str) -> None:
        """See ``Backend``."""
        address = parse(uri)

        def changes(head: str) -> tuple[Mapping[str, Content], Sequence[str]]:
            found = self.client.entry(address.at(head)) if address.path else None
            return {}, [address.path] if found is not None and _is_file(found) else []

        self.client.commit(address, f"Delete {address.path}", changes)

    def commit(
        self,
        root: str,
        message: str,
        changes: Callable[[str], tuple[Mapping[str, Content], Sequence[str]]],
    ) -> tuple[str, bool]:
        """Write and delete many files below a root in one commit, see ``HubClient.commit``.

        Args:
            root: a repository or a folder of one, on a branch.
            message: one line.
            changes: as there, with paths below the root.
        """
        address = parse(root)
        below = f"{address.path}/" if address.path else ""

        def whole(head: str) -> tuple[Mapping[str, Content], Sequence[str]]:
            additions, deletions = changes(head)
            return {below + name: content for name, content in additions.items()}, [below + n for n in deletions]

        return self.client.commit(address, message, whole)


def _is_file(entry: object) -> TypeGuard["RepoFile"]:
    from huggingface_hub.hf_api import RepoFile

    return isinstance(entry, RepoFile)


def _info(uri: str, file: "RepoFile") -> ObjectInfo:
    return ObjectInfo(uri, file.size, 0.0, file.lfs.sha256 if file.lfs is not None else file.blob_id)


def _columns(infos: list[ObjectInfo]) -> ObjectColumns:
    return ObjectColumns(
        [i.uri for i in infos], [i.size for i in infos], [i.mtime for i in infos], [i.etag for i in infos]
    )
