"""Train, val and test: grouped by near duplicates, stratified by label, stable as a dataset grows.

Belongs here: the assignment, and the check that nothing leaks.
Does not belong here: finding near duplicates (``near_duplicates.py``).

How a group gets its split, and why: each group has a key, a hash of the seed and of the smallest sample id in it, as a number
between 0 and 1. Within a class the groups are sorted by key; the first 15 % of the samples are test, the next 15 % val, the
rest train. Plain thresholds on the key would be even more stable, but would occasionally leave a class of 20 without test
samples. This way every class has its fraction, and a new sample moves at most the groups at the two boundaries of its class.
The result depends on the samples alone, so a store that is built again has the same split.
"""

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from arot_assets.classifiers.declaration import SplitDeclaration
from arot_assets.classifiers.labels import LabelError
from arot_assets.metrics.near_duplicates import near_duplicate_groups

SPLITS = ("train", "val", "test")
LEAST_GROUPS = len(SPLITS)

SCHEMA = pa.schema(
    [
        pa.field("sample_id", pa.string(), metadata={"description": "the sample"}),
        pa.field("label", pa.string(), metadata={"description": "its class"}),
        pa.field("group_id", pa.string(), metadata={"description": "smallest sample_id among its near duplicates"}),
        pa.field("split", pa.string(), metadata={"description": "train | val | test; one group is in one split"}),
    ]
)


@dataclass(frozen=True)
class _Group:
    """A group of near duplicates. ``label`` is the most frequent one, which decides in which class the group counts."""

    group_id: str
    label: str
    size: int
    key: str


def make_split(
    labels: pa.Table, hashes: NDArray[np.uint64], mirrored: NDArray[np.uint64], declaration: SplitDeclaration
) -> pa.Table:
    """Assign every labelled sample.

    Args:
        labels: as ``labels.SCHEMA``.
        hashes: ``uint64 [N]``, the perceptual hash of each row of ``labels``.
        mirrored: ``uint64 [N]``, that of the mirrored image.
        declaration: fractions, seed, and the distance within which images are near duplicates.

    Raises:
        LabelError: a class has too few independent images to be in every split.
    """
    sample_ids = labels["sample_id"].to_pylist()
    groups = near_duplicate_groups(hashes, mirrored, declaration.near_duplicate_distance)
    group_ids = _smallest_ids(sample_ids, groups)
    members: dict[str, Counter[str]] = defaultdict(Counter)
    for group_id, label in zip(group_ids, labels["label"].to_pylist(), strict=True):
        members[group_id][label] += 1
    strata: dict[str, list[_Group]] = defaultdict(list)
    for group_id, counts in members.items():
        label = min(counts, key=lambda name: (-counts[name], name))
        key = hashlib.sha256(f"{declaration.seed}/{group_id}".encode()).hexdigest()
        strata[label].append(_Group(group_id, label, counts.total(), key))
    assigned: dict[str, str] = {}
    for label in sorted(set(labels["label"].to_pylist())):
        assigned |= _assign(label, strata[label], declaration)
    columns = {
        "sample_id": sample_ids,
        "label": labels["label"],
        "group_id": group_ids,
        "split": [assigned[group_id] for group_id in group_ids],
    }
    return pa.table(columns, schema=SCHEMA)


def _smallest_ids(sample_ids: list[str], groups: NDArray[np.int64]) -> list[str]:
    smallest: dict[int, str] = {}
    for sample_id, group in zip(sample_ids, groups.tolist(), strict=True):
        smallest[group] = min(sample_id, smallest.get(group, sample_id))
    return [smallest[group] for group in groups.tolist()]


def _assign(label: str, groups: list[_Group], declaration: SplitDeclaration) -> dict[str, str]:
    """Split the groups of one class in the order of their keys."""
    if len(groups) < LEAST_GROUPS:
        raise LabelError(
            f"split: class {label!r} has {len(groups)} images that are not near duplicates of each other; "
            f"it needs at least {LEAST_GROUPS}: label more, or omit the class from labels.classes"
        )
    total = sum(group.size for group in groups)
    lined_up = sorted(groups, key=lambda group: group.key)
    # a group larger than the test fraction would be most of a test set: it is better used for training
    small = [g for g in lined_up if g.size <= max(1, declaration.test * total)]
    splits = {group.group_id: "train" for group in lined_up}
    before = 0.0
    for group in small:
        middle = (before + group.size / 2) / total
        before += group.size
        if middle < declaration.test + declaration.val:
            splits[group.group_id] = "test" if middle < declaration.test else "val"
    for wanted, place in (("test", 0), ("val", 1)):
        if wanted not in splits.values():
            splits[(small if len(small) > 1 else lined_up)[place].group_id] = wanted
    if "train" not in splits.values():
        splits[lined_up[-1].group_id] = "train"
    return splits


def leaking_groups(split: pa.Table) -> list[str]:
    """Groups that are in more than one split: none, unless something else wrote the table."""
    found: dict[str, set[str]] = defaultdict(set)
    for group_id, name in zip(split["group_id"].to_pylist(), split["split"].to_pylist(), strict=True):
        found[group_id].add(name)
    return sorted(group_id for group_id, names in found.items() if len(names) > 1)


def disputed_groups(split: pa.Table) -> list[str]:
    """Groups whose images have different labels although they look alike: worth checking."""
    found: dict[str, set[str]] = defaultdict(set)
    for group_id, label in zip(split["group_id"].to_pylist(), split["label"].to_pylist(), strict=True):
        found[group_id].add(label)
    return sorted(group_id for group_id, names in found.items() if len(names) > 1)


def split_counts(split: pa.Table) -> list[dict[str, int | str]]:
    """One row per class: how many of its samples are in each split."""
    counts = Counter(zip(split["label"].to_pylist(), split["split"].to_pylist(), strict=True))
    return [
        {"class": label, **{name: counts[label, name] for name in SPLITS}}
        for label in sorted(set(split["label"].to_pylist()))
    ]
