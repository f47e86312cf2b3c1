"""How storage describes objects and failures.

Belongs here: the vocabulary that every backend and its users share. Does not belong here: any access to storage.
"""

import errno
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from resources import scratch
from resources.errors import REFUSALS, ArotError
from resources.storage.member_address import member_uri, parse_member


class ObjectInfo(NamedTuple):
    """One object of a listing.

    Attributes:
        uri: an absolute path for local files.
        size: bytes.
        mtime: seconds since the epoch, UTC; 0.0 if the scheme has none.
        etag: the server's content tag, None for local files.
    """

    uri: str
    size: int
    mtime: float
    etag: str | None


class ObjectColumns(NamedTuple):
    """Many objects of a listing, column by column: element n of each list belongs to object n, see ``ObjectInfo``.

    Attributes:
        skipped: entries that are not objects and were skipped: the URI of each, and what it is in two or three words.
    """

    uri: list[str]
    size: list[int]
    mtime: list[float]
    etag: list[str | None]
    skipped: Sequence[tuple[str, str]] = ()

    @classmethod
    def of(cls, infos: Iterable[ObjectInfo]) -> "ObjectColumns":
        """The given objects, column by column."""
        rows = list(infos)
        return cls([i.uri for i in rows], [i.size for i in rows], [i.mtime for i in rows], [i.etag for i in rows])

    def infos(self) -> Iterator[ObjectInfo]:
        """The objects one by one."""
        return map(ObjectInfo, self.uri, self.size, self.mtime, self.etag)


def shown(name: str) -> str:
    """A name as text that any file, table or page can contain: bytes that are not UTF-8, which file systems allow,
    become ``\\xNN``."""
    try:
        return name if name.isascii() else name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can contain
        return name.encode("utf-8", "backslashreplace").decode()


class CopyFailure(NamedTuple):
    """An object that could not be copied or deleted, and why."""

    uri: str
    reason: str


@dataclass
class SyncResult:
    """What a ``sync`` did.

    Attributes:
        copied: objects that were new or changed.
        unchanged: objects that were already up to date.
        deleted: objects removed from the target because the source does not have them.
        bytes: bytes copied.
        failed: objects that could not be copied, each with its reason; all others are in place.
    """

    copied: int = 0
    unchanged: int = 0
    deleted: int = 0
    bytes: int = 0
    failed: list[CopyFailure] = field(default_factory=list)


class StorageError(ArotError):
    """A URI that cannot be listed, read or written; the message names it, the cause and the remedy.

    Attributes:
        kind: the failure in one word, by which rows can be selected: ``not_found``, ``denied``, ``timeout``, ``dns``,
            ``too_large``, ``opt_out`` …; empty if no word says more than the message.
    """

    UNREACHABLE = "unreachable"
    UNABLE = "machine"

    def __init__(self, message: str, *, kind: str = "") -> None:
        super().__init__(shown(message))
        self.kind = kind

    @property
    def is_outage(self) -> bool:
        """Whether it says nothing of the object: the server of all objects does not answer, even after many attempts, or this
        machine has no room for it or may open no more files. Then work ends and goes on later; a row that says so would stay."""
        return self.kind in (self.UNREACHABLE, self.UNABLE)

    @property
    def reason(self) -> str:
        """The text for a row: the kind and the message."""
        return f"{self.kind}: {self}" if self.kind else str(self)


REMEDIES: tuple[tuple[type[BaseException], str, str], ...] = (
    (FileNotFoundError, "not_found", "check the spelling, and that the disk is mounted or the bucket reachable"),
    (NotADirectoryError, "", "a part of the path is a file; name a folder"),
    (FileExistsError, "", "a part of the path is a file; name a folder"),
    (IsADirectoryError, "", "it is a folder; name a file"),
    (PermissionError, "denied", "grant this user access, or set the credentials of its scheme"),
    (TimeoutError, "timeout", "check that its server is running and reachable, then try again"),
)
MEMBERS = "!"
"""In place of a scheme: a member of an archive, on whatever scheme that is."""
LIST_BATCH = 5000
"""Number of objects that a listing yields, and reports as progress, at a time."""

CHUNK_BYTES = 1024 * 1024
UNABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE)
"""What befalls every object on this machine alike."""


def explain(uri: str, action: str, error: BaseException) -> StorageError:
    """One line for an I/O failure: the thing, the cause, the remedy; with its kind."""
    kind, remedy = next(((k, text) for type_, k, text in REMEDIES if isinstance(error, type_)), ("", "see the cause"))
    if isinstance(error, OSError) and error.errno in UNABLE:
        kind = StorageError.UNABLE
        remedy = REFUSALS[error.errno] + ("; nothing was half written" if action == "write" else "")
    if isinstance(error, OSError) and error.errno in scratch.FULL and scratch.is_inside(local_path(uri)):
        remedy = f"free some space, or set {scratch.VARIABLE} to a folder on a larger disk"
    cause = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if is_local(uri) and os.path.islink(local_path(uri)):
        cause = f"link to '{os.readlink(local_path(uri))}': {cause}"
        remedy = "fix the link, or fetch its target (`git annex get`, `dvc pull`, an incomplete download)"
    elif isinstance(error, FileNotFoundError) and is_local(uri) and os.path.lexists(_meant(local_path(uri))):
        kind, cause, remedy = "refused_name", "the file name is not UTF-8", "rename it"
    return StorageError(f"cannot {action} '{uri}': {cause}; {remedy}", kind=kind)


def _meant(path: str) -> bytes:
    """The path from which ``shown`` made this one; empty if it did not change it."""
    odd = re.sub(rb"\\x([89a-f][0-9a-f])", lambda found: bytes.fromhex(found[1].decode()), os.fsencode(path))
    return odd if odd != os.fsencode(path) else b""


def changed(uri: str) -> StorageError:
    """The error of an object that changed while it was read."""
    return StorageError(f"cannot read '{uri}': it changed in the meantime; run it again", kind="changed")


def there_already(uri: str) -> StorageError:
    """The error of a create-only write of something that exists."""
    return StorageError(
        f"'{uri}' already exists, and was only to be created; use another name, or delete it first", kind="exists"
    )


def replaced(uri: str) -> StorageError:
    """The error of a write that may only replace one version, when there is another."""
    return StorageError(f"'{uri}' was replaced in the meantime; run it again", kind="changed")


def content_is(path: Path, tag: str) -> bool:
    """Whether a local file has the content that a tag stands for.

    Args:
        path: the file.
        tag: ``sha256:`` or ``md5:`` and the digits, or ``git:`` and a Git blob id.

    Raises:
        OSError: the file cannot be read.
    """
    algorithm, _, digits = tag.partition(":")
    if algorithm == "git":
        digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    else:
        digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest() == digits


def scheme_of(uri: str) -> str:
    """The scheme of a URI in lower case; ``file`` for a local path, ``MEMBERS`` for a member of an archive."""
    if parse_member(uri) is not None:
        return MEMBERS
    return uri.split("://", 1)[0].lower() if "://" in uri else "file"


def is_local(uri: str) -> bool:
    """Whether a URI is a local path: no scheme, or ``file://``; members of archives are not."""
    return ("://" not in uri or uri.startswith("file://")) and parse_member(uri) is None


def local_path(uri: str) -> str:
    """The absolute path of a local URI; ``~`` is expanded."""
    return os.path.abspath(os.path.expanduser(uri.removeprefix("file://")))


def absolute(uri: str) -> str:
    """The URI in the form of listings: absolute paths for local files and for members of local archives."""
    member = parse_member(uri)
    if member is not None:
        return member_uri(absolute(member.archive), member.name)
    return local_path(uri) if is_local(uri) else uri


def outermost(roots: Iterable[str]) -> list[str]:
    """The roots that are not below another one, without duplicates."""
    whole = {absolute(root).rstrip("/"): root for root in roots}
    above = {one: [one[:n] for n, c in enumerate(one) if c == "/"] for one in whole}
    return [root for one, root in whole.items() if not any(folder in whole for folder in above[one])]


def join(root: str, *parts: str) -> str:
    """A URI below a root.

    Raises:
        ValueError: a part would leave the root (``..``, an absolute path).
    """
    for part in parts:
        if part.startswith("/") or ".." in PurePosixPath(part).parts or "\0" in part:
            raise ValueError(f"{part!r} would leave {root!r}")
    return "/".join([root.rstrip("/"), *parts])
