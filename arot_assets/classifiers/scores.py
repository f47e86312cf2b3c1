"""A classifier's scores as a metric over stored columns: the promoted head applied to the stored embeddings.

Belongs here: the metric, its columns and version. Does not belong here: which head scores (``promotion.py``), how tables of
stored columns are filled (``arot_assets.metrics.rows``).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.head import Head
from arot_assets.classifiers.promotion import current, latest, load_head
from arot_assets.metrics.metric import Column, Metric, rows
from arot_assets.metrics.vectors import VECTOR, vectors_of
from resources.tables import Tables

CODE_VERSION = "1"


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


def score_metric(tables: Tables, declaration: ClassifierDeclaration) -> Metric:
    """The scores of the currently promoted head; the version changes with the head.

    Without a promoted head, every row fails with that reason. The head's file is read when the first row is scored.
    """
    name = declaration.name
    promoted, last = current(tables, name), latest(tables, name)
    known = promoted or last
    classes = known.classes if known else tuple(declaration.labels.classes or ())
    if promoted is not None:
        digest = promoted.digest
        compute = scoring(declaration.embedding, cache(lambda: load_head(tables, name, digest)))
    else:
        digest = ""
        why = f"no promoted head: {last.missed if last else 'none was trained'}"
        compute = _unscored(classes, why)
    return Metric(
        name,
        CODE_VERSION,
        f"Scores of the classifier `{name}` for every sample, from stored embeddings. {declaration.description}",
        score_columns(classes),
        params={"head": digest or why},
        takes=rows(f"{declaration.embedding}.{VECTOR}", f"{declaration.embedding}.metric_version"),
        compute_rows=compute,
    )


def scoring(embedding: str, get_head: Callable[[], Head]) -> Callable[[pa.Table], Mapping[str, Any]]:
    """The function from stored embeddings to a head's scores.

    Args:
        embedding: name of the table of embeddings.
        get_head: returns the head; called once per block of rows.

    Returns:
        ``table -> columns``; rows whose embedding has another version than the head's fail.
    """

    def compute(table: pa.Table) -> Mapping[str, Any]:
        head = get_head()
        versions = table[f"{embedding}.metric_version"]
        probabilities = head.probabilities(vectors_of(table[f"{embedding}.{VECTOR}"]))
        reasons = [
            None
            if version == head.embedding_version
            else f"embedding is of version {version}, the head was trained on {head.embedding_version}: train the head again"
            for version in versions.to_pylist()
        ]
        return {
            "label": pc.take(pa.array(head.classes, pa.string()), pa.array(probabilities.argmax(axis=1))),
            "confidence": probabilities.max(axis=1),
            **{class_column(c): np.ascontiguousarray(probabilities[:, k]) for k, c in enumerate(head.classes)},
            "reason": reasons,
        }

    return compute


def _unscored(classes: Sequence[str], why: str) -> Callable[[pa.Table], Mapping[str, Any]]:
    names = [column.name for column in score_columns(classes)]
    return lambda table: {**{n: pa.nulls(table.num_rows) for n in names}, "reason": [why] * table.num_rows}
