"""What people look at of ratings: how each rater uses the scale, and where the samples lie on it.

Belongs here: choosing what is shown. Does not belong here: drawing (``drawing.py``), Dagster.
"""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from arot_assets.drawing import histograms
from arot_assets.ratings.declaration import SCORE
from arot_assets.ratings.joined import OK
from arot_assets.ratings.trust import Conclusions

MOST_RATERS = 12


def scale_picture(found: Conclusions) -> bytes | None:
    """Histograms of the scale, of its standard errors, and of the raters' disagreement, as a PNG; None without samples."""
    series = {
        "value": found.scale["value"],
        "standard error": found.scale["standard_error"],
        "ratings of a sample": found.scale["n"],
        "disagreement": found.scale["disagreement"],
    }
    shown = {name: _numbers(column) for name, column in series.items()}
    return histograms(shown) if found.scale.num_rows else None


def use_picture(ratings: pa.Table) -> bytes | None:
    """How often each rater gives each score, as a PNG; None without scores.

    Args:
        ratings: as ``ratings.<name>``.
    """
    scored = ratings.filter(pc.and_(pc.equal(ratings["status"], OK), pc.equal(ratings["kind"], SCORE)))
    raters = scored["rater"].to_pylist()
    often = [name for name, _ in Counter(raters).most_common(MOST_RATERS)]
    values, who = _numbers(scored["value"]), np.array([name or "" for name in raters], object)
    shown = {
        f"{name or 'no name'}: {int((who == (name or '')).sum()):,}": values[who == (name or "")] for name in often
    }
    return histograms(shown) if shown else None


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
