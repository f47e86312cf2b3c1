"""What can be wrong with a declaration."""

from dataclasses import dataclass

from arot_assets.yaml_lines import Where, YamlFile
from resources.errors import ArotError


class DeclarationError(ArotError):
    """A declaration that cannot be used; the message names file, line, cause and remedy."""


@dataclass(frozen=True)
class Fault:
    """An error in one declaration or one metric.

    Attributes:
        name: what is left out; for a file that cannot be read, the name of its folder.
        error: why, with file, line and remedy. Something left out only because of another fault has that fault's error.
    """

    name: str
    error: ArotError


def error_at(file: YamlFile, where: Where, message: str) -> DeclarationError:
    """An error at a place in a file.

    Args:
        file: the parsed declaration.
        where: the keys that lead to the place, from the top of the file.
        message: cause and remedy.
    """
    return DeclarationError(str(file.error(where, message)))
