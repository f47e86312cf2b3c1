"""Train, val and test: grouped by near duplicates and given groups, stratified by label, stable as a dataset grows.

Belongs here: the assignment, and the check that nothing leaks.
Does not belong here: finding near duplicates (``near_duplicates.py``).

How a group gets its split, and why: a group that had one keeps it for ever, so data that is added moves nothing and every later
model is judged on samples that no earlier one was trained on. Groups that are joined by a new sample are where most caution puts
them: in train, if one of them was. A new group has a key, a hash of the seed and of the smallest sample id in it. Within a class
(a level; a fifth of the values) new groups are taken in the order of their keys: test gets what it lacks of its fraction, then
val, the rest is for training. Plain thresholds on the key would occasionally leave a class of 20 without test samples. A split
that the labels give themselves is taken as it is.

Whatever moves a sample out of test (a split or a group that the labels give, a new near-duplicate in train), no later model is
trained on it: it is held. Earlier models were judged by it, and one that had learnt it would win the comparison with them.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from arot_assets.classifiers.declaration import SplitDeclaration
from arot_assets.classifiers.label_query import LabelError
from arot_assets.classifiers.labels import SCHEMA as LABELS
from arot_assets.metrics.near_duplicates import near_duplicate_groups

SPLITS = ("train", "val", "test")
HELD = "held"
"""Of samples that were in test and that something moved since: no model is trained on them, and none is judged on them."""
LEAST_GROUPS = len(SPLITS)
BINS = 5
"""Parts of about equal size in which the values of a regression are stratified."""

SCHEMA = pa.schema(
    [
        *(LABELS.field(name) for name in ("sample_id", "label", "labels", "value", "weight", "preferred_to")),
        pa.field(
            "group_id",
            pa.string(),
            metadata={"description": "smallest sample_id among its near duplicates and given group"},
        ),
        pa.field(
            "split",
            pa.string(),
            metadata={
                "description": "train | val | test; one group is in one split; held: was in test and was moved, so it is not used"
            },
        ),
    ]
)


@dataclass(frozen=True)
class _Group:
    """Samples that must share a split. ``stratum`` is the most frequent one among them, in which the group counts."""

    group_id: str
    stratum: str
    size: int
    key: str
    split: str | None


def make_split(
    labels: pa.Table,
    hashes: NDArray[np.uint64],
    mirrored: NDArray[np.uint64],
    declaration: SplitDeclaration,
    before: Mapping[str, str] | None = None,
) -> pa.Table:
    """Assign every labelled sample.

    Args:
        labels: as ``labels.SCHEMA``; of it, only ``sample_id`` and one of ``label``, ``labels`` and ``value`` are needed.
        hashes: ``uint64 [N]``, the perceptual hash of each row of ``labels``.
        mirrored: ``uint64 [N]``, that of the mirrored image.
        declaration: fractions, seed, and the distance within which images are near duplicates.
        before: ``sample_id`` -> the split that it had.

    Raises:
        LabelError: a class has too few independent images to be in every split, or a group is given two splits.
    """
    ids = labels["sample_id"].to_pylist()
    groups = near_duplicate_groups(hashes, mirrored, declaration.near_duplicate_distance)
    given = _given(labels, "given_group")
    group_ids = _smallest_ids(ids, _joined(groups, given))
    strata = _strata(labels)
    members: dict[str, list[int]] = defaultdict(list)
    for k, group_id in enumerate(group_ids):
        members[group_id].append(k)
    by_stratum: dict[str, list[_Group]] = defaultdict(list)
    said, had = _given(labels, "given_split"), before or {}
    for group_id, rows in members.items():
        counts = Counter(strata[k] for k in rows)
        stratum = min(counts, key=lambda name: (-counts[name], name))
        key = hashlib.sha256(f"{declaration.seed}/{group_id}".encode()).hexdigest()
        split = _known_split([said[k] for k in rows], [had.get(ids[k]) for k in rows], group_id)
        by_stratum[stratum].append(_Group(group_id, stratum, len(rows), key, split))
    if all(group.split is not None for groups_of in by_stratum.values() for group in groups_of) and any(said):
        assigned = {g.group_id: str(g.split) for groups_of in by_stratum.values() for g in groups_of}
        _require_all(assigned)
    else:
        _require_enough(strata, group_ids)
        assigned = {}
        for groups_of in _large_enough(by_stratum):
            assigned |= _assign(groups_of, declaration)
    now = [assigned[group_id] for group_id in group_ids]
    moved = [part != "test" and had.get(sample) in ("test", HELD) for sample, part in zip(ids, now, strict=True)]
    columns = {name: labels[name] if name in labels.column_names else None for name in SCHEMA.names[:6]}
    columns |= {
        "group_id": group_ids,
        "split": [HELD if held else part for part, held in zip(now, moved, strict=True)],
    }
    arrays = [pa.nulls(len(ids), f.type) if columns[f.name] is None else columns[f.name] for f in SCHEMA]
    return pa.table(arrays, schema=SCHEMA)


def _given(labels: pa.Table, column: str) -> list[str | None]:
    found: list[str | None] = labels[column].to_pylist() if column in labels.column_names else [None] * labels.num_rows
    return found


def _joined(groups: NDArray[np.int64], given: Sequence[str | None]) -> NDArray[np.int64]:
    """Groups of near duplicates, joined where a given group has members of both."""
    if not any(given):
        return groups
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names = {name: len(groups) + k for k, name in enumerate(sorted({g for g in given if g is not None}))}
    pairs = [(int(group), names[name]) for group, name in zip(groups, given, strict=True) if name is not None]
    left, right = np.array(pairs).T
    size = len(groups) + len(names)
    _, component = connected_components(
        coo_array((np.ones(len(pairs)), (left, right)), shape=(size, size)), directed=False
    )
    found: NDArray[np.int64] = component[groups].astype(np.int64)
    return found


def _strata(labels: pa.Table) -> list[str]:
    """What each sample is stratified by: its class or level, its rarest tag, or the fifth that its value is in."""
    if "label" in labels.column_names and labels["label"].null_count < labels.num_rows:
        return [str(text) for text in labels["label"].to_pylist()]
    if "labels" in labels.column_names and labels["labels"].null_count < labels.num_rows:
        return _rarest_tags(labels["labels"].to_pylist())
    values = labels["value"].to_numpy()
    edges = np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1])
    bins = np.searchsorted(np.unique(edges), values, side="right")
    if np.bincount(bins).min() < 4 * LEAST_GROUPS:  # few values: stratifying would decide nothing
        return ["all values"] * len(values)
    return [f"values, part {k + 1}" for k in bins.tolist()]


def _rarest_tags(lists: Sequence[Sequence[str]]) -> list[str]:
    """The rarest tag of each sample that is not too rare to be in every split; what has none is with the most frequent."""
    counts = Counter(tag for tags in lists for tag in tags)
    usual = {tag for tag, count in counts.items() if count >= 4 * LEAST_GROUPS}
    rarest = [min(usual & set(tags), key=lambda tag: (counts[tag], tag), default="") for tags in lists]
    sizes = Counter(rarest)
    most = max(sizes, key=lambda tag: (sizes[tag], tag))
    return [tag if sizes[tag] >= 4 * LEAST_GROUPS else most for tag in rarest]


def _known_split(given: Sequence[str | None], before: Sequence[str | None], group_id: str) -> str | None:
    """The split that a group has already; of several, train before val before test."""
    said = {split for split in given if split is not None}
    if len(said) > 1:
        raise LabelError(
            f"split: the labels put samples of one group of near duplicates into {' and '.join(sorted(said))}: for example "
            f"those of group {group_id}; give all of them one split"
        )
    if said:
        return said.pop()
    had = {split for split in before if split is not None}
    return next((split for split in (*SPLITS, HELD) if split in had), None)


def _require_all(assigned: Mapping[str, str]) -> None:
    absent = [name for name in SPLITS if name not in assigned.values()]
    if absent:
        raise LabelError(
            f"split: no sample is given the split {' or '.join(absent)}: all of train, val and test are needed"
        )


def _smallest_ids(sample_ids: list[str], groups: NDArray[np.int64]) -> list[str]:
    smallest: dict[int, str] = {}
    for sample_id, group in zip(sample_ids, groups.tolist(), strict=True):
        smallest[group] = min(sample_id, smallest.get(group, sample_id))
    return [smallest[group] for group in groups.tolist()]


def _require_enough(strata: Sequence[str], group_ids: Sequence[str]) -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for stratum, group_id in zip(strata, group_ids, strict=True):
        found[stratum].add(group_id)
    for stratum, groups in sorted(found.items()):
        if len(groups) < LEAST_GROUPS:
            raise LabelError(
                f"split: class {stratum!r} has {len(groups)} images that are not near duplicates of each other; "
                f"it needs at least {LEAST_GROUPS}: label more, or omit the class from labels.classes"
            )


def _large_enough(by_stratum: Mapping[str, list[_Group]]) -> list[list[_Group]]:
    """Groups by stratum; those of a class that is mostly within groups of others are with the largest stratum."""
    found = [by_stratum[name] for name in sorted(by_stratum)]
    large = [groups for groups in found if len(groups) >= LEAST_GROUPS]
    few = [group for groups in found if len(groups) < LEAST_GROUPS for group in groups]
    if not few:
        return large
    largest = max(large, key=len, default=[])
    return [*(groups for groups in large if groups is not largest), [*largest, *few]]


def _assign(groups: list[_Group], declaration: SplitDeclaration) -> dict[str, str]:
    """Split the groups of one class: those that have a split keep it, the others are taken in the order of their keys."""
    total = sum(group.size for group in groups)
    splits = {group.group_id: group.split for group in groups if group.split is not None}
    new = sorted((group for group in groups if group.split is None), key=lambda group: group.key)
    # a group larger than the test fraction would be most of a test set: it is better used for training
    small = [g for g in new if g.size <= max(1, declaration.test * total)]
    for name, fraction in (("test", declaration.test), ("val", declaration.val)):
        has = sum(group.size for group in groups if splits.get(group.group_id) == name)
        for group in small:
            if group.group_id not in splits and has + group.size / 2 < fraction * total:
                splits[group.group_id] = name
                has += group.size
    splits |= {group.group_id: "train" for group in new if group.group_id not in splits}
    for name in ("test", "val", "train"):
        movable = [g for g in (small if len(small) > 1 else new) if list(splits.values()).count(splits[g.group_id]) > 1]
        if name not in splits.values() and movable:
            splits[movable[0 if name != "train" else -1].group_id] = name
    return splits


def leaking_groups(split: pa.Table) -> list[str]:
    """Groups that are in more than one split: none, unless something else wrote the table."""
    found: dict[str, set[str]] = defaultdict(set)
    for group_id, name in zip(split["group_id"].to_pylist(), split["split"].to_pylist(), strict=True):
        if name != HELD:
            found[group_id].add(name)
    return sorted(group_id for group_id, names in found.items() if len(names) > 1)


def disputed_groups(split: pa.Table) -> list[str]:
    """Groups whose images have different classes although they look alike: worth checking."""
    found: dict[str, set[str]] = defaultdict(set)
    for group_id, label in zip(split["group_id"].to_pylist(), split["label"].to_pylist(), strict=True):
        if label is not None:
            found[group_id].add(label)
    return sorted(group_id for group_id, names in found.items() if len(names) > 1)


def split_counts(split: pa.Table) -> list[dict[str, int | str]]:
    """One row per class, tag or part of the values: how many of its samples are in each split."""
    strata = _strata(split)
    parts = split["split"].to_pylist()
    counts, shown = Counter(zip(strata, parts, strict=True)), [*SPLITS, HELD] if HELD in parts else SPLITS
    return [{"class": name, **{part: counts[name, part] for part in shown}} for name in sorted(set(strata))]
