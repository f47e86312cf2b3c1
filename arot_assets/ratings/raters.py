"""The table ``<name>.raters``: how each rater uses the scale, and whom to talk to.

Belongs here: figures of one rater. Does not belong here: agreement between raters (``agreement.py``), the scale (``latent.py``).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from arot_assets.columns import Column
from arot_assets.ratings.agreement import alpha
from arot_assets.ratings.declaration import CATEGORY, SCORE, RatingsDeclaration
from arot_assets.ratings.latent import Latent, Scores

FEWEST = 10
"""Ratings below which nobody is called a speeder, a straight-liner or the like."""
OUTSIDE_SHARE = 0.05
"""Of a rater's scores: if more are outside the declared scale, the others are of another scale too, and not slips."""
RATERS_SCHEMA = pa.schema(
    [
        column.field()
        for column in (
            Column("rater", pa.string(), "who; empty for ratings whose source names nobody"),
            Column("ratings", pa.int64(), "that count"),
            Column("samples", pa.int64(), "different samples that they rated, pairs and rankings aside"),
            Column("bias", pa.float64(), "mean difference to the other raters' mean of the same sample, in points"),
            Column("offset", pa.float64(), "their score for an average sample, in points"),
            Column("slope", pa.float64(), "points for one standard deviation of quality; below 0: upside down"),
            Column(
                "noise", pa.float64(), "standard deviation of their scores about what the scale explains, in points"
            ),
            Column("sharpness", pa.float64(), "how strongly their comparisons follow the scale, in log odds"),
            Column("self_consistency", pa.float64(), "Krippendorff's alpha with themselves over repeated samples"),
            Column("repeats", pa.int64(), "samples that they rated more than once"),
            Column(
                "drift",
                pa.float64(),
                "change from their first to their last rating that the samples do not explain, in points",
            ),
            Column("values_used", pa.int64(), "different scores or classes"),
            Column("top_share", pa.float64(), "share of their most frequent score or class"),
            Column("median_seconds", pa.float64(), "time of a rating at the median; null if no source tells"),
            Column("outside", pa.int64(), "their scores outside the declared scale, which do not count"),
            Column(
                "flags", pa.list_(pa.string()), "another scale | speeder | straight-liner | upside down | unreliable"
            ),
        )
    ]
)


def rater_rows(
    ok: Sequence[Mapping[str, Any]],
    raters: Sequence[str],
    latent: Latent | None,
    scores: Scores,
    samples: Sequence[str],
    declaration: RatingsDeclaration,
    outside: Mapping[str, int],
) -> list[dict[str, Any]]:
    """A row for each rater.

    Args:
        ok: the ratings that count.
        raters: names, in the order of their numbers.
        latent: the fitted scale, None without scores and comparisons.
        scores: as they went into it.
        samples: ids, in the order of their numbers.
        declaration: what makes a speeder and a straight-liner.
        outside: rater -> how many scores were outside the declared scale.
    """
    bias = _bias(scores, len(samples), len(raters))
    mine: dict[str, list[Mapping[str, Any]]] = {name: [] for name in raters}
    for row in ok:
        mine[row["rater"] or ""].append(row)
    made = []
    for number, name in enumerate(raters):
        rows = mine[name]
        values = [
            row["value"] if row["kind"] == SCORE else row["label"] for row in rows if row["kind"] in (SCORE, CATEGORY)
        ]
        seconds = [row["seconds"] for row in rows if row["seconds"] is not None]
        top = Counter(values).most_common(1)[0][1] / len(values) if values else None
        repeats, consistency = _repeats(rows, declaration)
        row = {
            "rater": name,
            "ratings": len(rows),
            "samples": len({row["sample_id"] for row in rows if row["sample_id"]}),
            "bias": _number(bias[number]),
            "self_consistency": _number(consistency),
            "repeats": repeats,
            "drift": _drift(rows, number, latent, samples),
            "values_used": len(set(values)) if values else None,
            "top_share": top,
            "median_seconds": float(np.median(seconds)) if seconds else None,
            "outside": outside.get(name, 0),
        }
        for column in ("offset", "slope", "noise", "sharpness"):
            row[column] = _number(getattr(latent, column)[number]) if latent is not None else None
        made.append(row | {"flags": _flags(row, declaration, bool(latent is not None and latent.reversed()[number]))})
    return made


def _flags(row: Mapping[str, Any], declaration: RatingsDeclaration, upside_down: bool) -> list[str]:
    found = []
    if row["outside"] > OUTSIDE_SHARE * (row["ratings"] + row["outside"]):
        found.append("another scale")
    if row["ratings"] < FEWEST:
        return found
    if row["median_seconds"] is not None and row["median_seconds"] < declaration.fastest_seconds:
        found.append("speeder")
    if row["top_share"] is not None and row["top_share"] >= declaration.same_share:
        found.append("straight-liner")
    elif upside_down:
        found.append("upside down")
    elif row["slope"] is not None and row["noise"] > 2 * abs(row["slope"]):
        found.append("unreliable")
    return found


def _bias(scores: Scores, samples: int, raters: int) -> NDArray[np.float64]:
    """``float64 [R]``: the mean difference to the other raters' mean; NaN for a rater without a sample in common."""
    if not len(scores.value):
        return np.full(raters, np.nan)
    own, inverse = np.unique(scores.sample * raters + scores.rater, return_inverse=True)
    mean = np.bincount(inverse, scores.value) / np.bincount(inverse)  # a rater's repeats count as one
    sample, rater = own // raters, own % raters
    total, count = np.bincount(sample, mean, minlength=samples), np.bincount(sample, minlength=samples)
    shared = count[sample] > 1
    others = (total[sample] - mean)[shared] / (count[sample] - 1)[shared]
    n = np.bincount(rater[shared], minlength=raters)
    away = np.bincount(rater[shared], mean[shared] - others, minlength=raters)
    return np.where(n > 0, away / np.maximum(n, 1), np.nan)


def _repeats(rows: Sequence[Mapping[str, Any]], declaration: RatingsDeclaration) -> tuple[int, float]:
    """How many samples a rater rated again, and alpha over these; NaN if it is not defined."""
    scored = [row for row in rows if row["kind"] == SCORE]
    chosen, column = (scored, "value") if scored else ([row for row in rows if row["kind"] == CATEGORY], "label")
    often = Counter(row["sample_id"] for row in chosen)
    again = [row for row in chosen if often[row["sample_id"]] > 1]
    if not again:
        return 0, float("nan")
    _, units = np.unique([row["sample_id"] for row in again], return_inverse=True)
    given = [row[column] for row in again]
    values = np.array(given, np.float64) if scored else np.unique(given, return_inverse=True)[1].astype(np.float64)
    return len(set(units.tolist())), alpha(units, values, declaration.level if scored else "nominal").value


def _drift(
    rows: Sequence[Mapping[str, Any]], number: int, latent: Latent | None, samples: Sequence[str]
) -> float | None:
    """The slope of a rater's residuals over the order of their ratings, from 0 to 1; None for few, or without times."""
    timed = sorted((row for row in rows if row["kind"] == SCORE and row["rated_at"]), key=lambda row: row["rated_at"])
    if latent is None or len(timed) < FEWEST or timed[0]["rated_at"] == timed[-1]["rated_at"]:
        return None
    place = {sample: n for n, sample in enumerate(samples)}
    theta = latent.theta[[place[row["sample_id"]] for row in timed]]
    rest = np.array([row["value"] for row in timed]) - latent.offset[number] - latent.slope[number] * theta
    return float(np.polyfit(np.linspace(0, 1, len(timed)), rest, 1)[0])


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
