"""The one family of errors that are meant for users.

Belongs here: the base class, which the command line, Dagster and notebooks show as one line, and a hint that several of them
give. Does not belong here: the errors themselves, which are defined beside the code that raises them.
"""

from collections.abc import Mapping
from typing import Any


class ArotError(Exception):
    """An error that the user can act on; the message names the thing, the cause and the remedy.

    Any other exception is a bug in arot, and keeps its traceback.
    """


def quotes_hint(error: Mapping[str, Any]) -> str:
    """What to do where a text was wanted and YAML read something else, such as a number for the commit 12345678; empty otherwise.

    Args:
        error: one of pydantic's.
    """
    is_text = error["type"] != "string_type" or error["input"] is None or isinstance(error["input"], list | dict)
    return "" if is_text else "; YAML does not read it as text: put it in quotes"
