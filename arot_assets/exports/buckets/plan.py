"""What a trainer's buckets do to many samples: columns, what each bucket holds, what is lost.

Belongs here: applying a rule to a table of sizes, and the sums that users decide by. Does not belong here: the rules (one
file each), which samples those are (``selection.py``).
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from arot_assets.exports.buckets.bucket import Bucket, Rule, Size

Remainder = Literal["kept", "dropped", "padded", "refused"]
"""What happens to the samples of a bucket that do not fill a last batch: trained in a short batch, not trained, filled up
with samples seen already, or nothing at all starts if a bucket is smaller than one batch."""

SCHEMA = pa.schema(
    [
        pa.field("bucket_w", pa.int32(), metadata={"description": "trained width in pixels; null if left out"}),
        pa.field("bucket_h", pa.int32(), metadata={"description": "trained height in pixels; null if left out"}),
        pa.field("frames", pa.int32(), metadata={"description": "trained frames, 1 for a picture"}),
        pa.field("crop", pa.float32(), metadata={"description": "share of the picture that is cropped away, 0 to 1"}),
        pa.field(
            "scale", pa.float32(), metadata={"description": "trained pixels per pixel of the file; above 1 up-scaled"}
        ),
        pa.field("times", pa.int32(), metadata={"description": "buckets that the sample is trained in"}),
        pa.field("problem", pa.string(), metadata={"description": "why the trainer stops at it or leaves it out"}),
    ]
)
LEFT_OUT = "no bucket fits, so the trainer leaves it out"
RESOLUTIONS = (512, 640, 768, 896, 1024, 1280, 1536)


@dataclass(frozen=True)
class Batch:
    """What is trained in one step.

    Attributes:
        size: samples of one GPU in one pass.
        accumulation: passes before the weights change.
        gpus: GPUs.
        remainder: the trainer's habit.
    """

    size: int = 1
    accumulation: int = 1
    gpus: int = 1
    remainder: Remainder = "kept"

    @property
    def step(self) -> int:
        """Samples of a step."""
        return self.size * self.accumulation * self.gpus

    def left_over(self, count: int) -> int:
        """Samples of a bucket that are not trained in an epoch."""
        if self.remainder == "dropped":
            return count % self.step
        return count if self.remainder == "refused" and count < self.step else 0


@dataclass(frozen=True)
class BucketUse:
    """One bucket.

    Attributes:
        width: pixels.
        height: pixels.
        frames: 1 for pictures.
        samples: number of samples, repeats included.
        left_over: those that are not trained in an epoch.
    """

    width: int
    height: int
    frames: int
    samples: int
    left_over: int


@dataclass(frozen=True)
class BucketPlan:
    """Buckets of a whole set.

    Attributes:
        columns: one row for each sample, in ``SCHEMA``.
        buckets: largest first.
    """

    columns: pa.Table
    buckets: tuple[BucketUse, ...]

    @property
    def left_out(self) -> int:
        """Samples that the trainer does not use or stops at."""
        return int(self.columns.num_rows - self.columns["problem"].null_count)

    @property
    def left_over(self) -> int:
        """Samples that no full batch has room for in an epoch."""
        return sum(b.left_over for b in self.buckets)

    def facts(self) -> dict[str, float]:
        """Sums: mean crop, share up-scaled, share of the pixels lost, share of the trained pixels invented (0 to 1)."""
        crop, scale = _trained(self.columns)
        if not len(crop):
            return dict.fromkeys(("crop", "up_scaled", "lost", "invented"), 0.0)
        lost = 1 - (1 - crop) * np.minimum(1, scale) ** 2
        invented = 1 - np.minimum(1, 1 / scale) ** 2
        return {
            "crop": float(crop.mean()),
            "up_scaled": float((scale > 1 + 1e-6).mean()),
            "lost": float(lost.mean()),
            "invented": float(invented.mean()),
        }


def plan_buckets(
    sizes: Sequence[Size] | pa.Table, rule: Rule, batch: Batch, repeats: NDArray[Any] | None = None
) -> BucketPlan:
    """Apply a rule to all samples; each distinct size is computed once.

    Args:
        sizes: of the samples, in the trainer's order; a table has ``width, height, frames, fps``.
        rule: the trainer's.
        batch: for what is left over.
        repeats: times that each sample is seen in an epoch; default 1.
    """
    distinct, place = _distinct(sizes)
    found = [_asked(rule, size) for size in distinct]
    table = _table(distinct, found)
    weights = np.ones(len(place)) if repeats is None else np.asarray(repeats, float)
    seen = np.bincount(place, weights=weights, minlength=len(distinct)) if len(place) else np.zeros(0)
    counts: Counter[tuple[int, int, int]] = Counter()
    for one, count in zip(found, seen.tolist(), strict=True):
        for bucket in one if isinstance(one, tuple) else ():
            counts[bucket.width, bucket.height, bucket.frames] += round(count)
    uses = tuple(
        BucketUse(*key, n, batch.left_over(n)) for key, n in sorted(counts.items(), key=lambda i: (-i[1], i[0]))
    )
    return BucketPlan(table.take(pa.array(place)), uses)


def _table(sizes: Sequence[Size], found: Sequence[tuple[Bucket, ...] | str]) -> pa.Table:
    """The answers of a rule in ``SCHEMA``; of several buckets the first, with their number."""
    rows = [
        (None, None, None, None, None, 0, one or LEFT_OUT)
        if isinstance(one, str) or not one
        else (one[0].width, one[0].height, one[0].frames, one[0].crop, one[0].scale(size), len(one), None)
        for size, one in zip(sizes, found, strict=True)
    ]
    columns = zip(*rows, strict=True) if rows else ([] for _ in SCHEMA)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)


def compare_resolutions(
    sizes: Sequence[Size] | pa.Table,
    make: Callable[[int], Rule],
    batch: Batch,
    resolutions: Sequence[int] = RESOLUTIONS,
) -> list[dict[str, Any]]:
    """What each resolution would lose; ``best`` marks the one with the least lost and invented pixels together.

    Args:
        sizes: as in ``plan_buckets``.
        make: the rule for a resolution.
        batch: for what is left over.
        resolutions: in pixels.
    """
    rows: list[dict[str, Any]] = []
    for resolution in resolutions:
        plan = plan_buckets(sizes, make(resolution), batch)
        row = {"resolution": resolution, "buckets": len(plan.buckets), **plan.facts()}
        rows.append(row | {"left out": plan.left_out, "left over": plan.left_over})
    best = min(rows, key=lambda r: (r["left out"], r["lost"] + r["invented"]))
    return [{**row, "best": "best" if row is best else ""} for row in rows]


def _asked(rule: Rule, size: Size) -> tuple[Bucket, ...] | str:
    try:
        return rule(size)
    except ValueError as error:
        return str(error)


def _distinct(sizes: Sequence[Size] | pa.Table) -> tuple[list[Size], NDArray[np.int64]]:
    """The distinct sizes in the order of their first sample, and each sample's place among them."""
    if isinstance(sizes, pa.Table):
        names = ("width", "height", "frames", "fps")
        values = np.stack([sizes[n].to_numpy().astype(float) for n in names], axis=1)
    else:
        values = np.array([(s.width, s.height, s.frames, s.fps) for s in sizes], float).reshape(-1, 4)
    if not len(values):
        return [], np.zeros(0, np.int64)
    unique, first, place = np.unique(values, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return [Size(int(w), int(h), int(f), fps) for w, h, f, fps in unique[order].tolist()], rank[place.ravel()]


def _trained(columns: pa.Table) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Crop and scale of the samples that are trained."""
    kept = columns.filter(pa.compute.is_null(columns["problem"]))
    return kept["crop"].to_numpy().astype(float), kept["scale"].to_numpy().astype(float)
