"""Why rows failed: reading the reasons that the rooms have written.

Belongs here: which rows a user means by a word, and grouping reasons that differ only in their object. Does not belong here:
writing reasons (they come from ``StorageError.reason``, the probe, the decoder).
"""

import re

OBJECT = r"'[^']*/[^']*'"
"""A path or an address in a reason, with its quotes; a regular expression that Python and DuckDB understand."""

WORD = re.compile(r"[a-z_]+")


def meant(asked: str, text: str) -> bool:
    """Whether a user who asks for failed rows by a text means this row.

    Args:
        asked: a single word (``timeout``) matches rows that say it about their object, not those whose address contains it;
            any other text matches rows that contain it anywhere. Empty for all.
        text: status and reason of the row.
    """
    return asked in (general(text) if WORD.fullmatch(asked) else text)


def general(reason: str) -> str:
    """A reason without the object's name, so that each cause is one reason."""
    return re.sub(OBJECT, "…", reason)
