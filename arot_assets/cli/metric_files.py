"""The files of the declared metrics, looked at before any work begins.

Belongs here: telling a slip in one of them as one error. Does not belong here: anything that needs Dagster's machinery for
runs, since `arot status` looks too and is to be quick.
"""

import traceback
from pathlib import Path

from arot_assets.declarations import DeclarationError, Declarations
from arot_assets.metrics.registry import get_metric


def check_metrics(declared: Declarations) -> None:
    """Import the file of every declared metric, so that a slip in one is one error instead of a loader's traceback.

    Raises:
        DeclarationError: a file cannot be imported, or declares no metric of its name; tells file, line and cause.
    """
    for name in sorted({name for dataset in declared.datasets.values() for name in dataset.metrics}):
        try:
            get_metric(name)
        except Exception as error:
            place = _place(error)
            raise DeclarationError(
                f"{place}metric '{name}' cannot be loaded: {type(error).__name__}: {error}"
            ) from error


def _place(error: Exception) -> str:
    """``file:line: `` in the catalogue where loading a metric failed; empty when it did not fail inside a file."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: "
    inside = [
        f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).parent.name in ("catalogue", "metrics")
    ]
    return f"{inside[-1].filename}:{inside[-1].lineno}: " if inside else ""
