"""The error of this room.

Belongs here: how a complaint is told. Does not belong here: when to complain.
"""

from resources.errors import ArotError


class ExportError(ArotError):
    """A subset that cannot be published as it is; the message names it, the cause and the remedy."""
