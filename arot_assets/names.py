"""What declared things may be called, and who may own them: the rules of SQL and Dagster, in words.

Belongs here: the rules of names and owners that several rooms share. Does not belong here: which names are taken (the rooms'
``declaration.py``, ``declarations.py``).
"""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator

NAME = re.compile(r"[a-z][a-z0-9_]*")
LONGEST = 100
"""A name becomes part of file names, which hold 255 bytes."""
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
TEAM = re.compile(r"team:\S+")


def proposed_name(text: str) -> str:
    """A valid name close to a text, ``My Cats`` -> ``my_cats``; empty if nothing is left of it."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_0123456789")[:LONGEST].rstrip("_")


def ascii_word(text: str) -> str:
    """A text in the letters, digits and ``_`` that Dagster takes in names: ``Größe cm`` -> ``Grosse_cm``.

    Letters that have no Latin ones behind them are told by their numbers, so that two texts stay two.
    """
    folded = "".join(c if c.isascii() else c.casefold() for c in text)
    plain = (c for c in unicodedata.normalize("NFKD", folded) if not unicodedata.combining(c))
    return re.sub(r"\W+", "_", "".join(f"u{ord(c):x}" if not c.isascii() and c.isalnum() else c for c in plain))


def _named(name: str) -> str:
    if NAME.fullmatch(name) and len(name) <= LONGEST:
        return name
    proposed = proposed_name(name)
    hint = f"; '{proposed}' would do" if proposed and proposed != name else ""
    raise ValueError(
        f"a name has lower-case letters a to z, digits and _, begins with a letter and is at most {LONGEST} long{hint}"
    )


def checked_owner(owner: str) -> str:
    """The owner, if it is one to Dagster.

    Raises:
        ValueError: it is not; the message says what would do.
    """
    if EMAIL.fullmatch(owner) or TEAM.fullmatch(owner):
        return owner
    team = re.sub(r"\s+", "_", owner.strip().lower())
    hint = f"; 'team:{team}' would do" if team and "@" not in team else ""
    raise ValueError(f"an owner is an e-mail address or team:NAME{hint}")


Name = Annotated[str, AfterValidator(_named)]
"""The name of a declared thing: a schema or table in SQL, a part of an asset's key, a folder of the store."""

Owner = Annotated[str, AfterValidator(checked_owner)]
"""Who answers for an asset, as Dagster shows it: an e-mail address or ``team:NAME``."""
