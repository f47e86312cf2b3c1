"""What declared things may be named, who may own them, and how servers are addressed, with errors in words.

Belongs here: the rules that several rooms share. Does not belong here: which names are taken (the
rooms' ``declaration.py``, ``arot_assets.declarations``).
"""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator

from resources.storage.http.rules import carries_secret

NAME = re.compile(r"[a-z][a-z0-9_]*")
LONGEST = 100
"""A name becomes part of file names, which are limited to 255 bytes."""
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
TEAM = re.compile(r"team:\S+")


def proposed_name(text: str) -> str:
    """A valid name close to a text, ``My Cats`` -> ``my_cats``; empty if nothing is left of it."""
    plain = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    words = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    return (words.lstrip("_0123456789") or (f"set_{words}" if words else ""))[:LONGEST].rstrip("_")


def ascii_word(text: str) -> str:
    """A text reduced to the letters, digits and ``_`` that Dagster allows in names: ``Größe cm`` -> ``Grosse_cm``.

    Letters without a Latin equivalent become their code points, so that different texts stay different.
    """
    folded = "".join(c if c.isascii() else c.casefold() for c in text)
    plain = (c for c in unicodedata.normalize("NFKD", folded) if not unicodedata.combining(c))
    return re.sub(r"\W+", "_", "".join(f"u{ord(c):x}" if not c.isascii() and c.isalnum() else c for c in plain))


def _named(name: str) -> str:
    if NAME.fullmatch(name) and len(name) <= LONGEST:
        return name
    proposed = proposed_name(name)
    hint = f"; for example '{proposed}'" if proposed and proposed != name else ""
    raise ValueError(
        f"a name has lower-case letters a to z, digits and _, begins with a letter and is at most {LONGEST} long{hint}"
    )


def checked_owner(owner: str) -> str:
    """The owner, if Dagster accepts it.

    Raises:
        ValueError: it does not; the message says what it accepts.
    """
    if EMAIL.fullmatch(owner) or TEAM.fullmatch(owner):
        return owner
    team = re.sub(r"\s+", "_", owner.strip().lower())
    hint = f"; for example 'team:{team}'" if team and "@" not in team else ""
    raise ValueError(f"an owner is an e-mail address or team:NAME{hint}")


def _without_secret(url: str) -> str:
    if carries_secret(url):
        raise ValueError("a password or key in the address would end up in logs; use `key_variable`")
    return url.rstrip("/")


ServerUrl = Annotated[str, AfterValidator(_without_secret)]
"""The address of a server that takes a key: without it, and without a slash at its end."""

Name = Annotated[str, AfterValidator(_named)]
"""The name of a declared thing: a schema or table in SQL, part of an asset key, a folder in the store."""

Owner = Annotated[str, AfterValidator(checked_owner)]
"""The owner of an asset, as shown by Dagster: an e-mail address or ``team:NAME``."""
