"""Why rows failed: reading the reasons that the rooms have written.

Belongs here: which rows a person means by a word, and reasons that differ only by their object. Does not belong here:
writing reasons (they come from ``StorageError.reason``, the probe, the decoder).
"""

import re

OBJECT = r"'[^']*/[^']*'"
"""A path or an address in a reason, with its quotes; a regular expression that Python and DuckDB understand."""

WORD = re.compile(r"[a-z_]+")


def meant(asked: str, text: str) -> bool:
    """Whether a person who asks for failed rows by a text means this one.

    Args:
        asked: a single word (``timeout``) finds rows that say it of their object, not those whose address has it in it;
            any other text finds rows that contain it anywhere. Empty for all.
        text: status and reason of the row.
    """
    return asked in (general(text) if WORD.fullmatch(asked) else text)


def general(reason: str) -> str:
    """A reason without the object's name, so that one cause is one reason."""
    return re.sub(OBJECT, "…", reason)
