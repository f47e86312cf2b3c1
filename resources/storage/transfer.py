"""Bringing a folder up to date with another one, between any two schemes.

Belongs here: which objects are missing, changed or extra. Does not belong here: copying and deleting them (the
backends), names that a target must not accept (``targets.py``).

Every object arrives complete or not at all. What a killed ``sync`` has finished is not copied again.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing, suppress

from resources.beside import LEFT_SECONDS
from resources.storage.backend import Backend, Files, PendingCopy
from resources.storage.objects import CopyFailure, ObjectInfo, StorageError, SyncResult, content_is, is_local
from resources.storage.targets import root_prefix, target_of

THREADS = 16
"""Objects in progress at a time: most of the time for a small one is spent waiting."""
SAME_SECONDS = 1.0
"""Seconds: file systems and servers round times."""


def sync(
    files: Files,
    source: str,
    target: str,
    *,
    exts: Collection[str] | None = None,
    delete: bool = False,
    threads: int = THREADS,
    on_progress: Callable[[int], None] | None = None,
    dry_run: Callable[[str, str], None] | None = None,
) -> SyncResult:
    """Make a folder identical to another one: copy what is missing or differs, and optionally delete what is extra.

    An object is unchanged if its size is the same and so is its content, where both etags contain it, or its time (a
    local copy keeps that of the source), or if the copy is newer than its source. Where none of these is known, it is
    copied again. To the Hub, all files are uploaded in one commit, or in several of some thousands of files each.

    Args:
        files: accesses both sides.
        source: a folder, or one object.
        target: a folder.
        exts: only these extensions (``{".jpg"}``).
        delete: delete objects of the target that the source does not have; skipped if a name in the source was refused.
        threads: objects in progress at a time.
        on_progress: called with the number of objects finished since the last call.
        dry_run: change nothing; instead, call this with ``copy`` or ``delete`` and the URI in the target.

    Returns:
        What was done, or would be done. Objects that could not be copied are listed in ``failed``.

    Raises:
        StorageError: one of the folders cannot be listed, or the target is not writable; what was copied remains.
    """
    _check_apart(source, target, delete)
    giver, taker = files.backend(source), files.backend(target)
    taker.check_target(target)
    if dry_run is None and is_local(target):
        taker.remove_leftovers(target, LEFT_SECONDS)
    result = SyncResult()
    have = _listing(files, target)
    seen: set[str] = set()
    complete = True
    report = on_progress or (lambda _: None)

    def wanted() -> Iterator[PendingCopy]:
        nonlocal complete
        prefix = root_prefix(source)
        for info in files.ls(source, exts):
            name = info.uri.removeprefix(prefix) if info.uri.startswith(prefix) else info.uri.rsplit("/", 1)[-1]
            try:
                place = target_of(target, name)
            except StorageError as error:
                complete = False
                result.failed.append(CopyFailure(info.uri, error.reason))
                continue
            seen.add(name)
            there = have.get(name)
            if there is not None and _current(giver, info, taker, there):
                result.unchanged += 1
                report(1)
                continue
            yield PendingCopy(info, place, there)

    _bring(taker, files, wanted(), result, threads, report, dry_run)
    if delete and complete:
        _check_not_emptied(source, target, len(have), bool(seen))
        surplus = [info.uri for name, info in have.items() if name not in seen]
        _remove(taker, surplus, result, threads, dry_run)
    return result


def _bring(
    taker: Backend,
    files: Files,
    wanted: Iterable[PendingCopy],
    result: SyncResult,
    threads: int,
    report: Callable[[int], None],
    dry_run: Callable[[str, str], None] | None,
) -> None:
    if dry_run is not None:
        for item in wanted:
            dry_run("copy", item.target)
            result.copied += 1
            result.bytes += item.source.size
        return
    with closing(taker.bring(files, wanted, threads)) as brought:
        for item, outcome in brought:
            if isinstance(outcome, StorageError):
                result.failed.append(CopyFailure(item.source.uri, outcome.reason))
            else:
                result.copied += outcome is not None
                result.unchanged += outcome is None
                result.bytes += outcome or 0
            report(1)


def _remove(
    taker: Backend, uris: list[str], result: SyncResult, threads: int, dry_run: Callable[[str, str], None] | None
) -> None:
    if dry_run is not None:
        for uri in uris:
            dry_run("delete", uri)
        result.deleted = len(uris)
        return
    for uri, error in taker.remove(uris, threads):
        result.deleted += error is None
        if error is not None:
            result.failed.append(CopyFailure(uri, error.reason))


def _check_apart(source: str, target: str, delete: bool) -> None:
    """Refuse to copy a folder into itself, or to delete the source along with its surroundings.

    Raises:
        StorageError: one of the two is inside the other.
    """
    if root_prefix(target).startswith(root_prefix(source)):
        raise StorageError(
            f"cannot sync '{source}' to '{target}': the target is inside the source; choose another target",
            kind="invalid",
        )
    if delete and root_prefix(source).startswith(root_prefix(target)):
        raise StorageError(
            f"cannot sync '{source}' to '{target}' and delete the rest: the source is inside the target; choose another target",
            kind="invalid",
        )


def _check_not_emptied(source: str, target: str, there: int, seen: bool) -> None:
    """An empty source is more likely an unmounted disk than a wish to delete everything.

    Raises:
        StorageError: the target has objects, and the source has none.
    """
    if there and not seen:
        raise StorageError(
            f"'{source}' is empty, so all {there:,} objects of '{target}' would be deleted; nothing was deleted: is the disk "
            "mounted, is the path right? `arot rm -r` empties a folder",
            kind="invalid",
        )


def _listing(files: Files, root: str) -> dict[str, ObjectInfo]:
    """The contents of a target, by name below the root; empty if it does not exist yet."""
    prefix = root_prefix(root)
    try:
        return {i.uri.removeprefix(prefix): i for i in files.ls(root) if i.uri.startswith(prefix)}
    except StorageError as error:
        if error.kind != "not_found":
            raise
        return {}


def _current(giver: Backend, source: ObjectInfo, taker: Backend, there: ObjectInfo) -> bool:
    """Whether the target has the content of the source, as far as can be determined without fetching anything."""
    if source.size != there.size:
        return False
    tags = giver.content_tag(source), taker.content_tag(there)
    if tags[0] and tags[1] and tags[0].partition(":")[0] == tags[1].partition(":")[0]:
        return tags[0] == tags[1]
    if not (source.mtime and there.mtime):  # without times, only the content can tell
        here, tag = (taker.path(there.uri), tags[0]) if tags[0] else (giver.path(source.uri), tags[1])
        with suppress(OSError):  # it disappeared since it was listed: copying it reports that
            return here is not None and tag is not None and content_is(here, tag)
        return False
    if taker.keeps_times:
        return abs(source.mtime - there.mtime) <= SAME_SECONDS
    return there.mtime >= source.mtime - SAME_SECONDS
