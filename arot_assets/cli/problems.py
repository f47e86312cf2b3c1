"""Reporting which declarations are left out, while the work goes on without them.

Belongs here: the lines on the terminal. Does not belong here: what is a fault (``arot_assets.declarations``).
"""

from functools import cache
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from arot_assets.declarations import Declarations
    from arot_assets.subsets.project import Project


def tell_problems(declared: "Declarations", project: "Project") -> None:
    """Report what is left out, one line each."""
    for line in dict.fromkeys([*declared.problems(), *project.problems()]):
        tell_problem(f"left out: {line}")


@cache
def tell_problem(line: str) -> None:
    """Print one line for the user, once per process."""
    click.secho(line, err=True, fg="yellow")
