"""Faults of a SQL project: what is left out, while everything else works.

Belongs here: collecting faults. Does not belong here: detecting them (``load.py``), what depends on them
(``linking.py``), reporting them (the command line).
"""

from collections.abc import Iterator
from contextlib import contextmanager

from arot_assets.errors import ProjectError


class Faults:
    """Faults by the name of what is left out because of them: the name of a model, otherwise a kind and a name, or a
    file.

    Attributes:
        errors: name -> the first fault that was found.
    """

    def __init__(self) -> None:
        self.errors: dict[str, ProjectError] = {}

    def add(self, name: str, error: ProjectError) -> None:
        """Record a fault; the first one of each name counts."""
        self.errors.setdefault(name, error)

    @contextmanager
    def leaving_out(self, name: str) -> Iterator[None]:
        """Record errors raised in the block as a fault of ``name``."""
        try:
            yield
        except ProjectError as error:
            self.add(name, error)
