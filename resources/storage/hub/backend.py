"""Files on the Hugging Face Hub: ``hf://[datasets|models|spaces/]owner/repo[@revision][/path]``.

Belongs here: the backend of this scheme. Does not belong here: requests (``client.py``), what a dataset on the Hub
means as a source (``arot_assets.datasets.sources.hub``), publishing (``arot_assets.exports``).

A listing is consistent: all of it is of one commit. The etag of a file is the hash of its content: SHA-256 (64 digits)
for files in Git LFS, Git's blob id (40 digits) for others. The Hub's listings contain no times, so they are 0.0.
"""

import io
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeGuard

from resources.storage.backend import SMALL_BYTES, Backend, Files, PendingCopy
from resources.storage.hub import commits
from resources.storage.hub.address import SCHEME, HubAddress, parse
from resources.storage.hub.client import HubClient
from resources.storage.hub.commits import Content
from resources.storage.hub.settings import HubSettings
from resources.storage.hub.transfer import bring, content_tag, remove
from resources.storage.objects import ObjectColumns, ObjectInfo, StorageError, changed, explain, there_already
from resources.storage.ranges import ranged

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoFile

LIST_PAGE = 1000
WHOLE_BYTES = 1024 * 1024
"""Files up to this size are read in one request."""


class HubBackend(Backend):
    """See ``Backend``.

    Args:
        settings: the Hub's address.
    """

    scheme = SCHEME

    def __init__(self, settings: HubSettings | None = None) -> None:
        self.client = HubClient(settings)

    def ls_columns(self, root: str) -> Iterator[ObjectColumns]:
        """See ``Backend``; the URIs begin like the root, with the revision that it names."""
        address = self.client.pinned(parse(root), "list")
        if address.path:
            found = self.client.entry(address)
            if found is None:
                raise self.client.error(parse(root), "list", FileNotFoundError())
            if _is_file(found):
                one = _info(root.rstrip("/"), found)
                yield ObjectColumns.of([one])
                return
        base = root.rstrip("/") + "/"
        cut = len(address.path) + 1 if address.path else 0
        infos: list[ObjectInfo] = []
        for entry in self.client.tree(address):
            if _is_file(entry):
                infos.append(_info(base + entry.path[cut:], entry))
            if len(infos) == LIST_PAGE:
                yield ObjectColumns.of(infos)
                infos = []
        yield ObjectColumns.of(infos)

    def stat(self, uri: str) -> ObjectInfo:
        """See ``Backend``."""
        address = parse(uri)
        found = self.client.entry(address) if address.path else None
        if found is None or not _is_file(found):
            raise self.client.error(address, "look up", FileNotFoundError())
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
        """See ``Backend``; everything read is of one commit."""
        address = self.client.pinned(parse(uri), "read")
        info = self.stat(address.uri)
        if info.size <= WHOLE_BYTES:
            return io.BytesIO(self.client.get(address))
        return ranged(lambda start, end: self.client.get(address, start, end), info.size)

    def content_tag(self, info: ObjectInfo) -> str | None:
        """See ``Backend``."""
        return content_tag(info)

    def download(self, uri: str, path: Path, known: ObjectInfo | None = None, exact: bool = False) -> int:
        """See ``Backend``; all of one commit, and resumed after a broken connection if it is large."""
        if known is not None and known.size <= SMALL_BYTES:
            return super().download(uri, path, known, exact)
        size = self.client.download(self.client.pinned(parse(uri), "read"), path)
        if exact and self.stat(uri) != known:
            raise changed(uri)
        return size

    def upload(self, path: Path, uri: str) -> int:
        """See ``Backend``; as a separate commit."""
        address = _file(uri)
        try:
            size = path.stat().st_size
        except OSError as error:
            raise explain(str(path), "read", error) from error
        commits.commit(self.client, address, f"Write {address.path}", lambda _: ({address.path: path}, ()))
        return size

    def write(self, uri: str, data: bytes, create_only: bool = False) -> None:
        """See ``Backend``; each call is a separate commit: ``bring`` writes many files in one."""
        address = _file(uri)

        def changes(head: str) -> tuple[Mapping[str, Content], Sequence[str]]:
            if create_only and self.client.entry(address.at(head)) is not None:
                raise there_already(uri)
            return {address.path: data}, ()

        commits.commit(self.client, address, f"Write {address.path}", changes)

    def delete(self, uri: str) -> None:
        """See ``Backend``."""
        address = parse(uri)

        def changes(head: str) -> tuple[Mapping[str, Content], Sequence[str]]:
            found = self.client.entry(address.at(head)) if address.path else None
            return {}, [address.path] if found is not None and _is_file(found) else []

        commits.commit(self.client, address, f"Delete {address.path}", changes)

    def check_target(self, root: str) -> None:
        """See ``Backend``; the repository and the branch must exist."""
        address = parse(root)
        commits.check_branch(self.client, address)
        self.client.pinned(address.child(""), "write")

    def bring(
        self, files: Files, pending: Iterable[PendingCopy], threads: int
    ) -> Generator[tuple[PendingCopy, int | StorageError | None], None, None]:
        """See ``Backend``; in few commits, whose files are kept on this machine's disk until the commit is made."""
        return bring(self.client, files, pending, threads)

    def remove(self, uris: Collection[str], threads: int) -> Iterator[tuple[str, StorageError | None]]:
        """See ``Backend``; in one commit."""
        return remove(self.client, uris)


def _file(uri: str) -> HubAddress:
    """The address of a file to be written.

    Raises:
        StorageError: it is the address of a repository.
    """
    address = parse(uri)
    if not address.path:
        raise StorageError(f"cannot write '{uri}': it is a repository; name a file in it", kind="invalid")
    return address


def _is_file(entry: object) -> TypeGuard["RepoFile"]:
    from huggingface_hub.hf_api import RepoFile

    return isinstance(entry, RepoFile)


def _info(uri: str, file: "RepoFile") -> ObjectInfo:
    return ObjectInfo(uri, file.size, 0.0, file.lfs.sha256 if file.lfs is not None else file.blob_id)
