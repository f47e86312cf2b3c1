"""What checking a source found.

Belongs here: the result that all kinds of source checks share.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """How a source differs from its inventory.

    Attributes:
        signature: equal for equal results.
        text: for people.
    """

    signature: str
    text: str
