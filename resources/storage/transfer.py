"""Moving whole objects and folders between any two schemes.

Belongs here: copying one object by the shortest way, and bringing a folder up to date with another. Does not belong here: how
a scheme is reached (the backends), names that a target must not take (``targets.py``).

Every object arrives whole or not at all: local files are moved into place, objects of S3 appear when all their bytes are
there. What a killed ``sync`` finished is not copied again.
"""

import os
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, TypeVar

from resources.storage.local import LocalBackend
from resources.storage.objects import ObjectInfo, StorageError, explain, is_local, local_path, scheme_of
from resources.storage.targets import root_prefix, target_of

if TYPE_CHECKING:
    from resources.storage.storage import Storage

T = TypeVar("T")

THREADS = 16
"""Objects under way at a time: the time of a small one is mostly waiting."""
SMALL_BYTES = 16 * 1024 * 1024
"""Objects up to this size go through memory."""
CHUNK_BYTES = 1024 * 1024
SAME_SECONDS = 1.0
"""File systems and servers round times."""


class Lost(NamedTuple):
    """An object that could not be copied or deleted, and why."""

    uri: str
    reason: str


@dataclass
class SyncResult:
    """What a ``sync`` did.

    Attributes:
        copied: objects that were new or other than before.
        unchanged: objects that were there already.
        deleted: objects that the source does not have, removed from the target.
        bytes: bytes copied.
        failed: objects that could not be copied, each with its reason; all others are in place.
    """

    copied: int = 0
    unchanged: int = 0
    deleted: int = 0
    bytes: int = 0
    failed: list[Lost] = field(default_factory=list)


def copy(storage: "Storage", source: str, target: str, known: ObjectInfo | None = None) -> int:
    """Copy one object; gives its bytes.

    Args:
        storage: reaches both.
        source: the object.
        target: where it is to be.
        known: what is known of the source already, which spares a request.

    Raises:
        StorageError: it cannot be read or written; the target is as it was.
    """
    if is_local(source):
        return upload(storage, Path(local_path(source)), target)
    if is_local(target):
        return download(storage, source, Path(local_path(target)), known)
    info = known or storage.stat(source)
    same_server = scheme_of(source) == scheme_of(target) == "s3"
    if same_server:
        storage.s3_backend().copy(source, target, info.size)
    elif info.size <= SMALL_BYTES:
        storage.write(target, storage.read_bytes(source))
    else:
        with tempfile.TemporaryDirectory(prefix="arot-copy-") as folder:
            path = Path(folder) / "object"
            download(storage, source, path, info)
            upload(storage, path, target)
    return info.size


def upload(storage: "Storage", path: Path, target: str) -> int:
    """Put a local file somewhere; gives its bytes. A file that changes meanwhile is an error.

    Raises:
        StorageError: it cannot be read or written; the target is as it was.
    """
    if is_local(target):
        return LocalBackend().write_with(target, lambda temporary: _copy_local(path, temporary))
    try:
        size = path.stat().st_size
        if size > SMALL_BYTES and scheme_of(target) == "s3":
            storage.s3_backend().upload(path, target, size)
        elif size > SMALL_BYTES and scheme_of(target) == "hf":
            storage.hub_backend().upload(path, target)
        else:
            storage.write(target, path.read_bytes())
    except OSError as error:
        raise explain(str(path), "read", error) from error
    return size


def download(storage: "Storage", source: str, path: Path, known: ObjectInfo | None = None, exact: bool = False) -> int:
    """Bring an object here; gives its bytes. Its time of change is kept where the scheme tells one before the bytes.

    Args:
        storage: reaches it.
        source: the object.
        path: the file.
        known: what is known of the object already.
        exact: take the version that ``known`` is about, and no other.

    Raises:
        StorageError: it cannot be read, or the file not be written; what was there stays. ``changed`` if ``exact`` and there
            is another version.
    """
    etag = known.etag if exact and known is not None and known.etag and scheme_of(source) == "s3" else ""

    def fill(temporary: Path) -> int:
        if known is not None and known.size <= SMALL_BYTES:
            data = storage.s3_backend().read_version(source, etag) if etag else storage.read_bytes(source)
            size = temporary.write_bytes(data)
        elif scheme_of(source) == "s3":
            size = storage.s3_backend().download(source, temporary, etag)
        elif scheme_of(source) == "hf":
            size = storage.hub_backend().download(source, temporary)
        else:
            with storage.open(source) as reader, temporary.open("wb") as writer:
                shutil.copyfileobj(reader, writer, CHUNK_BYTES)
                size = writer.tell()
        if exact and not etag and storage.stat(source) != known:
            raise StorageError(f"cannot read '{source}': it changed meanwhile; start again", kind="changed")
        if known is not None and known.mtime:
            os.utime(temporary, (known.mtime, known.mtime))
        return size

    return LocalBackend().write_with(str(path), fill)


def move(storage: "Storage", source: str, target: str) -> None:
    """Copy one object, then delete it at its old place; on one file system it is one step.

    Raises:
        StorageError: it cannot be read, written or deleted; it is at one of the two places at least.
    """
    if is_local(source) and is_local(target):
        old, new = Path(local_path(source)), Path(local_path(target))
        try:
            new.parent.mkdir(parents=True, exist_ok=True)
            if old.stat().st_dev == new.parent.stat().st_dev:
                old.replace(new)
                return
        except OSError as error:
            raise explain(source, "move", error) from error
    if _same(source, target):
        return
    copy(storage, source, target)
    storage.delete(source)


def sync(
    storage: "Storage",
    source: str,
    target: str,
    *,
    exts: Collection[str] | None = None,
    delete: bool = False,
    threads: int = THREADS,
    on_progress: Callable[[int], None] | None = None,
    dry_run: Callable[[str, str], None] | None = None,
) -> SyncResult:
    """Make a folder like another one: copy what is missing or differs, and if asked delete what is too much.

    An object is the same when its size is, and its time (a local copy keeps the source's) or its etag (within S3; the Hub's
    is compared with the content of local files), or when the copy is younger than what it was made of. Where nothing tells,
    it is copied again. To the Hub all files go in one commit, or some thousands of them in each.

    Args:
        storage: reaches both.
        source: a folder, or one object.
        target: a folder.
        exts: take only these extensions (``{".jpg"}``).
        delete: remove objects of the target that the source does not have; not done if a name of the source was refused.
        threads: objects under way at a time.
        on_progress: called with the number of objects done since the last call.
        dry_run: do nothing, but call this with ``copy`` or ``delete`` and the URI in the target.

    Returns:
        What was done, or would be. Objects that could not be copied are named there: look at ``failed``.

    Raises:
        StorageError: one of the folders cannot be listed; what was copied until then stays.
    """
    _check_apart(source, target, delete)
    if scheme_of(target) == "hf":
        from resources.storage.hub.transfer import sync_to_hub

        return sync_to_hub(storage, source, target, exts, delete, on_progress, dry_run)
    result = SyncResult()
    have = _listing(storage, target)
    seen: set[str] = set()
    complete = True

    def wanted() -> Iterator[tuple[ObjectInfo, str]]:
        nonlocal complete
        prefix = root_prefix(source)
        for info in storage.ls(source, exts):
            relative = info.uri.removeprefix(prefix) if info.uri.startswith(prefix) else info.uri.rsplit("/", 1)[-1]
            try:
                place = target_of(target, relative)
            except StorageError as error:
                complete = False
                result.failed.append(Lost(info.uri, error.reason))
                continue
            seen.add(relative)
            there = have.get(relative)
            if there is not None and _current(info, there):
                result.unchanged += 1
                if on_progress is not None:
                    on_progress(1)
                continue
            yield info, place

    def done(item: tuple[ObjectInfo, str], future: "Future[int]") -> None:
        try:
            result.bytes += future.result()
            result.copied += 1
        except StorageError as error:
            result.failed.append(Lost(item[0].uri, error.reason))
        if on_progress is not None:
            on_progress(1)

    if dry_run is not None:
        threads = 1  # what would be done is told in the order of the listing
    _each(wanted(), partial(_bring, storage, dry_run), done, threads)
    if delete and complete:
        check_not_emptied(source, target, len(have), bool(seen))
        remove = storage.delete if dry_run is None else partial(dry_run, "delete")
        _delete(remove, [info.uri for name, info in have.items() if name not in seen], result, threads)
    return result


def _bring(storage: "Storage", dry_run: Callable[[str, str], None] | None, item: tuple[ObjectInfo, str]) -> int:
    info, place = item
    if dry_run is None:
        return copy(storage, info.uri, place, info)
    dry_run("copy", place)
    return info.size


def _check_apart(source: str, target: str, delete: bool) -> None:
    """A folder is not copied into itself, nor deleted with what lies around it.

    Raises:
        StorageError: one of the two lies in the other.
    """
    if root_prefix(target).startswith(root_prefix(source)):
        raise StorageError(
            f"cannot sync '{source}' to '{target}': that is inside of it; choose another place", kind="invalid"
        )
    if delete and root_prefix(source).startswith(root_prefix(target)):
        raise StorageError(
            f"cannot sync '{source}' to '{target}' and delete the rest: the source lies in it and would go; choose another place",
            kind="invalid",
        )


def check_not_emptied(source: str, target: str, there: int, seen: bool) -> None:
    """A source that shows nothing is more likely a disk that is not mounted than a wish to delete everything.

    Raises:
        StorageError: the target has objects, and the source none.
    """
    if there and not seen:
        raise StorageError(
            f"'{source}' shows nothing, so all {there:,} objects of '{target}' would go; nothing was deleted: is the disk "
            "mounted, is the path right? `arot rm -r` empties a folder",
            kind="invalid",
        )


def _delete(delete: Callable[[str], None], uris: list[str], result: SyncResult, threads: int) -> None:
    def done(uri: str, future: "Future[int]") -> None:
        try:
            result.deleted += future.result()
        except StorageError as error:
            result.failed.append(Lost(uri, error.reason))

    def remove(uri: str) -> int:
        delete(uri)
        return 1

    _each(iter(uris), remove, done, threads)


def _each(items: Iterator[T], work: Callable[[T], int], done: Callable[[T, "Future[int]"], None], threads: int) -> None:
    """Work on items in threads; only so many wait that a listing of millions is not held."""
    with ThreadPoolExecutor(threads, thread_name_prefix="arot-transfer") as pool:
        waiting: deque[tuple[T, Future[int]]] = deque()
        try:
            for item in items:
                waiting.append((item, pool.submit(work, item)))
                if len(waiting) >= threads * 4:
                    done(*waiting.popleft())
            while waiting:
                done(*waiting.popleft())
        finally:
            for _, future in waiting:
                future.cancel()


def _listing(storage: "Storage", root: str) -> dict[str, ObjectInfo]:
    """What a target has, by its name below the root; nothing when it is not there yet."""
    if is_local(root) and not os.path.isdir(local_path(root)):
        return {}
    prefix = root_prefix(root)
    try:
        return {i.uri.removeprefix(prefix): i for i in storage.ls(root) if i.uri.startswith(prefix)}
    except StorageError as error:
        if error.kind != "not_found":
            raise
        return {}


def _current(source: ObjectInfo, target: ObjectInfo) -> bool:
    if source.size != target.size:
        return False
    plain = (source.etag, target.etag)
    if all(
        e is not None and "-" not in e and scheme_of(u) == "s3"
        for e, u in zip(plain, (source.uri, target.uri), strict=True)
    ):
        return source.etag == target.etag
    if source.mtime == 0.0:  # nobody tells when it changed: only its content does
        return is_local(target.uri) and scheme_of(source.uri) == "hf" and _same_as_hub(source, target)
    if is_local(target.uri) and not is_local(source.uri):
        return abs(source.mtime - target.mtime) <= SAME_SECONDS
    return target.mtime >= source.mtime - SAME_SECONDS


def _same_as_hub(source: ObjectInfo, target: ObjectInfo) -> bool:
    from resources.storage.hub.transfer import same_content

    return same_content(Path(local_path(target.uri)), source.etag)


def _same(source: str, target: str) -> bool:
    if is_local(source) and is_local(target):
        return os.path.realpath(local_path(source)) == os.path.realpath(local_path(target))
    return source == target


def _copy_local(source: Path, target: Path) -> int:
    def copied(reader: IO[bytes]) -> int:
        before = os.fstat(reader.fileno())
        with target.open("wb") as writer:
            shutil.copyfileobj(reader, writer, CHUNK_BYTES)
            size = writer.tell()
        if size != before.st_size:
            raise StorageError(f"cannot copy '{source}': it changed meanwhile; start again", kind="changed")
        os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
        return size

    with source.open("rb") as reader:
        return copied(reader)
