"""Train, val and test of rated samples: ``<name>.split``.

Belongs here: which share a group gets, and leaks. Does not belong here: the groups (``groups.py``), the values by which samples
are stratified (``trust.py``).

What was once divided stays so: a sample never changes its share while its group stays, however much is added, and whatever it is
rated. So a test set is the same for a champion and for its challengers. The hash of a new group's smallest sample id, with the
seed, says where it belongs; if its stratum has a tenth more of that share than is declared, the group goes where most is missing.
Where strata are large, two ratings of one dataset therefore have nearly the same test set.

When groups of different shares turn out to belong together, the share that has been trained on most wins: train before val before
test. Moved to test, a sample that a model was trained on would make it look better than it is.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from arot_assets.columns import Column
from arot_assets.ratings.declaration import RatingsDeclaration, RatingSplitRule
from arot_assets.ratings.events import INPUTS
from arot_assets.ratings.groups import asked, connected, groups_of
from arot_assets.ratings.trust import LABELS_TABLE, SCALE_TABLE
from resources.tables import RatingsRef, Tables
from resources.warehouse import Connection

CODE_VERSION = "1"
SPLIT_TABLE = "split"
SHARES = ("train", "val", "test")
SLACK = 0.1
"""How much more of a share than declared a stratum may have, as a part of the share."""
STRATA = 5
"""Of samples with a value: fifths."""
SCHEMA = pa.schema(
    [
        column.field()
        for column in (
            Column("sample_id", pa.string(), "the sample"),
            Column("group_id", pa.string(), "smallest sample_id of those that stay together"),
            Column("stratum", pa.string(), "its class, or the fifth of its value; null if it is rated no more"),
            Column("split", pa.string(), "train | val | test"),
        )
    ]
)


@dataclass(frozen=True)
class SplitInputs:
    """What a division is made from.

    Attributes:
        strata: sample -> its stratum.
        together: samples -> number of the group, once for each kind of group.
        digest: 12 hex digits of all this, and of the rule.
    """

    strata: Mapping[str, str]
    together: Sequence[Mapping[str, object]]
    digest: str


def split_inputs(con: Connection, tables: Tables, declaration: RatingsDeclaration) -> SplitInputs:
    """Read what a division is made from.

    Raises:
        RatingsError: there are no perceptual hashes, or a declared query fails.
        TablesError: there is no scale yet.
    """
    rule = _rule(declaration)
    strata = _strata(tables, declaration.name)
    together = groups_of(con, tables, declaration, rule, strata)
    # groups by their members: a group's number may change while they stay
    said = [
        CODE_VERSION,
        rule.model_dump(exclude={"evaluation_sets"}),
        sorted(strata.items()),
        [_members(of) for of in together],
    ]
    return SplitInputs(strata, together, hashlib.sha256(json.dumps(said).encode()).hexdigest()[:12])


def build_split(con: Connection, tables: Tables, declaration: RatingsDeclaration) -> pa.Table:
    """Divide the rated samples, and keep the division.

    Raises:
        RatingsError: as for ``split_inputs``.
        StorageError: the store cannot be written.
    """
    inputs, ref = split_inputs(con, tables, declaration), RatingsRef(declaration.name, SPLIT_TABLE)
    before = tables.read(ref).to_pylist() if tables.exists(ref) else []
    known = {row["sample_id"]: row["split"] for row in before}
    table = divide(inputs, known, _rule(declaration))
    tables.write(table, ref, footer={INPUTS: inputs.digest})
    return table


def _rule(declaration: RatingsDeclaration) -> RatingSplitRule:
    assert declaration.split is not None, "steps and assets of a split are made where one is declared"
    return declaration.split


def divide(inputs: SplitInputs, known: Mapping[str, str], rule: RatingSplitRule) -> pa.Table:
    """The share of every sample.

    Args:
        inputs: strata and groups.
        known: sample -> the share that it has already.
        rule: shares and seed.
    """
    samples = sorted({*inputs.strata, *known})
    groups = connected(samples, inputs.together)
    wanted = {"val": rule.val, "test": rule.test, "train": 1 - rule.val - rule.test}
    shares: dict[str, str] = {}
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for group, members in groups.items():
        had = [known[sample] for sample in members if sample in known]
        if had:
            shares[group] = min(had, key=SHARES.index)
            for sample in members:
                counts[inputs.strata.get(sample, "")][shares[group]] += 1
    sizes = Counter(inputs.strata.get(sample, "") for sample in samples)
    for group in sorted(groups.keys() - shares.keys(), key=lambda group: _key(rule.seed, f"order/{group}")):
        members = groups[group]
        stratum = Counter(inputs.strata.get(sample, "") for sample in members).most_common(1)[0][0]
        shares[group] = _share(_key(rule.seed, group), counts[stratum], sizes[stratum], len(members), wanted)
        for sample in members:
            counts[inputs.strata.get(sample, "")][shares[group]] += 1
    of_sample = {sample: group for group, members in groups.items() for sample in members}
    rows = [
        {"sample_id": s, "group_id": of_sample[s], "stratum": inputs.strata.get(s), "split": shares[of_sample[s]]}
        for s in samples
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _share(key: float, there: Counter[str], total: int, size: int, wanted: Mapping[str, float]) -> str:
    """Where a new group goes: where its key says, unless its stratum would have too much of that share.

    Args:
        key: of the group, 0 to 1.
        there: share -> samples of its stratum that are in it.
        total: samples of the stratum.
        size: samples of the group.
        wanted: share -> part of the samples.
    """
    said = "test" if key < wanted["test"] else "val" if key < wanted["test"] + wanted["val"] else "train"
    if there[said] + size <= wanted[said] * total * (1 + SLACK) + 0.5:
        return said
    missing = {share: wanted[share] * total - there[share] for share in wanted}
    best = max(missing, key=lambda share: (missing[share], share))
    # a group larger than a share is most of what that share would be
    return best if best == "train" or size <= max(1.0, wanted[best] * total) else "train"


def _key(seed: int, group: str) -> float:
    """A number from 0 to 1 that depends on seed and group alone."""
    return int(hashlib.sha256(f"{seed}/{group}".encode()).hexdigest()[:15], 16) / 16**15


def _members(of: Mapping[str, object]) -> list[list[str]]:
    """The groups of more than one sample, by their members."""
    found: dict[object, list[str]] = defaultdict(list)
    for sample, group in of.items():
        found[group].append(sample)
    return sorted(sorted(members) for members in found.values() if len(members) > 1)


def _strata(tables: Tables, name: str) -> dict[str, str]:
    """The fifth of each value, by rank; and the classes, which count where a sample has both."""
    scale = tables.read(RatingsRef(name, SCALE_TABLE), columns=["sample_id", "value"])
    ids, values = scale["sample_id"].to_pylist(), scale["value"].to_numpy(zero_copy_only=False)
    place = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    found = {sample: f"fifth {int(k) * STRATA // len(ids) + 1}" for sample, k in zip(ids, place, strict=True)}
    labels = tables.read(RatingsRef(name, LABELS_TABLE), columns=["sample_id", "label"]).to_pylist()
    return found | {row["sample_id"]: row["label"] or found.get(row["sample_id"], "") for row in labels}


def leaks(con: Connection, tables: Tables, declaration: RatingsDeclaration) -> dict[str, list[str]]:
    """Evaluation set -> samples in train or val that are in it, or stay together with one that is; and groups that straddle.

    Raises:
        RatingsError: a declared query fails.
    """
    rows = tables.read(RatingsRef(declaration.name, SPLIT_TABLE)).to_pylist()
    shares: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        shares[row["group_id"]].add(row["split"])
    found = {"groups in two shares": sorted(group for group, have in shares.items() if len(have) > 1)}
    found |= trained_on(con, declaration.name, rows, declaration.every_evaluation_set())
    return {name: samples for name, samples in found.items() if samples}


def trained_on(
    con: Connection, name: str, rows: Sequence[Mapping[str, str]], evaluation_sets: Mapping[str, str]
) -> dict[str, list[str]]:
    """Evaluation set -> samples in train or val that are in it, or stay together with one that is.

    Args:
        con: a connection with the catalogue's views.
        name: of what is divided, for errors.
        rows: sample_id, group_id and split of each sample.
        evaluation_sets: name -> query that returns sample ids.

    Raises:
        RatingsError: a query fails.
    """
    found: dict[str, list[str]] = {}
    for name_of_set, query in evaluation_sets.items():
        held = {str(sample) for (sample,) in asked(con, name, query, 1)}
        groups = {row["group_id"] for row in rows if row["sample_id"] in held}
        found[name_of_set] = [
            row["sample_id"]
            for row in rows
            if row["split"] != "test" and (row["sample_id"] in held or row["group_id"] in groups)
        ]
    return {name_of_set: samples for name_of_set, samples in found.items() if samples}


def share_counts(table: pa.Table) -> list[dict[str, object]]:
    """A row a stratum: how many of its samples are in each share."""
    counts = Counter(zip(table["stratum"].to_pylist(), table["split"].to_pylist(), strict=True))
    strata = sorted({stratum for stratum, _ in counts}, key=lambda s: s or "")
    return [{"stratum": s or "rated no more", **{share: counts[s, share] for share in SHARES}} for s in strata]
