"""The one error of this room: a project, a model or a sample that does not work out, told to a person.

Belongs here: how a complaint is worded (where, what, what to do).
Does not belong here: when to complain.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from resources.errors import ArotError


class ProjectError(ArotError):
    """Something in the SQL project is wrong; the message names file and line, the cause and the remedy.

    Attributes:
        path: the file, None when no single file is to blame.
        line: 1-based line in it, None when unknown.
    """

    def __init__(self, message: str, path: Path | None = None, line: int | None = None) -> None:
        self.path = path
        self.line = line
        where = "" if path is None else f"{path}: " if line is None else f"{path}:{line}: "
        super().__init__(where + message)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`` Did you mean 'x'?`` for a near miss, else `` Known: …``; starts with a blank."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    if close:
        return f" Did you mean '{close[0]}'?"
    return f" Known: {', '.join(names)}." if names else " There are none."
