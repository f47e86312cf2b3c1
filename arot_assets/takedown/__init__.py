"""Takedowns: content leaves the store wherever it is, and is kept out.

Belongs here: which samples are meant (``scope.py``), what leaves a file (``rows.py``, ``models.py``), in which order, and what an
interruption leaves to be done (``takedown.py``). Does not belong here: exported versions (``exports/takedown.py``), the list that
keeps content out (``datasets/forgotten.py``), the history of runs (``cli/history.py``).
"""

from arot_assets.takedown.models import TrainedModel, heads_trained_on, retrained_by
from arot_assets.takedown.rows import NamesMeant
from arot_assets.takedown.scope import TakedownError, TakedownScope, find_meant
from arot_assets.takedown.takedown import TakedownResult, forget, interrupted, published

__all__ = [
    "NamesMeant",
    "TakedownError",
    "TakedownResult",
    "TakedownScope",
    "TrainedModel",
    "find_meant",
    "forget",
    "heads_trained_on",
    "interrupted",
    "published",
    "retrained_by",
]
