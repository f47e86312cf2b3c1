"""The stored vectors that are most like a query: exact, one shard in memory at a time for each thread.

Belongs here: comparing a query with a column of vectors. Does not belong here: where the query comes from, and what is shown of
the samples (``arot_assets.report``).
"""

from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from arot_assets.metrics.vectors import VECTOR, vectors_of
from resources.parallel import ordered_map
from resources.tables import TableRef, Tables

SMALLEST = 1e-30
"""Instead of the length of a vector of zeros, which has no direction."""
BLOCK = 4096
"""Rows that are widened to float32 at a time."""


@dataclass(frozen=True)
class Query:
    """What is looked for.

    Attributes:
        vector: ``float32 [D]``, of any length but 0.
        versions: the versions of rows that it may be compared with: others were made by another model.
        leave_out: samples that are not answers, such as the query itself.
    """

    vector: NDArray[np.float32]
    versions: Collection[str]
    leave_out: Collection[str] = ()


@dataclass(frozen=True)
class Nearest:
    """What was found.

    Attributes:
        matches: sample and cosine similarity, the most similar first; equal ones by sample.
        compared: rows that were compared.
        skipped: rows of other versions.
    """

    matches: tuple[tuple[str, float], ...]
    compared: int
    skipped: int


def nearest(tables: Tables, dataset: str, table: str, query: Query, top: int) -> Nearest:
    """The samples of a dataset whose vectors have the largest cosine similarity to a query.

    Args:
        tables: the lake.
        dataset: whose samples; those that left the source are among them.
        table: the table of embeddings.
        query: what is looked for.
        top: the number of samples.

    Raises:
        ValueError: the query has another number of dimensions than the stored vectors.
    """
    wanted = query.vector / max(float(np.linalg.norm(query.vector)), SMALLEST)

    def of_shard(shard: str) -> tuple[pa.Table, int, int]:
        rows = tables.read(TableRef(dataset, table, shard), ["sample_id", "status", "metric_version", VECTOR])
        rows = rows.filter(pc.equal(rows["status"], "ok"))
        current = rows.filter(pc.is_in(rows["metric_version"], value_set=pa.array(list(query.versions), pa.string())))
        similar = similarities(vectors_of(current[VECTOR]), wanted) if current.num_rows else np.empty(0, np.float32)
        found = pa.table({"sample_id": current["sample_id"].combine_chunks(), "similarity": similar})
        found = found.filter(
            pc.invert(pc.is_in(found["sample_id"], value_set=pa.array(list(query.leave_out), pa.string())))
        )
        return _best(found, top), current.num_rows, rows.num_rows - current.num_rows

    best = pa.table({"sample_id": pa.array([], pa.string()), "similarity": pa.array([], pa.float32())})
    compared = skipped = 0
    with closing(ordered_map(of_shard, tables.shards(dataset, table))) as shards:
        for found, used, others in shards:
            best = _best(pa.concat_tables([best, found]), top)
            compared, skipped = compared + used, skipped + others
    pairs = zip(best["sample_id"].to_pylist(), best["similarity"].to_pylist(), strict=True)
    return Nearest(tuple(pairs), compared, skipped)


def similarities(vectors: NDArray[np.floating], wanted: NDArray[np.float32]) -> NDArray[np.float32]:
    """``[N, D]`` of any float type and ``float32 [D]`` of length 1 -> cosines, ``float32 [N]``; 0 for a vector of zeros."""
    if vectors.shape[1] != len(wanted):
        raise ValueError(f"the query has {len(wanted)} dimensions, and the stored vectors have {vectors.shape[1]}")
    result = np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK].astype(np.float32)
        length = np.sqrt(np.einsum("ij,ij->i", block, block))
        result[start : start + BLOCK] = block @ wanted / np.maximum(length, SMALLEST)
    return result


def _best(found: pa.Table, top: int) -> pa.Table:
    """The most similar rows, each sample once: a file that was moved has rows in two shards, which are equal."""
    order = [("similarity", "descending"), ("sample_id", "ascending")]
    sorted_ = found.take(pc.sort_indices(found, order))
    first: dict[str, int] = {}
    for place, sample in enumerate(sorted_["sample_id"].slice(0, 2 * top).to_pylist()):
        first.setdefault(sample, place)
    return sorted_.take(pa.array(list(first.values())[:top], pa.int64()))
