"""Errors in the SQL project and in declarations, and suggestions for misspelt names.

Belongs here: how such an error is worded (where, what, what to do). Does not belong here: when it is raised.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from resources.errors import ArotError


class ProjectError(ArotError):
    """Something in the project is wrong; the message names file and line, the cause and the remedy.

    Attributes:
        path: the file, None if no single file is at fault.
        line: 1-based line in it, None if unknown.
    """

    def __init__(self, message: str, path: Path | None = None, line: int | None = None) -> None:
        self.path = path
        self.line = line
        where = "" if path is None else f"{path}: " if line is None else f"{path}:{line}: "
        super().__init__(where + message)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`` Did you mean 'x'?`` for a near miss, else `` Known: …``; starts with a space."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    if close:
        return f" Did you mean '{close[0]}'?"
    return f" Known: {', '.join(names)}." if names else " There are none."
