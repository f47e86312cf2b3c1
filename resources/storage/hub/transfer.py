"""Bringing a folder of the Hub up to date with another folder: few commits instead of one a file.

Belongs here: what differs, by content, and how much goes into one commit. Does not belong here: the commit itself
(``hub_client.py``), data sets with a card (``arot_assets.exports``).
"""

import hashlib
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from resources.storage.hub.address import parse
from resources.storage.hub.client import Content
from resources.storage.objects import ObjectInfo, StorageError, explain, is_local, local_path
from resources.storage.targets import root_prefix, target_of
from resources.storage.transfer import Lost, SyncResult, check_not_emptied, download

if TYPE_CHECKING:
    from resources.storage.storage import Storage

COMMIT_FILES = 5000
COMMIT_BYTES = 10_000_000_000
"""A commit takes as many files, and as many bytes: they lie on this machine's disk until it is made."""
CHUNK_BYTES = 1024 * 1024


def same_content(path: Path, etag: str | None) -> bool:
    """Whether a local file is what the Hub has.

    Args:
        path: the file.
        etag: of the Hub's file: SHA-256 of what LFS keeps, the blob id of Git of the rest.
    """
    if etag is None or len(etag) not in (40, 64):
        return False
    digest = hashlib.sha256() if len(etag) == 64 else hashlib.sha1(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest() == etag


def sync_to_hub(
    storage: "Storage",
    source: str,
    target: str,
    exts: Collection[str] | None,
    delete: bool,
    on_progress: Callable[[int], None] | None,
    dry_run: Callable[[str, str], None] | None = None,
) -> SyncResult:
    """See ``transfer.sync``. Files that are there with the same content are not sent.

    Raises:
        StorageError: one of the folders cannot be listed, or a commit not made; earlier commits stay.
    """
    result = SyncResult()
    have = _listing(storage, target)
    seen: set[str] = set()
    told = on_progress or (lambda _: None)
    for batch in _batches(_wanted(storage, source, target, exts, result, seen)):
        with tempfile.TemporaryDirectory(prefix="arot-hub-") as folder:
            additions = _differing(storage, batch, have, Path(folder), result, dry_run is None)
            if dry_run is not None:
                for name in additions:
                    dry_run("copy", root_prefix(target) + name)
            elif additions:
                storage.hub_backend().commit(target, f"Upload {len(additions)} files", partial(_all_of, additions))
            result.copied += len(additions)
            result.bytes += sum(p.stat().st_size for p in additions.values() if isinstance(p, Path) and p.exists())
            told(len(batch))
    if delete and not result.failed:
        check_not_emptied(source, target, len(have), bool(seen))
        _delete(storage, target, [name for name in have if name not in seen], result, dry_run)
    return result


def _differing(
    storage: "Storage",
    batch: list[tuple[ObjectInfo, str]],
    have: Mapping[str, ObjectInfo],
    folder: Path,
    result: SyncResult,
    fetch: bool,
) -> dict[str, Content]:
    """Files of a batch that the target has not, or other than they are: name -> local file.

    Args:
        storage: reaches them.
        batch: with their names in the target.
        have: what the target has.
        folder: where those of other machines are put.
        result: gets what is unchanged or cannot be had.
        fetch: bring those of other machines here; if not, they count as different.
    """
    additions: dict[str, Content] = {}
    for number, (info, name) in enumerate(batch):
        known = have.get(name)
        if not fetch and not is_local(info.uri):
            additions[name] = folder / str(number)
            continue
        try:
            path = _at_hand(storage, info, folder / str(number))
            if known is not None and known.size == path.stat().st_size and same_content(path, known.etag):
                result.unchanged += 1
            else:
                additions[name] = path
        except StorageError as error:
            result.failed.append(Lost(info.uri, error.reason))
        except OSError as error:  # it left since it was listed
            result.failed.append(Lost(info.uri, explain(info.uri, "read", error).reason))
    return additions


def _all_of(additions: dict[str, Content], _: str) -> tuple[Mapping[str, Content], Sequence[str]]:
    return additions, ()


def _delete(
    storage: "Storage",
    target: str,
    names: list[str],
    result: SyncResult,
    dry_run: Callable[[str, str], None] | None,
) -> None:
    if not names:
        return

    def gone(head: str) -> tuple[Mapping[str, Content], Sequence[str]]:
        there = _listing(storage, parse(target).at(head).uri)
        return {}, [name for name in names if name in there]

    if dry_run is None:
        storage.hub_backend().commit(target, f"Delete {len(names)} files", gone)
    else:
        for name in names:
            dry_run("delete", root_prefix(target) + name)
    result.deleted = len(names)


def _wanted(
    storage: "Storage",
    source: str,
    target: str,
    exts: Collection[str] | None,
    result: SyncResult,
    seen: set[str],
) -> Iterator[tuple[ObjectInfo, str]]:
    prefix = root_prefix(source)
    for info in storage.ls(source, exts):
        name = info.uri.removeprefix(prefix) if info.uri.startswith(prefix) else info.uri.rsplit("/", 1)[-1]
        try:
            target_of(target, name)
        except StorageError as error:
            result.failed.append(Lost(info.uri, error.reason))
            continue
        seen.add(name)
        yield info, name


def _batches(items: Iterator[tuple[ObjectInfo, str]]) -> Iterator[list[tuple[ObjectInfo, str]]]:
    batch: list[tuple[ObjectInfo, str]] = []
    size = 0
    for item in items:
        batch.append(item)
        size += item[0].size
        if len(batch) >= COMMIT_FILES or size >= COMMIT_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _at_hand(storage: "Storage", info: ObjectInfo, place: Path) -> Path:
    if is_local(info.uri):
        return Path(local_path(info.uri))
    download(storage, info.uri, place, info)
    return place


def _listing(storage: "Storage", target: str) -> dict[str, ObjectInfo]:
    """What the folder has, by name below it; nothing when only the folder is not there."""
    prefix = root_prefix(target)
    try:
        return {i.uri.removeprefix(prefix): i for i in storage.ls(target) if i.uri.startswith(prefix)}
    except StorageError as error:
        if error.kind != "not_found" or not storage.exists(parse(target).repo_uri):
            raise
        return {}
