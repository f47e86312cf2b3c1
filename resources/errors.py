"""The one family of errors that are meant for users.

Belongs here: the base class, which the command line, Dagster and notebooks show as one line, what is said of a machine that
refuses to write, and a hint that several of them give. Does not belong here: the errors themselves, which are defined beside the
code that raises them.
"""

import errno
import os
from collections.abc import Iterator, Mapping
from typing import Any


class ArotError(Exception):
    """An error that the user can act on; the message names the thing, the cause and the remedy.

    Any other exception is a bug in arot, and keeps its traceback.
    """


OTHER_PLACE = "choose another place (AROT_STORE, AROT_SCRATCH, TMPDIR and DAGSTER_HOME say where things go)"
REFUSALS = {
    errno.ENOSPC: f"free some space there, or {OTHER_PLACE}",
    errno.EDQUOT: f"free some space there, have the quota raised, or {OTHER_PLACE}",
    errno.EROFS: f"have it made writable, or {OTHER_PLACE}",
    errno.EACCES: f"grant this user access, or {OTHER_PLACE}",
    errno.EPERM: f"grant this user access, or {OTHER_PLACE}",
    errno.EIO: "the disk, or the connection to it, fails: see the system's log",
    errno.EMFILE: "let a process open more files (`ulimit -n 65536`)",
    errno.ENFILE: "too many files are open on this machine: end other programs",
}
"""What to do when the machine refuses, whichever file that befalls: none of these is a fault of arot."""


def refusal(error: BaseException) -> ArotError | None:
    """The error in words, if the machine refused something: a disk is full or read-only, a folder is somebody else's, too many
    files are open. None for any other error.

    What is not an ``OSError`` is known by the system's own text, which libraries in other languages give.
    """
    for cause in causes(error):
        if isinstance(cause, OSError) and cause.errno in REFUSALS:
            return _refused(cause.errno, cause.filename)
    text = str(error)
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        if os.strerror(number) in text:
            return _refused(number, None)
    if isinstance(error, FileNotFoundError) and "No usable temporary directory" in text:
        return ArotError(f"no folder for temporary files can be written: {text}; free some space, or set TMPDIR")
    return None


def _refused(number: int, name: object) -> ArotError:
    thing = f"'{os.fsdecode(name)}'" if isinstance(name, str | bytes | os.PathLike) else "a file"
    return ArotError(f"cannot use {thing}: {os.strerror(number)}; {REFUSALS[number]}")


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what it follows from, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def quotes_hint(error: Mapping[str, Any]) -> str:
    """What to do where a text was wanted and YAML read something else, such as a number for the commit 12345678; empty otherwise.

    Args:
        error: one of pydantic's.
    """
    is_text = error["type"] != "string_type" or error["input"] is None or isinstance(error["input"], list | dict)
    return "" if is_text else "; YAML does not read it as text: put it in quotes"
