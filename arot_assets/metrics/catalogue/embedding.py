"""The metric ``embedding``: the features of an ImageNet backbone, as a vector for heads, search and clustering.

Belongs here: the columns and how model outputs become them.
Does not belong here: the model (``resources.models``) and anything trained on the vector (``classifiers``).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from arot_assets.metrics.metric import Column, Metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIMENSIONS = 1280


def rows(outputs: "Mapping[str, NDArray[np.float32]]") -> list[dict[str, Any]]:
    """``embedding [N, 1280]`` and ``logits [N, 1000]`` -> N rows; a row depends on its own image only."""
    vectors = outputs["embedding"].astype(np.float16)
    logits = outputs["logits"]
    top1 = logits.argmax(axis=1)
    # the softmax of the largest logit is 1 / sum(exp(logit - largest))
    probability = 1 / np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)
    return [
        {"vector": vector, "top1": int(label), "top1_probability": float(p)}
        for vector, label, p in zip(vectors, top1, probability, strict=True)
    ]


embedding = Metric(
    name="embedding",
    version="1",
    description="EfficientNet-Lite0's pooled features, on which small classifiers are trained, and its ImageNet class.",
    columns=(
        Column(
            "vector",
            pa.list_(pa.float16(), DIMENSIONS),
            "1280 pooled features of EfficientNet-Lite0 before its classifier, each 0-6, float16, not normalised",
        ),
        Column("top1", pa.int16(), "most probable ImageNet-1k class, 0-999 (285: Egyptian cat, 967: espresso)", 0, 999),
        Column("top1_probability", pa.float32(), "softmax probability of top1, 0-1", 0, 1),
    ),
    model="efficientnet_lite0",
    from_outputs=rows,
)
