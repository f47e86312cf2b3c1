"""The result of one check of `arot doctor`.

Belongs here: its data. Does not belong here: checking (``doctor.py``, ``endpoints.py``).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that was checked.

    Attributes:
        level: ``ok``, ``note`` or ``problem``.
        what: the thing.
        text: its state.
        remedy: what to do; empty if all is well.
    """

    level: str
    what: str
    text: str
    remedy: str = ""
