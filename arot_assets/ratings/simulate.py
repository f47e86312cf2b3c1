"""Raters who are made up, with a stated bias and noise: to try out a scale whose truth is known.

Belongs here: the recipe. Does not belong here: images, and what becomes of the ratings.

    python -m arot_assets.ratings.simulate truth.csv ratings.csv

reads ``sample_id`` and ``quality`` (any numbers, higher is better) and writes ``sample_id,rater,score,time,seconds``. A third
argument names another column than ``sample_id``: ``… truth.csv ratings.csv file``.
"""

import csv
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

START = datetime(2026, 1, 1, 9, tzinfo=UTC)


@dataclass(frozen=True)
class SimulatedRater:
    """How somebody rates: ``offset + slope * quality + noise``, rounded to whole points.

    Attributes:
        name: who.
        offset: the score of an average sample.
        slope: points for one standard deviation of quality.
        noise: standard deviation, in points.
        seconds: of a rating, at the median.
    """

    name: str
    offset: float
    slope: float
    noise: float
    seconds: float = 4.0


RATERS = (
    SimulatedRater("ann", 3.0, 1.0, 0.3),
    SimulatedRater("bob", 4.2, 0.5, 0.3, 2.5),
    SimulatedRater("cid", 2.2, 0.9, 0.6, 6.0),
)
"""One who uses the whole scale, one who is mild, and one who is strict and less sure."""


def simulate(
    quality: Mapping[str, float],
    raters: Sequence[SimulatedRater] = RATERS,
    low: int = 1,
    high: int = 5,
    share: float = 0.8,
    repeats: float = 0.1,
    seed: int = 0,
) -> list[dict[str, object]]:
    """Ratings, in the order in which each rater gives them.

    Args:
        quality: sample -> its true quality, in any unit.
        raters: who rates.
        low: the lowest score.
        high: the highest score.
        share: of the samples that each rater sees.
        repeats: of these, the share that a rater sees for a second time.
        seed: another one gives other ratings.
    """
    rng, samples = np.random.default_rng(seed), sorted(quality)
    values = np.array([quality[sample] for sample in samples], np.float64)
    standard = (values - values.mean()) / (values.std() or 1.0)
    rows: list[dict[str, object]] = []
    for rater in raters:
        seen = rng.permutation(len(samples))[: max(1, round(share * len(samples)))]
        again = rng.permutation(seen)[: round(repeats * len(seen))]
        moment = START
        for k in (*seen, *again):
            score = rater.offset + rater.slope * standard[k] + rng.normal(0, rater.noise)
            seconds = round(float(rater.seconds * np.exp(rng.normal(0, 0.3))), 2)
            moment += timedelta(seconds=seconds)
            given = int(np.clip(round(score), low, high))
            rows.append(
                {
                    "sample_id": samples[k],
                    "rater": rater.name,
                    "score": given,
                    "time": moment.isoformat(),
                    "seconds": seconds,
                }
            )
    return rows


def main(truth: str, ratings: str, item: str = "sample_id") -> None:
    """Read the truth from one CSV, write ratings to another; both name the samples in the column ``item``."""
    with open(truth, newline="", encoding="utf-8") as file:
        quality = {row[item]: float(row["quality"]) for row in csv.DictReader(file)}
    rows = [{item if k == "sample_id" else k: v for k, v in row.items()} for row in simulate(quality)]
    Path(ratings).parent.mkdir(parents=True, exist_ok=True)
    with open(ratings, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
