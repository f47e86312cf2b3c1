"""Telling what is left out of what is declared, beside the work that goes on without it.

Belongs here: the lines on the terminal. Does not belong here: what is a fault (``arot_assets.declarations``).
"""

from functools import cache
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from arot_assets.declarations import Declarations


def tell_problems(declared: "Declarations") -> None:
    """Say what is left out, a line each."""
    for line in declared.problems():
        tell_problem(f"left out: {line}")


@cache
def tell_problem(line: str) -> None:
    """Say one line to the person who watches, once in a process."""
    click.secho(line, err=True, fg="yellow")
