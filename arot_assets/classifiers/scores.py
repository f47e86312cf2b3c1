"""A head's scores as a metric table: one row for each row of the embedding table, without reading any pixels.

Belongs here: the columns, the version, and the rows. Does not belong here: which head scores (``promotion.py``).
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from arot_assets.classifiers.head import Head
from arot_assets.metrics.metric import Column, metric_schema, metric_version

CODE_VERSION = "1"
VECTOR = "vector"


def class_column(name: str) -> str:
    """The column of one class's probability: ``p_`` and the name in lower case, with other characters replaced by ``_``."""
    return "p_" + re.sub(r"[^a-z0-9_]+", "_", name.lower()).strip("_")


def score_columns(classes: Sequence[str]) -> tuple[Column, ...]:
    """The columns of the scores of a classifier.

    Raises:
        ValueError: two classes would share a column.
    """
    names = [class_column(name) for name in classes]
    if len(set(names)) < len(names):
        raise ValueError(f"classes {list(classes)} would have the same columns, {names}: rename a class")
    return (
        Column("label", pa.string(), f"the most probable class: {', '.join(classes)}"),
        Column("confidence", pa.float32(), "probability of label, 0-1", 0, 1),
        *(
            Column(column, pa.float32(), f"probability of class {name}, 0-1; all classes sum to 1", 0, 1)
            for column, name in zip(names, classes, strict=True)
        ),
    )


def score_version(name: str, head_digest: str, embedding_version: str) -> str:
    """The version of the scores: it changes with the head, the embedding and this code."""
    return metric_version(name, CODE_VERSION, {}, f"{head_digest}:{embedding_version}")


def score_table(
    embedding: pa.Table, head: Head | None, why_no_head: str, name: str, classes: Sequence[str]
) -> pa.Table:
    """Score a shard.

    Args:
        embedding: a shard of the embedding's metric table.
        head: the promoted head; if None, every row fails with ``why_no_head``.
        why_no_head: the reason.
        name: the classifier's name.
        classes: of the columns; those of the head if there is one.

    Returns:
        A table of ``metric_schema(score_columns(classes))``, one row for each row of ``embedding``, in its order.
    """
    reasons = [
        _reason(row, head, why_no_head) for row in embedding.select(["status", "reason", "metric_version"]).to_pylist()
    ]
    scored = np.array([reason is None for reason in reasons], bool)
    probabilities = np.zeros((len(reasons), len(classes)), np.float32)
    if head is not None and scored.any():
        probabilities[scored] = head.probabilities(vectors(embedding.filter(pa.array(scored))))
    best = probabilities.argmax(axis=1)
    missing = ~scored
    digest = head.digest() if head else ""
    versions = {v: score_version(name, digest, v) for v in pc.unique(embedding["metric_version"]).to_pylist()}
    columns: dict[str, Any] = {
        "sample_id": embedding["sample_id"],
        "status": ["ok" if done else "failed" for done in scored.tolist()],
        "reason": reasons,
        "label": pa.array(np.array(list(classes), object)[best], pa.string(), mask=missing),
        "confidence": pa.array(probabilities.max(axis=1), pa.float32(), mask=missing),
        "metric_version": [versions[v] for v in embedding["metric_version"].to_pylist()],
        "computed_at": [datetime.now(UTC)] * len(reasons),
    }
    for k, column in enumerate(map(class_column, classes)):
        columns[column] = pa.array(probabilities[:, k], pa.float32(), mask=missing)
    schema = metric_schema(score_columns(classes))
    return pa.table({field.name: columns[field.name] for field in schema}, schema=schema)


def vectors(embedding: pa.Table) -> NDArray[np.float16]:
    """``float16 [N, D]``: the vectors of rows, all of which have one."""
    column = embedding[VECTOR].combine_chunks()
    size = embedding.schema.field(VECTOR).type.list_size
    flat: NDArray[np.float16] = column.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(embedding.num_rows, size)


def _reason(row: dict[str, Any], head: Head | None, why_no_head: str) -> str | None:
    if row["status"] != "ok":
        return f"no embedding: {row['reason']}"
    if head is None:
        return why_no_head
    if row["metric_version"] != head.embedding_version:
        return (
            f"embedding is of version {row['metric_version']}, the head was trained on {head.embedding_version}: "
            "train the head again"
        )
    return None
