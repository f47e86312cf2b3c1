"""What a look at a source found.

Belongs here: the words that all ways of looking share.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """How a source differs from its inventory.

    Attributes:
        signature: equal for equal findings.
        text: for people.
    """

    signature: str
    text: str
