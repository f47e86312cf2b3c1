"""What the ratings say together, and how far that can be trusted: ``<name>.scale``, ``<name>.raters``, ``<name>.labels``.

Belongs here: which ratings go into which figure, and the tables. Does not belong here: the mathematics (``agreement.py``,
``latent.py``), what is shown of it (``report.py``), Dagster.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from arot_assets.ratings.agreement import Alpha, alpha
from arot_assets.ratings.build import CONTENT
from arot_assets.ratings.comparisons import Comparison
from arot_assets.ratings.declaration import CATEGORY, LABELS, PAIR, RANKING, SCORE, RatingsDeclaration
from arot_assets.ratings.events import INPUTS
from arot_assets.ratings.joined import INVALID, OK, UNMATCHED, outside_scale
from arot_assets.ratings.latent import Latent, Scores, fit
from arot_assets.ratings.raters import RATERS_SCHEMA, rater_rows
from arot_assets.ratings.schemas import LABELS_SCHEMA, SCALE_SCHEMA
from resources.tables import RatingsRef, Tables

CODE_VERSION = "2"
SCALE_TABLE, RATERS_TABLE, LABELS_TABLE = "scale", "raters", "labels"
TRUST = "trust"
"""The footer's string of ``raters``: the figures as JSON."""
NEVER = Alpha(float("nan"), float("nan"), float("nan"), 0, 0)
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Trust:
    """How far the ratings can be trusted.

    Attributes:
        scores: agreement on scores, over samples with two raters or more.
        classes: agreement on classes.
        self_consistency: agreement of raters with themselves, over samples that they rated again.
        matched: share of the ratings that belong to a sample and can be used; NaN without ratings.
        ratings: of a rated sample, at the median; NaN without ratings.
        parts: of the scale that nothing connects; 1 is one scale, 0 none.
        samples: that have a place on the scale.
    """

    scores: Alpha
    classes: Alpha
    self_consistency: Alpha
    matched: float
    ratings: float
    parts: int
    samples: int


@dataclass(frozen=True)
class Conclusions:
    """The tables, and the figures."""

    scale: pa.Table
    raters: pa.Table
    labels: pa.Table
    trust: Trust


def trust_version(declaration: RatingsDeclaration) -> str:
    """12 hex digits of the code and of everything declared that the tables depend on."""
    rules = [CODE_VERSION, declaration.level, declaration.fastest_seconds, declaration.same_share]
    return hashlib.sha256(json.dumps(rules).encode()).hexdigest()[:12]


def trust_inputs(declaration: RatingsDeclaration, content: str) -> str:
    """The string that a current table's footer has, for ratings of this content."""
    return f"{content}-{trust_version(declaration)}"


def build_trust(tables: Tables, declaration: RatingsDeclaration) -> Conclusions:
    """Make the three tables from ``ratings.<name>``.

    Raises:
        TablesError: the ratings have not been taken in.
        StorageError: the store cannot be written.
    """
    ref = RatingsRef(declaration.name)
    rows = tables.read(ref).to_pylist()
    found = conclude(rows, declaration)
    footer = {INPUTS: trust_inputs(declaration, tables.footer(ref)[CONTENT])}
    said = json.dumps(asdict(found.trust))
    for name, table in ((SCALE_TABLE, found.scale), (LABELS_TABLE, found.labels), (RATERS_TABLE, found.raters)):
        content = hashlib.sha256(repr(table.to_pylist()).encode()).hexdigest()[:12]
        own = {TRUST: said} if name == RATERS_TABLE else {}
        tables.write(table, RatingsRef(declaration.name, name), footer={**footer, CONTENT: content, **own})
    return found


def read_trust(tables: Tables, name: str) -> Trust | None:
    """The figures of the last build; None before the first."""
    footer = tables.footer_if_any(RatingsRef(name, RATERS_TABLE))
    if footer is None or TRUST not in footer:
        return None
    said = json.loads(footer[TRUST])
    scores, classes, again = (Alpha(**said.pop(key)) for key in ("scores", "classes", "self_consistency"))
    return Trust(scores, classes, again, **said)


def conclude(rows: Rows, declaration: RatingsDeclaration) -> Conclusions:
    """What ratings say together.

    Args:
        rows: of ``ratings.<name>``.
        declaration: what the user declared.
    """
    ok = [row for row in rows if row["status"] == OK]
    scored = [row for row in ok if row["kind"] == SCORE]
    compared = [row for row in ok if row["kind"] in (PAIR, RANKING)]
    classed = [row for row in ok if row["kind"] == CATEGORY]
    samples = sorted({row["sample_id"] for row in scored} | {sample for row in compared for sample in row["samples"]})
    counted = [row for row in rows if row["status"] in (OK, UNMATCHED, INVALID)]
    raters = sorted({row["rater"] or "" for row in counted})  # also those of whom nothing counts
    place, who = {s: n for n, s in enumerate(samples)}, {r: n for n, r in enumerate(raters)}
    scores = Scores(
        np.array([place[row["sample_id"]] for row in scored], np.int64),
        np.array([who[row["rater"] or ""] for row in scored], np.int64),
        np.array([row["value"] for row in scored], np.float64),
    )
    comparisons = [
        Comparison([place[s] for s in row["samples"]], row["ranks"], who[row["rater"] or ""]) for row in compared
    ]
    latent = fit(scores, comparisons, len(samples), len(raters)) if samples else None
    labels = _labels(ok)
    per_sample = np.bincount(_codes([row["sample_id"] for row in ok if row["sample_id"]])) if ok else np.zeros(0)
    trust = Trust(
        _agreement(scored, "value", declaration.level),
        _agreement(classed, "label", "nominal"),
        _self_consistency(scored, classed, declaration),
        len(ok) / len(counted) if counted else float("nan"),
        float(np.median(per_sample)) if len(per_sample) else float("nan"),
        int(latent.part.max()) + 1 if latent is not None else 0,
        len(samples),
    )
    outside = Counter(row["rater"] or "" for row in counted if row["status"] == INVALID and outside_scale(row))
    made = rater_rows(ok, raters, latent, scores, samples, declaration, outside)
    return Conclusions(
        _scale(samples, scores, comparisons, latent), pa.Table.from_pylist(made, schema=RATERS_SCHEMA), labels, trust
    )


def _scale(samples: list[str], scores: Scores, comparisons: Sequence[Comparison], latent: Latent | None) -> pa.Table:
    if latent is None:
        return SCALE_SCHEMA.empty_table()
    count = len(samples)
    offset, slope = latent.of_score()
    of_sample = np.bincount(scores.sample, minlength=count)
    mean = np.bincount(scores.sample, scores.value, minlength=count) / np.maximum(of_sample, 1)
    compared, raters = np.zeros(count, np.int64), [set[int]() for _ in range(count)]
    for sample, rater in zip(scores.sample.tolist(), scores.rater.tolist(), strict=True):
        raters[sample].add(rater)
    for one in comparisons:
        compared[list(one.samples)] += 1
        for sample in one.samples:
            raters[sample].add(one.rater)
    # disagreement: what raters' own use of the scale does not explain, in points of the common scale
    steep = np.where(np.abs(latent.slope) > 1e-6, latent.slope, np.nan)[scores.rater]
    moved = offset + slope * (scores.value - latent.offset[scores.rater]) / steep if len(scores.value) else scores.value
    return pa.table(
        {
            "sample_id": samples,
            "value": offset + slope * latent.theta,
            "standard_error": slope * latent.error,
            "n": of_sample + compared,
            "scores": of_sample,
            "comparisons": compared,
            "raters": [len(found) for found in raters],
            "mean": [m if n else None for m, n in zip(mean.tolist(), of_sample.tolist(), strict=True)],
            "disagreement": _spread(scores.sample, moved, count),
            "part": latent.part,
        },
        schema=SCALE_SCHEMA,
    )


def _spread(sample: NDArray[np.int64], values: NDArray[np.float64], count: int) -> list[float | None]:
    """Standard deviation of the values of each sample; None for fewer than two."""
    there = np.isfinite(values)
    n = np.bincount(sample[there], minlength=count)
    mean = np.bincount(sample[there], values[there], minlength=count) / np.maximum(n, 1)
    away = np.bincount(sample[there], (values[there] - mean[sample[there]]) ** 2, minlength=count)
    return [float(np.sqrt(a / (k - 1))) if k > 1 else None for a, k in zip(away, n.tolist(), strict=True)]


def _labels(ok: Rows) -> pa.Table:
    """The class that most raters gave, and the labels that at least half of them gave; a rater's last word counts."""
    last: dict[tuple[str, str, str], Mapping[str, Any]] = {}
    for row in ok:
        if row["kind"] in (CATEGORY, LABELS):
            last[row["sample_id"], row["rater"] or "", row["kind"]] = row
    by_sample: dict[str, list[Mapping[str, Any]]] = {}
    for (sample, _, _), row in last.items():
        by_sample.setdefault(sample, []).append(row)
    made = []
    for sample, rows in sorted(by_sample.items()):
        votes: dict[str, int] = {}
        for row in rows:
            if row["kind"] == CATEGORY:
                votes[row["label"]] = votes.get(row["label"], 0) + 1
        several = [set(row["labels"]) for row in rows if row["kind"] == LABELS]
        n, first = sum(votes.values()), sorted(votes, key=lambda label: (-votes[label], label))
        tied = len(first) > 1 and votes[first[0]] == votes[first[1]]
        shares = [votes[label] / n for label in first]
        made.append(
            {
                "sample_id": sample,
                "label": None if tied or not first else first[0],
                "share": shares[0] if shares else None,
                "n": n or len(several),
                "entropy": float(-sum(p * np.log(p) for p in shares)) if shares else None,
                "labels": [t for t in sorted(set().union(*several)) if 2 * sum(t in s for s in several) >= len(several)]
                if several
                else None,
            }
        )
    return pa.Table.from_pylist(made, schema=LABELS_SCHEMA)


def _agreement(rows: Rows, column: str, level: str) -> Alpha:
    """Alpha between raters: of what a rater said repeatedly of a sample, the first counts."""
    first = {(row["sample_id"], row["rater"] or ""): row[column] for row in reversed(rows)}
    return _alpha([sample for sample, _ in first], list(first.values()), level)


def _self_consistency(scored: Rows, classed: Rows, declaration: RatingsDeclaration) -> Alpha:
    """Alpha of raters with themselves: a unit is a sample as one rater saw it, again and again."""
    rows, column, level = (scored, "value", declaration.level) if scored else (classed, "label", "nominal")
    return _alpha([(row["sample_id"], row["rater"]) for row in rows], [row[column] for row in rows], level)


def _alpha(units: Sequence[object], values: Sequence[object], level: str) -> Alpha:
    if not units:
        return NEVER
    numbers = _codes(values).astype(np.float64) if level == "nominal" else np.array(values, np.float64)
    return alpha(_codes(units), numbers, level)  # type: ignore[arg-type]


def _codes(values: Sequence[object]) -> NDArray[np.int64]:
    """Numbers from 0 for equal values, in the order of their first appearance."""
    known: dict[object, int] = {}
    return np.array([known.setdefault(value, len(known)) for value in values], np.int64)
