"""What to rate next: ``<name>.queue``, which `arot review --queue` shows.

Belongs here: why a sample is worth a rating, and mixing these reasons. Does not belong here: showing it (``review.py``).

Each reason ranks the samples on its own, and takes its declared part of the queue, in turn; or one reason is asked for alone. A
part is drawn at random: without such a control nobody can tell whether the choice helps, and a test set of chosen samples alone
is none of the data. Some samples that the raters have seen are planted again, which is how their consistency is known.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from arot_assets.columns import Column
from arot_assets.ratings.declaration import QueueRule, RatingsDeclaration
from arot_assets.ratings.label_errors import NothingToJudge, build_label_errors
from arot_assets.ratings.said import RatingsError
from arot_assets.ratings.trust import SCALE_TABLE
from resources.tables import RatingsRef, Tables
from resources.warehouse import Connection
from resources.warehouse.views import quote

QUEUE_TABLE = "queue"
UNCERTAIN, MODELS_DISAGREE, DIFFERENT, RARE = "uncertain", "models disagree", "different", "rare"
LABEL_ERRORS, RANDOM, REPEAT = "label errors", "random", "repeat"
REASONS = (UNCERTAIN, MODELS_DISAGREE, DIFFERENT, RARE, LABEL_ERRORS, RANDOM, REPEAT)
NEEDS = {MODELS_DISAGREE: "columns", DIFFERENT: "embedding", RARE: "slices", LABEL_ERRORS: "embedding"}
"""Reason -> the field of `queue` that it needs."""
MOST_DIFFERENT = 1000
"""Samples that are looked for; each takes one look at all vectors."""
SCHEMA = pa.schema(
    [
        column.field()
        for column in (
            Column("place", pa.int64(), "order of rating, from 1"),
            Column("sample_id", pa.string(), "the sample"),
            Column("why", pa.string(), " | ".join(REASONS)),
        )
    ]
)


def build_queue(
    con: Connection, tables: Tables, declaration: RatingsDeclaration, size: int, seed: int = 0, reason: str = ""
) -> pa.Table:
    """Choose what to rate next, and keep the choice.

    Args:
        con: a connection with the views of the dataset.
        tables: the store's tables.
        declaration: the ratings.
        size: samples of the queue.
        seed: of the random part.
        reason: one of ``REASONS`` alone; empty for all, in the declared parts.

    Raises:
        RatingsError: a declared column or query cannot be read; there is nothing that has this reason, or it needs something
            that is not declared.
        StorageError: the store cannot be written.
    """
    if reason in NEEDS and not getattr(declaration.queue, NEEDS[reason]):
        raise RatingsError(f"{declaration.name}: '{reason}' needs `queue.{NEEDS[reason]}` in the declaration")
    share = {reason: 1.0} if reason else {why: part for why, part in parts(declaration.queue).items() if part > 0}
    order = {why: _ranked(con, tables, declaration, why, seed, alone=bool(reason)) for why in share}
    if not any(order.values()):
        wanted = f"of reason '{reason}'" if reason else "to rate"
        raise RatingsError(f"{declaration.name}: there is no sample {wanted}; `arot run` takes in samples and ratings")
    table = pa.Table.from_pylist(
        [{"place": n, "sample_id": sample, "why": why} for n, (sample, why) in enumerate(mixed(order, share, size), 1)],
        schema=SCHEMA,
    )
    tables.write(table, RatingsRef(declaration.name, QUEUE_TABLE))
    return table


def parts(rule: QueueRule) -> dict[str, float]:
    """Reason -> its part of the queue."""
    given = {
        UNCERTAIN: rule.uncertain,
        MODELS_DISAGREE: rule.models_disagree,
        DIFFERENT: rule.different,
        RARE: rule.rare,
        LABEL_ERRORS: rule.label_errors,
        REPEAT: rule.repeats,
        RANDOM: rule.random,
    }
    return {why: part if why not in NEEDS or getattr(rule, NEEDS[why]) else 0.0 for why, part in given.items()}


def mixed(order: Mapping[str, Sequence[str]], share: Mapping[str, float], size: int) -> list[tuple[str, str]]:
    """(sample, reason), each sample once: always from the reason that is furthest behind its part."""
    taken: dict[str, str] = {}
    left = {why: iter(order.get(why, ())) for why, part in share.items() if part > 0}
    counts = dict.fromkeys(left, 0)
    while left and len(taken) < size:
        why = min(left, key=lambda why: (counts[why] + 1) / share[why])
        sample = next((sample for sample in left[why] if sample not in taken), None)
        if sample is None:
            del left[why]
            continue
        taken[sample] = why
        counts[why] += 1
    return list(taken.items())


def _ranked(
    con: Connection, tables: Tables, declaration: RatingsDeclaration, why: str, seed: int, alone: bool
) -> list[str]:
    """Samples, most worth rating first for this reason.

    Raises:
        RatingsError: a declared column or query cannot be read; labels cannot be judged, and they are asked for alone.
    """
    rule, dataset = declaration.queue, declaration.dataset
    ref = RatingsRef(declaration.name, SCALE_TABLE)
    rated = {row["sample_id"]: row for row in (tables.read(ref).to_pylist() if tables.exists(ref) else [])}
    if why == MODELS_DISAGREE:
        return _disagreement(con, declaration, rule.columns)
    if why == LABEL_ERRORS:
        return _likely_errors(con, tables, declaration, seed, alone)
    found = _asked(con, declaration, f"select sample_id from {quote(dataset)}.samples where status = 'ok'")
    samples = sorted(str(sample) for (sample,) in found)
    if why == UNCERTAIN:
        return sorted((s for s in samples if s in rated), key=lambda s: -_uncertainty(rated[s]))
    if why == DIFFERENT:
        return _different(con, declaration, rule.embedding, set(rated), [s for s in samples if s not in rated])
    drawn = sorted(samples, key=lambda s: hashlib.sha256(f"{seed}/{s}".encode()).digest())
    if why == REPEAT:
        return [s for s in drawn if s in rated]
    fresh = [s for s in drawn if s not in rated]
    return _rare(con, declaration, fresh, set(rated)) if why == RARE else fresh


def _rare(con: Connection, declaration: RatingsDeclaration, fresh: Sequence[str], rated: set[str]) -> list[str]:
    """Unrated samples, those of slices with the fewest ratings first."""
    slices = {str(sample): name for sample, name in _asked(con, declaration, declaration.queue.slices)}
    counts = Counter(slices.get(sample) for sample in rated)
    return sorted((s for s in fresh if s in slices), key=lambda s: counts[slices[s]])


def _likely_errors(
    con: Connection, tables: Tables, declaration: RatingsDeclaration, seed: int, alone: bool
) -> list[str]:
    """Samples whose labels are likely wrong, the worst first; among other reasons, none where labels cannot be judged yet."""
    try:
        table = build_label_errors(con, tables, declaration, seed)
    except NothingToJudge:
        if alone:
            raise
        return []
    return [row["sample_id"] for row in table.to_pylist() if row["likely"]]


def _uncertainty(row: Mapping[str, float | None]) -> float:
    return float(row["standard_error"] or 0.0) + float(row["disagreement"] or 0.0)


def _disagreement(con: Connection, declaration: RatingsDeclaration, columns: Sequence[str]) -> list[str]:
    """Samples by how far these columns of ``wide`` differ in their ranks."""
    picked = ", ".join(f"percent_rank() over (order by {quote(column)})" for column in columns)
    there = " and ".join(f"{quote(column)} is not null" for column in columns)
    rows = _asked(
        con,
        declaration,
        f"select sample_id, {picked} from {quote(declaration.dataset)}.wide where status = 'ok' and {there} order by sample_id",
    )
    spread = {str(row[0]): float(np.ptp(np.array(row[1:], np.float64))) for row in rows}
    return sorted(spread, key=lambda sample: -spread[sample])


def _different(
    con: Connection, declaration: RatingsDeclaration, embedding: str, rated: set[str], fresh: Sequence[str]
) -> list[str]:
    """Unrated samples, each as different as can be from those before it and from what is rated."""
    table, _, column = embedding.partition(".")
    rows = _asked(
        con,
        declaration,
        f"select sample_id, {quote(column or 'vector')}::float[] from {quote(declaration.dataset)}.{quote(table)} "
        "where status = 'ok' order by sample_id",
    )
    if not rows:
        return []
    ids = [str(sample) for sample, _ in rows]
    vectors = np.array([vector for _, vector in rows], np.float32)
    wanted = set(fresh)
    there, open_ = (np.array([sample in some for sample in ids]) for some in (rated, wanted))
    return [ids[k] for k in furthest(vectors, there, open_, MOST_DIFFERENT)]


def furthest(vectors: NDArray[np.float32], known: NDArray[np.bool_], open_: NDArray[np.bool_], most: int) -> list[int]:
    """Rows of which each is furthest by cosine from all that are known or were taken before (k-center, greedy).

    Args:
        vectors: ``float32 [N, D]``.
        known: ``bool [N]``, what new rows should differ from.
        open_: ``bool [N]``, rows that may be taken.
        most: how many to take.
    """
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    away = 1 - _closest(unit, unit[known]) if known.any() else np.full(len(unit), 2.0, np.float32)
    left, taken = open_.copy(), list[int]()
    while left.any() and len(taken) < most:
        k = int(np.argmax(np.where(left, away, -1)))
        taken.append(k)
        left[k] = False
        away = np.minimum(away, 1 - unit @ unit[k])
    return taken


def _closest(vectors: NDArray[np.float32], known: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cosine to the most similar of the known vectors, in blocks."""
    found = np.full(len(vectors), -1.0, np.float32)
    for start in range(0, len(known), 1024):
        found = np.maximum(found, (vectors @ known[start : start + 1024].T).max(1))
    return found


def _asked(con: Connection, declaration: RatingsDeclaration, query: str) -> list[tuple[object, ...]]:
    """The rows of a query.

    Raises:
        RatingsError: it fails.
    """
    import duckdb

    try:
        return con.execute(query.rstrip().rstrip(";")).fetchall()
    except duckdb.Error as error:
        said = str(error).partition("\n\nLINE ")[0]
        raise RatingsError(
            f"{declaration.name}: the queue cannot be made: {said}; look at `queue` in the declaration"
        ) from error
