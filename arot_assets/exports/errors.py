"""The error of this room."""

from resources.errors import ArotError


class ExportError(ArotError):
    """A subset that cannot be published; the message names it, the cause and the remedy."""
