"""What of a SQL project has a fault, and is left out, while all else works.

Belongs here: collecting faults. Does not belong here: what is one (``load.py``), what else cannot do without it
(``linking.py``), telling people (the command line).
"""

from collections.abc import Iterator
from contextlib import contextmanager

from arot_assets.errors import ProjectError


class Faults:
    """Faults by the name of what is left out because of them: a model's name, else a kind and a name, or a file.

    Attributes:
        errors: name -> the first fault that was found.
    """

    def __init__(self) -> None:
        self.errors: dict[str, ProjectError] = {}

    def add(self, name: str, error: ProjectError) -> None:
        """Note a fault; the first one of a name counts."""
        self.errors.setdefault(name, error)

    @contextmanager
    def leaving_out(self, name: str) -> Iterator[None]:
        """Note what goes wrong in the block as a fault of ``name``."""
        try:
            yield
        except ProjectError as error:
            self.add(name, error)
