"""Many files on the Hub at once: few commits instead of one per file.

Belongs here: how much goes into one commit, and what need not be committed. Does not belong here: the commit itself
(``commits.py``), which files differ (``resources.storage.transfer``), datasets with a card (``arot_assets.exports``).
"""

import posixpath
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from resources.parallel import ordered_map
from resources.scratch import WorkingFolder
from resources.storage.backend import Files, PendingCopy, fetch
from resources.storage.hub.address import parse
from resources.storage.hub.client import HubClient
from resources.storage.hub.commits import Content, commit
from resources.storage.objects import ObjectInfo, StorageError, content_is, explain, is_local

COMMIT_FILES = 5000
COMMIT_BYTES = 10_000_000_000
"""The limits of one commit, in files and bytes: they are kept on this machine's disk until the commit is made."""


def content_tag(info: ObjectInfo) -> str | None:
    """The etag in the form of ``Backend.content_tag``: SHA-256 for files in Git LFS, Git's blob id for others."""
    kind = {40: "git", 64: "sha256"}.get(len(info.etag or ""))
    return f"{kind}:{info.etag}" if kind else None


def bring(
    client: HubClient, files: Files, pending: Iterable[PendingCopy], threads: int
) -> Generator[tuple[PendingCopy, int | StorageError | None], None, None]:
    """See ``Backend.bring``.

    Raises:
        StorageError: a commit cannot be made; earlier ones stay.
    """
    for batch in _batches(pending):
        with WorkingFolder("hub", sum(item.source.size for item in batch if not is_local(item.source.uri))) as folder:
            places = [(item, folder / str(n)) for n, item in enumerate(batch)]
            found = list(ordered_map(partial(_at_hand, files), places, threads, finish=True))
            paths = [(item, one) for item, one in zip(batch, found, strict=True) if isinstance(one, Path)]
            additions: dict[str, Content] = {parse(item.target).path: path for item, path in paths}
            if additions:
                branch = parse(batch[0].target).child("")
                commit(client, branch, f"Upload {len(additions)} files", partial(_all_of, additions))
        for item, one in zip(batch, found, strict=True):
            yield item, item.source.size if isinstance(one, Path) else one


def remove(client: HubClient, uris: Collection[str]) -> Iterator[tuple[str, StorageError | None]]:
    """See ``Backend.remove``; files that do not exist are left out of the commit.

    Raises:
        StorageError: the commit cannot be made.
    """
    if uris:
        paths = [parse(uri).path for uri in uris]
        branch = parse(next(iter(uris))).child("")
        folder = posixpath.commonpath([posixpath.dirname(path) for path in paths])

        def gone(head: str) -> tuple[Mapping[str, Content], Sequence[str]]:
            try:
                there = {one.path for one in client.tree(branch.at(head).child(folder))}
            except StorageError as error:
                if error.kind != "not_found":
                    raise
                there = set()
            return {}, [path for path in paths if path in there]

        commit(client, branch, f"Delete {len(paths)} files", gone)
    for uri in uris:
        yield uri, None


def _all_of(additions: dict[str, Content], _: str) -> tuple[Mapping[str, Content], Sequence[str]]:
    return additions, ()


def _batches(items: Iterable[PendingCopy]) -> Iterator[list[PendingCopy]]:
    batch: list[PendingCopy] = []
    size = 0
    for item in items:
        batch.append(item)
        size += item.source.size
        if len(batch) >= COMMIT_FILES or size >= COMMIT_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _at_hand(files: Files, item_and_place: tuple[PendingCopy, Path]) -> Path | StorageError | None:
    """A local file of what is to be copied; None if it is there already; or the reason it is not accessible."""
    (source, _, there), place = item_and_place
    try:
        giver = files.backend(source.uri)
        path = giver.path(source.uri)
        if path is None:
            path = place
            fetch(giver, source.uri, path, source)
        tag = content_tag(there) if there is not None and there.size == path.stat().st_size else None
        return None if tag is not None and content_is(path, tag) else path
    except StorageError as error:
        return error
    except OSError as error:  # it disappeared since it was listed
        return explain(source.uri, "read", error)
