"""Temporary folders for work that is under way: films that are cut, exports that are staged, vectors that a training maps.

Belongs here: where they are, whose they are, and that nothing of a process that was killed stays. Does not belong here: what is
written beside its target, to be moved there in one step (``beside.py``).

All are below one folder of this user, ``arot-<uid>`` in ``$AROT_SCRATCH`` or the system's temporary folder, which nobody else can
write to. In it each process has one that is named after it (``processes.Owner``), and holds a lock on the file of that name with
``.lock``. Whoever asks for a folder first removes those of processes that have ended: of this container by their number and
start; of another one, or of an earlier boot, when their lock is free. On a disk that several machines share, what another
machine made is left alone: its locks may not reach here. The lock of a process ends with it, however it ends.
"""

import atexit
import errno
import fcntl
import logging
import os
import secrets
import shutil
import socket
import stat
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from resources.errors import ArotError
from resources.processes import Owner

VARIABLE = "AROT_SCRATCH"
LOCK = ".lock"
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
PROBE = 1 << 20
"""Bytes that a disk lacks on which a write has just failed for want of space."""
ONLY_HERE = frozenset("bcachefs btrfs ext2 ext3 ext4 f2fs jfs overlay ramfs reiserfs tmpfs xfs zfs".split())
"""File systems that one kernel alone has mounted: its locks are everybody's."""
log = logging.getLogger("arot")

_guard = threading.Lock()
_mine: dict[Path, int | None] = {}
"""Folder of this process -> descriptor of its lock; several if the variable changed."""


class ScratchError(ArotError):
    """No temporary folder can be had, or its disk is full; the message names the folder, the cause and the remedy."""


@dataclass(frozen=True)
class Left:
    """What lies in the folder of this user and is of no process that can be asked.

    Attributes:
        path: the folder.
        owner: what its process said of itself.
        files: how many it has.
        bytes: of all of them.
    """

    path: Path
    owner: str
    files: int
    bytes: int


class WorkingFolder:
    """A new, empty folder of this process, which the end of the block, or ``remove``, removes.

    Args:
        what: what it is for, as a part of its name.
        room: bytes that will be written, as far as they are known.

    Attributes:
        path: where it is.

    Raises:
        ScratchError: there is no place for it, or less than ``room``; from the block also when the disk is full.
    """

    def __init__(self, what: str, room: int = 0) -> None:
        try:
            mine = _folder_of_this_process()
            free = shutil.disk_usage(mine).free
            if free < room:
                raise _full(mine, f"{free:,} bytes are free, and {what} needs {room:,}")
            self.path = Path(tempfile.mkdtemp(prefix=f"{what}_", dir=mine))
        except OSError as error:
            raise _no_place(error) from error

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the folder. An error of its disk becomes one that names it."""
        told = full_disk(error, self.path) if isinstance(error, OSError) else None
        self.remove()
        if told is not None:
            raise told from error

    def remove(self) -> None:
        """Remove the folder; what cannot be removed now goes with the process."""
        shutil.rmtree(self.path, ignore_errors=True)


def folder_for_later(what: str) -> Path:
    """A path for a folder that a library makes when it needs one; the end of the process removes it.

    Raises:
        ScratchError: there is no place for it.
    """
    try:
        return _folder_of_this_process() / f"{what}_{secrets.token_hex(4)}"
    except OSError as error:
        raise _no_place(error) from error


def full_disk(error: OSError, folder: Path | None = None) -> ScratchError | None:
    """The error in words, if it is that the disk of temporary folders is full.

    Args:
        error: of whatever was written.
        folder: which is written to; None for any of this process.
    """
    if error.errno in FULL:
        for one in [folder] if folder is not None else list(_mine):
            try:
                with tempfile.TemporaryFile(dir=one) as probe:
                    probe.write(bytes(PROBE))
            except OSError as again:
                return _full(one, again.strerror or str(again))
    return None  # another disk is, or none


def reserve(path: Path, size: int) -> None:
    """Give a file all of its space now: to write to a mapped file for which the disk has no room kills the process.

    Raises:
        ScratchError: there is not enough.
        OSError: it cannot be written for another reason.
    """
    try:
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        if error.errno in FULL:
            raise _full(path.parent, f"{path.name} needs {size:,} bytes: {error.strerror}") from error
        raise


def place() -> Path:
    """Where the folders of this user's processes are, whether or not it is there."""
    base = os.environ.get(VARIABLE) or tempfile.gettempdir()
    return Path(os.path.abspath(os.path.expanduser(base))) / f"arot-{os.geteuid()}"


def prepare() -> Path:
    """``place``, made if it is not there, without what processes left that have ended.

    Raises:
        ScratchError: it cannot be made or written to, or it is somebody else's.
    """
    try:
        return _folder_of_this_process().parent
    except OSError as error:
        raise _no_place(error) from error


def is_inside(path: str) -> bool:
    """Whether a file is in a temporary folder of this process."""
    return any(path.startswith(f"{folder}/") for folder in list(_mine))


def left() -> Iterator[Left]:
    """What is of processes of which nothing can be told from here: those of other machines, on a disk that several share."""
    at = place()
    for name in sorted(os.listdir(at)) if at.is_dir() else ():
        owner = None if name.endswith(LOCK) else Owner.named_in(name)
        if owner is None or owner.is_gone is False or owner.is_of_this_boot:
            continue
        lock = at / f"{name}{LOCK}"
        said = lock.read_text(errors="replace").strip() if lock.is_file() else ""
        files = [Path(folder, file) for folder, _, names in os.walk(at / name) for file in names]
        size = sum(file.lstat().st_size for file in files)
        yield Left(at / name, said or f"process {owner.pid} of another machine", len(files), size)


def _folder_of_this_process() -> Path:
    """Made when it is needed first, or when somebody removed it.

    Raises:
        OSError: it cannot be made.
        ScratchError: the folder of this user is somebody else's.
    """
    at = place()
    with _guard:
        _own(at)
        _sweep(at)
        folder = at / str(Owner.me())
        if folder not in _mine or not folder.is_dir():
            handle = _mine.pop(folder, None)
            if handle is not None:
                os.close(handle)
            _mine[folder] = _locked(folder)
            folder.mkdir(mode=0o700, exist_ok=True)
        return folder


def _own(at: Path) -> None:
    """Make the folder of this user, and see that it is a folder, theirs, and closed to others: anybody may write beside it, and
    may have put a link there."""
    try:
        at.mkdir(mode=0o700)
    except FileExistsError:
        found = at.lstat()
        why = ""
        if not stat.S_ISDIR(found.st_mode):
            why = "it is a link" if stat.S_ISLNK(found.st_mode) else "it is a file"
        elif found.st_uid != os.geteuid():
            why = f"it belongs to another user ({found.st_uid})"
        elif found.st_mode & 0o022:
            why = "others may write to it"
        if why:
            raise ScratchError(
                f"no temporary folder can be made in '{at}': {why}; remove it, or set {VARIABLE} to a folder of your own"
            ) from None


def _locked(folder: Path) -> int | None:
    """The lock of this process's folder, taken before the folder is there; None where the file system has no locks."""
    lock = folder.with_name(f"{folder.name}{LOCK}")
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            os.close(handle)
            return None
        if os.fstat(handle).st_nlink:
            os.truncate(handle, 0)
            os.write(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
            return handle
        os.close(handle)  # somebody took it for one that was left, and removed it


def _sweep(at: Path) -> None:
    """Remove what is of processes that have ended: one listing, and for each process a look at whether it lives."""
    for name in {name.removesuffix(LOCK) for name in os.listdir(at)}:
        owner = Owner.named_in(name)
        if owner is not None and str(owner) == name and owner.is_gone is not False:
            _remove(at, name, owner)


def _remove(at: Path, name: str, owner: Owner) -> None:
    """Remove the folder of an owner that is not known to live, unless its lock is held: by a child of it, by a process of another
    container, by who removes it at this moment."""
    lock, handle = at / f"{name}{LOCK}", None
    try:
        handle = os.open(lock, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        free = owner.is_of_this_boot or _is_only_here(at)
    except BlockingIOError:
        os.close(handle)  # type: ignore[arg-type]  # it is open
        return
    except OSError:
        free = False  # there is no lock that could tell
    try:
        if free or owner.is_gone:
            shutil.rmtree(at / name, ignore_errors=True)
            if not os.path.lexists(at / name):  # else a helper of it still writes: the next one tries again
                lock.unlink(missing_ok=True)
    finally:
        if handle is not None:
            os.close(handle)


def _is_only_here(at: Path) -> bool:
    """Whether no other machine can have made what is there."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text()
    except OSError:
        return False
    kinds = {}
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        kinds[before.split()[4].encode().decode("unicode_escape")] = after.split()[0]
    there = at.resolve()
    return next((kinds[str(one)] for one in (there, *there.parents) if str(one) in kinds), "") in ONLY_HERE


def _full(folder: Path, why: str) -> ScratchError:
    return ScratchError(
        f"no room for temporary files in '{folder}': {why}; free some space there, or set {VARIABLE} to a folder on a larger disk"
    )


def _no_place(error: OSError) -> ScratchError:
    """``tempfile`` raises FileNotFoundError where no folder of the system can be written."""
    base = os.environ.get(VARIABLE) or "the system's temporary folder"
    return ScratchError(
        f"no temporary folder can be made in '{base}': {error.strerror or error}; set {VARIABLE} to a folder that is there, "
        "that you may write to, on a disk with room"
    )


def _forget() -> None:
    """In a forked process: the folders and locks are the parent's, whose lock would else last as long as its children."""
    global _guard
    _guard = threading.Lock()
    for handle in _mine.values():
        if handle is not None:
            os.close(handle)
    _mine.clear()


def _leave() -> None:
    """At the end of the process: nothing of it stays."""
    with _guard:
        for folder, handle in _mine.items():
            shutil.rmtree(folder, ignore_errors=True)
            folder.with_name(f"{folder.name}{LOCK}").unlink(missing_ok=True)
            if handle is not None:
                os.close(handle)
        _mine.clear()


os.register_at_fork(after_in_child=_forget)
atexit.register(_leave)
