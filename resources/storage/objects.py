"""What storage tells of an object, and how a failure is told.

Belongs here: the words that every backend and its users share. Does not belong here: reaching anything.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from resources.errors import ArotError
from resources.storage.member_address import member_uri, parse_member

TEMPORARY_PREFIX = ".arot-tmp-"
"""Names that begin so are partially written files; no listing shows them."""


class ObjectInfo(NamedTuple):
    """One object of a listing.

    Attributes:
        uri: where it is: an absolute path for local files.
        size: bytes.
        mtime: seconds since the epoch, UTC; 0.0 where the scheme keeps none.
        etag: the server's own content tag, None for local files.
    """

    uri: str
    size: int
    mtime: float
    etag: str | None


class ObjectColumns(NamedTuple):
    """Many objects of a listing, column by column: element n of each list belongs to one object, see ``ObjectInfo``.

    Attributes:
        skipped: entries that are no objects and were passed over: the uri of each, and what it is in two or three words.
    """

    uri: list[str]
    size: list[int]
    mtime: list[float]
    etag: list[str | None]
    skipped: Sequence[tuple[str, str]] = ()

    @classmethod
    def of(cls, infos: Iterable[ObjectInfo]) -> "ObjectColumns":
        """These objects, column by column."""
        rows = list(infos)
        return cls([i.uri for i in rows], [i.size for i in rows], [i.mtime for i in rows], [i.etag for i in rows])

    def infos(self) -> Iterator[ObjectInfo]:
        """The objects one by one."""
        return map(ObjectInfo, self.uri, self.size, self.mtime, self.etag)


def shown(name: str) -> str:
    """A name as text that any file, table or page can hold: what is not UTF-8 in it, as file systems allow, is ``\\xNN``."""
    try:
        return name if name.isascii() else name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half of a character, as JSON can hold it
        return name.encode("utf-8", "backslashreplace").decode()


class CopyFailure(NamedTuple):
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
    failed: list[CopyFailure] = field(default_factory=list)


class StorageError(ArotError):
    """A URI that cannot be listed, read or written; the message names it, the cause and the remedy.

    Attributes:
        kind: what failed, in one word that rows are found by: ``not_found``, ``denied``, ``timeout``, ``dns``,
            ``too_large``, ``opt_out`` …; empty where no word says more than the message.
    """

    def __init__(self, message: str, *, kind: str = "") -> None:
        super().__init__(shown(message))
        self.kind = kind

    @property
    def reason(self) -> str:
        """What a row says of it: the kind and the message."""
        return f"{self.kind}: {self}" if self.kind else str(self)


REMEDIES: tuple[tuple[type[BaseException], str, str], ...] = (
    (FileNotFoundError, "not_found", "check the spelling, and that the disk or bucket is mounted or reachable"),
    (NotADirectoryError, "", "a part of the path is a file; name a folder"),
    (FileExistsError, "", "a part of the path is a file; name a folder"),
    (IsADirectoryError, "", "that is a folder; name a file"),
    (PermissionError, "denied", "give this user the right to it, or set the credentials of its scheme"),
    (TimeoutError, "timeout", "see that its server is up and reachable, then try again"),
)
MEMBERS = "!"
"""In place of a scheme: what lies in an archive, on whatever scheme that is."""
LIST_BATCH = 5000
"""Objects that a listing hands on, and reports, at a time."""

CHUNK_BYTES = 1024 * 1024
NO_SPACE = 28
READ_ONLY = 30


def explain(uri: str, action: str, error: BaseException) -> StorageError:
    """One sentence for an I/O failure: the thing, the cause, the remedy; with its kind."""
    kind, remedy = next(((k, text) for type_, k, text in REMEDIES if isinstance(error, type_)), ("", "see the cause"))
    if isinstance(error, OSError) and error.errno == NO_SPACE:
        remedy = "free some space or point AROT_STORE elsewhere; nothing was half written"
    if isinstance(error, OSError) and error.errno == READ_ONLY:
        remedy = "the file system is read-only; point AROT_STORE to a place that can be written"
    cause = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if is_local(uri) and os.path.islink(local_path(uri)):
        cause = f"link to '{os.readlink(local_path(uri))}': {cause}"
        remedy = (
            "mend the link, or bring what it stands for (`git annex get`, `dvc pull`, a download that was cut short)"
        )
    elif isinstance(error, FileNotFoundError) and is_local(uri) and os.path.lexists(_meant(local_path(uri))):
        kind, cause, remedy = "refused_name", "the file has a name that is not UTF-8", "give it another name"
    return StorageError(f"cannot {action} '{uri}': {cause}; {remedy}", kind=kind)


def _meant(path: str) -> bytes:
    """The path of which ``shown`` made this one; nothing if it made none."""
    odd = re.sub(rb"\\x([89a-f][0-9a-f])", lambda found: bytes.fromhex(found[1].decode()), os.fsencode(path))
    return odd if odd != os.fsencode(path) else b""


def changed(uri: str) -> StorageError:
    """The error of an object that became another one while it was read."""
    return StorageError(f"cannot read '{uri}': it changed meanwhile; start again", kind="changed")


def there_already(uri: str) -> StorageError:
    """The error of a write that was to replace nothing."""
    return StorageError(f"'{uri}' is there already, and was to be created only", kind="exists")


def replaced(uri: str) -> StorageError:
    """The error of a write that was to replace one version, when another is there."""
    return StorageError(f"'{uri}' was replaced meanwhile; start again", kind="changed")


def content_is(path: Path, tag: str) -> bool:
    """Whether a local file holds the bytes that a tag stands for.

    Args:
        path: the file.
        tag: ``sha256:`` or ``md5:`` and the digits, or ``git:`` and the id of a blob of Git.

    Raises:
        OSError: it cannot be read.
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
    """The scheme of a URI in lower case; ``file`` for a local path, ``MEMBERS`` for what lies in an archive."""
    if parse_member(uri) is not None:
        return MEMBERS
    return uri.split("://", 1)[0].lower() if "://" in uri else "file"


def is_local(uri: str) -> bool:
    """Whether a URI is a path of this machine: no scheme, or ``file://``; what lies in an archive is none."""
    return ("://" not in uri or uri.startswith("file://")) and parse_member(uri) is None


def local_path(uri: str) -> str:
    """The absolute path behind a local URI; ``~`` is expanded."""
    return os.path.abspath(os.path.expanduser(uri.removeprefix("file://")))


def absolute(uri: str) -> str:
    """The URI as listings write it: of local files, and of what lies in local archives, with the whole path."""
    member = parse_member(uri)
    if member is not None:
        return member_uri(absolute(member.archive), member.name)
    return local_path(uri) if is_local(uri) else uri


def outermost(roots: Iterable[str]) -> list[str]:
    """Those roots that are not below another one, each once."""
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
