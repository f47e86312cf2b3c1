"""How well texts of rows fit their stored image embeddings: the cosine of both.

Belongs here: the column of a ``similarity`` entry. Does not belong here: the text tower (``resources.models``), which rows are
missing (``rows.py``).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from arot_assets.metrics.metric import ColumnsOfRows, Metric
from arot_assets.metrics.vectors import vectors_of
from resources.models.entries import find_entry
from resources.models.outputs import Score
from resources.models.prompts import tower_of, unit

if TYPE_CHECKING:
    from resources.models import Models

TEXTS_AT_ONCE = 64


def similarity_of(models: "Models", metric: Metric) -> tuple[Callable[[pa.Table], ColumnsOfRows], dict[str, str]]:
    """The function from rows, vector and text, to their similarity, null where a row has no text; and where texts are embedded.

    Raises:
        ModelError: the model has no text tower, or cannot be used.
    """
    assert metric.model is not None and metric.rows is not None
    entry = find_entry(metric.model)
    tower = models.get(tower_of(entry))
    tower.encode_text(["a"])  # a missing tower is told before any row
    vector, text = metric.rows.columns
    output = entry.outputs[0]
    assert isinstance(output, Score), "the entry's table has one column"

    def compute(table: pa.Table) -> ColumnsOfRows:
        texts: list[Any] = table[text].to_pylist()
        there = [k for k, said in enumerate(texts) if said and said.strip()]
        found: list[float | None] = [None] * len(texts)
        vectors = unit(vectors_of(table[vector].take(pa.array(there, pa.int64()))))
        for start in range(0, len(there), TEXTS_AT_ONCE):
            some = there[start : start + TEXTS_AT_ONCE]
            embedded = unit(tower.encode_text([texts[k] for k in some]))
            cosines = np.einsum("ij,ij->i", vectors[start : start + len(some)], embedded)
            for k, cosine in zip(some, cosines, strict=True):
                found[k] = float(cosine) * output.scale + output.offset
        return {output.name: pa.array(found, pa.float32())}

    return compute, tower.where
