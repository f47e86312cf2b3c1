"""Access to the objects of a dataset: with the settings of its declaration, and without downloading twice.

Belongs here: what is between a dataset and ``Storage``. Does not belong here: how a scheme is accessed (``resources``).

Objects downloaded from the web or the Hub are kept in this machine's cache under their URL and the hash of their bytes,
so that metric tables are computed from the bytes that the sample row describes, even if the server has since changed
them.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from arot_assets.datasets.declaration import DatasetDeclaration, UrlList
from arot_assets.media.file import Content
from arot_assets.media.medium import Medium
from resources.storage import ObjectInfo, Storage, StorageError
from resources.storage.member_address import parse_member
from resources.storage.objects import explain

if TYPE_CHECKING:
    from resources.storage.cache import Cache

T = TypeVar("T", bound=Mapping[str, Any])
WEB = ("http://", "https://")
FAR = (*WEB, "hf://")
"""Schemes on which a second request for the same bytes is to be avoided."""
OPTED_OUT = "opt_out"
"""The note of an object that was downloaded although its server forbids training on it."""
MEGABYTE = 1_000_000
TOGETHER, TOGETHER_BYTES = 16, MEGABYTE
"""Small local files that a thread reads in one go: handing each of them over would take longer than reading it."""


def reaching(storage: Storage, declaration: DatasetDeclaration) -> Storage:
    """The storage with the web settings of the declaration."""
    return under(storage, declaration.urls)


def under(storage: Storage, said: UrlList | None) -> Storage:
    """The storage with these web settings; None changes nothing."""
    if said is None:
        return storage
    return storage.with_http(
        storage.http.model_copy(
            update={
                "honour_opt_out": said.honour_opt_out,
                "allow_private": said.allow_private or storage.http.allow_private,
                "per_host": said.per_host,
                "max_bytes": int(said.max_megabytes * MEGABYTE),
                "attempts": said.attempts,
                "total_seconds": said.total_seconds,
                "read_seconds": said.read_seconds,
            }
        )
    )


def fetch(storage: Storage, uri: str, by_path: bool) -> tuple[Content, list[str]]:
    """An object, and notes about how it was obtained: ``OPTED_OUT`` or none.

    Args:
        storage: accesses the object.
        uri: where it is.
        by_path: see ``Medium.by_path``.

    Raises:
        StorageError: it cannot be read.
    """
    if by_path:
        return storage.download(uri), []
    if not uri.startswith(WEB):
        return storage.read_bytes(uri), []
    from resources.storage.http.backend import HttpBackend

    data, directive = storage.using(HttpBackend).read_with_opt_out(uri)
    return data, [OPTED_OUT] if directive else []


def digest(content: Content) -> tuple[str, int]:
    """SHA-256 (64 hex digits) and size in bytes.

    Raises:
        StorageError: a file cannot be read.
    """
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest(), len(content)
    try:
        with content.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
    except OSError as error:
        raise explain(str(content), "read", error) from error


def keep(uri: str, sample_id: str, content: Content) -> None:
    """Keep the bytes of an object from the web or the Hub for the metrics; objects on other schemes can be read again,
    and those that were downloaded to a file are in the cache already.
    """
    if not isinstance(content, bytes) or not content or not _is_kept(uri):
        return
    with suppress(StorageError):  # a cache that cannot be written only costs a second download
        _cache().put(_kept(uri, sample_id), content)


def reader(
    storage: Storage,
    medium: Medium,
    sample_ids: Mapping[str, str],
    copies: Callable[[str], Iterable[str]],
) -> Callable[[str], Content]:
    """``uri -> content`` of the sample at that address: from the cache, from the address itself, or from another copy.

    Args:
        storage: accesses what was not kept.
        medium: determines whether bytes or a path are returned.
        sample_ids: uri -> ``sample_id``; the bytes must hash to it.
        copies: other addresses of a sample (``presence.Copies``), used if it cannot be read at its own.

    Raises (when called):
        StorageError: no copy can be read; the message is about the sample's own address, with the kind ``changed`` if
            it has different bytes now.
    """

    def get(uri: str, sample_id: str) -> Content:
        if medium.by_path:
            return storage.download(uri)
        data = _cache().get(_kept(uri, sample_id)) if _is_kept(uri) else None
        return storage.read_bytes(uri) if data is None else data

    def read_one(uri: str, sample_id: str) -> Content:
        content = get(uri, sample_id)
        if digest(content)[0][:32] != sample_id:
            raise StorageError(f"'{uri}' has changed since it was listed; run the inventory again", kind="changed")
        return content

    def read(uri: str) -> Content:
        sample_id = sample_ids[uri]
        try:
            return read_one(uri, sample_id)
        except StorageError as error:
            first = error
        for other in copies(sample_id):
            if other != uri:
                with suppress(StorageError):  # the error to report is that of the sample's own address
                    return read_one(other, sample_id)
        raise first

    return read


def spread(objects: Sequence[T]) -> Iterator[T]:
    """Objects in an order in which hosts take turns, so that waiting for one host does not block all threads."""
    hosts: dict[str, deque[T]] = {}
    for one in objects:
        uri = one["uri"]
        hosts.setdefault(urlsplit(uri).netloc if uri.startswith(WEB) else "", deque()).append(one)
    turn = deque(hosts.values())
    while turn:
        queue = turn.popleft()
        yield queue.popleft()
        if queue:
            turn.append(queue)


def together(objects: Iterable[T], far: bool) -> Iterator[list[T]]:
    """Objects in the groups in which threads take them: small local files together, all others one by one.

    Args:
        objects: each with its ``size`` in bytes, or None.
        far: whether they are on a server.
    """
    group: list[T] = []
    size = 0
    for one in objects:
        more = one["size"] or 0
        if group and (far or len(group) == TOGETHER or size + more > TOGETHER_BYTES):
            yield group
            group, size = [], 0
        group.append(one)
        size += more
    if group:
        yield group


def _is_kept(uri: str) -> bool:
    return uri.startswith(FAR) and parse_member(uri) is None  # archives themselves are cached or read in parts


def _kept(uri: str, sample_id: str) -> ObjectInfo:
    return ObjectInfo(uri, 0, 0.0, f"content {sample_id}")


def _cache() -> "Cache":
    from resources.storage.cache import Cache, default_bytes, default_folder

    return Cache(default_folder(), default_bytes())
