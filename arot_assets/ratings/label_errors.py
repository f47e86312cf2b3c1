"""Labels that are likely wrong: ``<name>.label_errors``, which `arot review --queue label-errors` shows.

Belongs here: what other samples make of a sample, and when its label is doubted. Does not belong here: what raters said
(``trust.py``), asking them again (``queue.py``).

A linear model on a stored embedding judges each sample after it was fitted without that sample, and without those that stay
together with it: near-duplicates and the declared groups are in one fold. So no label vouches for itself, nor for its copy.

Of classes, confident learning (C. Northcutt, L. Jiang and I. Chuang: Confident Learning: Estimating Uncertainty in Dataset
Labels, JAIR 2021) tells which are doubted: a sample counts as another class if its chance there reaches the mean chance of the
samples that have that class. Of values on the scale, those far from what is predicted, compared with how far values usually are.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from arot_assets.columns import Column
from arot_assets.ratings.declaration import RatingsDeclaration, RatingSplitRule
from arot_assets.ratings.groups import PHASH, connected, groups_of
from arot_assets.ratings.said import RatingsError
from arot_assets.ratings.trust import LABELS_TABLE, SCALE_TABLE
from resources.tables import RatingsRef, Tables
from resources.warehouse import Connection
from resources.warehouse.views import quote

ERRORS_TABLE = "label_errors"
FOLDS = 5
STRENGTH = 8.0
"""Length of the vectors: those of length 1 are small numbers, which the penalty would keep the weights from using."""
PENALTY = 0.01
"""On the squared weights, beside the mean loss of a sample."""
FAR = 3.0
"""Standard deviations from the predicted value beyond which a value is doubted."""
SCHEMA = pa.schema(
    [
        column.field()
        for column in (
            Column("sample_id", pa.string(), "the sample"),
            Column("given", pa.string(), "its class, or its value on the scale"),
            Column("expected", pa.string(), "the class or value that samples like it have; null if it was not judged"),
            Column("quality", pa.float64(), "0 to 1: the chance of the given class; of a value, exp(-deviations)"),
            Column("likely", pa.bool_(), "whether the label is likely wrong; null if it was not judged"),
            Column("reason", pa.string(), "why it was not judged"),
        )
    ]
)


class NothingToJudge(RatingsError):
    """There are too few labels, or they do not differ."""


def build_label_errors(con: Connection, tables: Tables, declaration: RatingsDeclaration, seed: int = 0) -> pa.Table:
    """Judge the labels of all rated samples, and keep the judgement: classes if there are any, otherwise the scale.

    Returns:
        As ``SCHEMA``, a row a rated sample, those whose labels are worst first.

    Raises:
        NothingToJudge: there are too few labels, or they do not differ.
        RatingsError: no embedding is declared, or something declared cannot be read.
        StorageError: the store cannot be written.
    """
    classes, values = _given(tables, declaration.name)
    given: Mapping[str, str | float] = classes or values
    vectors = _vectors(con, declaration, sorted(given))
    group = _group_of(con, tables, declaration, sorted(given))
    left_out = {sample: "it has no vector" for sample in given if sample not in vectors}
    if classes:
        left_out |= _of_rare_classes({sample: classes[sample] for sample in classes if sample in vectors}, group)
    judged = sorted(given.keys() - left_out.keys())
    different = len({given[sample] for sample in judged})
    if different < 2 or len({group[sample] for sample in judged}) < FOLDS:
        raise NothingToJudge(
            f"{declaration.name}: of {len(given):,} rated samples {len(judged):,} can be judged, with {different} different "
            f"labels; rate more: it takes two classes or values, and of each class {FOLDS} samples that do not stay together"
        )
    x = np.array([vectors[sample] for sample in judged], np.float64)
    x *= STRENGTH / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    groups = [group[sample] for sample in judged]
    if classes:
        made = judged_classes(x, [classes[sample] for sample in judged], groups, seed)
    else:
        made = judged_values(x, np.array([values[sample] for sample in judged], np.float64), groups, seed)
    rows = [
        {"sample_id": sample, "given": _shown(given[sample]), **row} for sample, row in zip(judged, made, strict=True)
    ]
    rows.sort(key=lambda row: (not row["likely"], row["quality"], row["sample_id"]))
    rows += [
        {"sample_id": sample, "given": _shown(given[sample]), "reason": why} for sample, why in sorted(left_out.items())
    ]
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    tables.write(table, RatingsRef(declaration.name, ERRORS_TABLE))
    return table


def confident_errors(chances: NDArray[np.float64], given: NDArray[np.int64]) -> NDArray[np.bool_]:
    """``bool [N]``: labels that confident learning counts as another class.

    A class is confident of a sample if its chance there is at least its mean chance over the samples that have it as their label.
    A label is an error if the likeliest class is another one, and one of the confident classes.

    Args:
        chances: ``float64 [N, C]``, out of fold.
        given: ``int64 [N]``, every class has a sample.
    """
    count, likeliest = chances.shape[1], chances.argmax(1)
    of_class = np.bincount(given, chances[np.arange(len(given)), given], minlength=count)
    threshold = of_class / np.maximum(np.bincount(given, minlength=count), 1)
    confident = chances >= threshold - 1e-6  # so that a class whose samples all have one chance reaches it
    counted = np.where(confident.sum(1) > 1, likeliest, confident.argmax(1))
    return np.asarray(confident.any(1) & (counted != given) & (likeliest != given), np.bool_)


def folds_of(groups: Sequence[str], strata: Sequence[object] | None = None, seed: int = 0) -> NDArray[np.int64]:
    """``int64 [N]``: the fold of each sample; groups stay whole, and each stratum is spread over the folds as far as they allow.

    Args:
        groups: of each sample.
        strata: of each sample; None if they do not matter.
        seed: another one gives other folds.
    """
    members: dict[str, list[int]] = {}
    for k, name in enumerate(groups):
        members.setdefault(name, []).append(k)
    of = strata if strata is not None else [0] * len(groups)
    total, there = Counter(of), [Counter[object]() for _ in range(FOLDS)]
    order = sorted(members, key=lambda g: (-len(members[g]), hashlib.sha256(f"{seed}/{g}".encode()).digest()))
    found = np.zeros(len(groups), np.int64)
    for name in order:
        mine = Counter(of[k] for k in members[name])

        def fullness(fold: int, mine: Mapping[object, int] = mine) -> tuple[float, int]:
            return max((there[fold][s] + n) / total[s] for s, n in mine.items()), there[fold].total()

        fold = min(range(FOLDS), key=fullness)
        there[fold].update(mine)
        found[members[name]] = fold
    return found


def judged_classes(x: NDArray[np.float64], labels: list[str], groups: list[str], seed: int) -> list[dict[str, object]]:
    """What the other folds make of each sample.

    Args:
        x: ``float64 [N, D]``, vectors of length ``STRENGTH``.
        labels: the class of each.
        groups: what each stays together with.
        seed: of the folds.

    Returns:
        For each sample: ``expected`` class, ``quality`` (the chance of its own) and whether an error is ``likely``.
    """
    from sklearn.linear_model import LogisticRegression

    names, given = np.unique(labels, return_inverse=True)
    chances, fold = np.zeros((len(x), len(names))), folds_of(groups, labels, seed)
    for k in np.unique(fold):
        rest = fold != k
        if len(set(given[rest])) < 2:  # what stays together is most of the others
            chances[~rest, given[rest][0]] = 1
            continue
        model = LogisticRegression(C=1 / (PENALTY * rest.sum()), max_iter=300).fit(x[rest], given[rest])
        chances[np.ix_(~rest, model.classes_)] = model.predict_proba(x[~rest])
    wrong, quality = confident_errors(chances, given), chances[np.arange(len(x)), given]
    expected = names[chances.argmax(1)]
    return [
        {"expected": str(e), "quality": float(q), "likely": bool(w)}
        for e, q, w in zip(expected, quality, wrong, strict=True)
    ]


def judged_values(
    x: NDArray[np.float64], values: NDArray[np.float64], groups: list[str], seed: int
) -> list[dict[str, object]]:
    """What the other folds make of each sample's value; arguments and result as for ``judged_classes``."""
    from sklearn.linear_model import Ridge

    predicted, fold = np.zeros(len(x)), folds_of(groups, seed=seed)
    for k in np.unique(fold):
        rest = fold != k
        predicted[~rest] = Ridge(alpha=PENALTY * rest.sum()).fit(x[rest], values[rest]).predict(x[~rest])
    away = np.abs(values - predicted)
    usual = 1.4826 * float(
        np.median(away)
    )  # the standard deviation of normal deviations, which a few wrong ones do not move
    far = away / max(usual, 1e-9)
    return [
        {"expected": _shown(float(p)), "quality": float(np.exp(-f)), "likely": bool(f > FAR)}
        for p, f in zip(predicted, far, strict=True)
    ]


def _given(tables: Tables, name: str) -> tuple[dict[str, str], dict[str, float]]:
    """The class, and the value on the scale, of each sample that has one.

    Raises:
        NothingToJudge: nothing was concluded from ratings so far.
    """
    labels, scale = RatingsRef(name, LABELS_TABLE), RatingsRef(name, SCALE_TABLE)
    if not tables.exists(labels) or not tables.exists(scale):
        raise NothingToJudge(f"{name}: there are no labels to judge yet; `arot run` takes the ratings in")
    classes = {row["sample_id"]: row["label"] for row in tables.read(labels).to_pylist() if row["label"] is not None}
    values = {row["sample_id"]: row["value"] for row in tables.read(scale).to_pylist()}
    return classes, values


def _vectors(con: Connection, declaration: RatingsDeclaration, samples: list[str]) -> dict[str, list[float]]:
    """The vector of each sample that has one.

    Raises:
        RatingsError: no embedding is declared, or it cannot be read.
    """
    import duckdb

    name, embedding = declaration.name, declaration.queue.embedding
    if not embedding:
        raise RatingsError(
            f"{name}: labels are judged by what samples look like: set `queue.embedding` to a table of vectors"
        )
    table, _, column = embedding.partition(".")
    con.register("to_judge", pa.table({"sample_id": pa.array(samples, pa.string())}))
    try:
        rows = con.execute(
            f"""select sample_id, {quote(column or "vector")}::float[] from {quote(declaration.dataset)}.{quote(table)}
            semi join to_judge using (sample_id) where status = 'ok'"""
        ).fetchall()
    except duckdb.Error as error:
        said = str(error).partition("\n\nLINE ")[0]
        raise RatingsError(f"{name}: labels cannot be judged: {said}; look at `queue.embedding`") from error
    finally:
        con.unregister("to_judge")
    return {str(sample): vector for sample, vector in rows if vector is not None}


def _group_of(con: Connection, tables: Tables, declaration: RatingsDeclaration, samples: list[str]) -> dict[str, str]:
    """Sample -> the smallest of those that it stays together with: as in the split, or near-duplicates where their hashes are."""
    hashed = bool(tables.shards(declaration.dataset, PHASH))
    rule = declaration.split or RatingSplitRule(near_duplicate_distance=8 if hashed else None)
    groups = connected(samples, groups_of(con, tables, declaration, rule, dict.fromkeys(samples)))
    return {sample: group for group, members in groups.items() for sample in members}


def _of_rare_classes(labels: Mapping[str, str], group: Mapping[str, str]) -> dict[str, str]:
    """Samples of classes that some fold could not learn -> the reason."""
    seen: dict[str, set[str]] = {}
    for sample, label in labels.items():
        seen.setdefault(label, set()).add(group[sample])
    return {
        sample: f"its class has {len(seen[label])} samples that do not stay together; {FOLDS} are needed"
        for sample, label in labels.items()
        if len(seen[label]) < FOLDS
    }


def _shown(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"
