"""The values of rows from a model's arrays.

Belongs here: the arithmetic of each kind of output. Does not belong here: what the kinds are (``outputs.py``), the arrays
themselves (``families``). numpy only; every value depends on its own image alone.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
from resources.models.outputs import (
    CUMULATIVE,
    Activation,
    Boxes,
    Embedding,
    Keypoints,
    Landmarks,
    Lines,
    MapSummary,
    Ordinal,
    Probabilities,
    Score,
    Speech,
    Tags,
    Text,
    columns,
)
from resources.models.speech import row_of_speech


def values_of(output: Any, outputs: "Mapping[str, Any]") -> list[dict[str, Any]]:
    """What an output says of each image of a batch, by column.

    Args:
        output: one of the kinds.
        outputs: the model's arrays, ``[N, …]`` each, or a list of N values for boxes, keypoints, landmarks, lines and text. For
            speech also what is known of each film's sound: see ``row_of_speech``.
    """
    array = outputs[output.of]
    if isinstance(output, Text):
        return [{output.name: text} for text in array]
    if isinstance(output, Boxes):
        return [{output.name: [_box(output, box) for box in boxes]} for boxes in array]
    if isinstance(output, Keypoints):
        return [{output.name: [_point(output, point) for point in points]} for points in array]
    if isinstance(output, Landmarks):
        return [_landmarks(output, found) for found in array]
    if isinstance(output, Lines):
        return [_lines(output, lines) for lines in array]
    if isinstance(output, MapSummary):
        return [_summary(output, one) for one in array]
    if isinstance(output, Speech):
        parts = (outputs[name] for name in (output.of, "samples", "heard", "seconds"))
        return [
            dict(zip(columns(output), row_of_speech(output, *one), strict=True)) for one in zip(*parts, strict=True)
        ]
    return [dict(zip(columns(output), row, strict=True)) for row in _ROWS[type(output)](output, array)]


def activated(array: "NDArray[np.float32]", activation: Activation) -> "NDArray[np.float32]":
    """``[N, C]`` logits -> probabilities, in float32 and without overflow.

    ``cumulative`` and ``conditional`` take ``[N, K - 1]`` and give those of K ordered levels: the n-th logit is that of being
    above level n, among all samples (CORAL) or among those that are above level n - 1 (CORN).
    """
    import numpy as np

    array = np.asarray(array, np.float32)
    if activation == "sigmoid":
        small = np.exp(-np.abs(array))
        return np.where(array >= 0, 1 / (1 + small), small / (1 + small)).astype(np.float32)
    if activation == "softmax":
        raised = np.exp(array - array.max(axis=-1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=-1, keepdims=True), np.float32)
    if activation in CUMULATIVE:
        above = activated(array, "sigmoid")
        above = np.cumprod(above, axis=-1) if activation == "conditional" else np.minimum.accumulate(above, axis=-1)
        one, none = np.ones_like(above[..., :1]), np.zeros_like(above[..., :1])
        return np.asarray(np.concatenate([one, above], axis=-1) - np.concatenate([above, none], axis=-1), np.float32)
    return array


def _embedding(output: Embedding, array: "NDArray[np.float32]") -> list[tuple[Any, ...]]:
    import numpy as np

    if output.normalised:  # a vector of zeros stays one
        array = array / np.maximum(np.linalg.norm(array, axis=1, keepdims=True), 1e-12)
    return [(vector,) for vector in array.astype(np.float16)]


def _score(output: Score, array: "NDArray[np.float32]") -> list[tuple[Any, ...]]:
    values = activated(array, output.activation).reshape(len(array), -1)[:, output.index]
    return [(float(value) * output.scale + output.offset,) for value in values]


def _probabilities(output: Probabilities, array: "NDArray[np.float32]") -> list[tuple[Any, ...]]:
    found = activated(array, output.activation)
    best = found.argmax(axis=1)
    return [
        (output.labels[top], float(row[top]), *(float(p) for p in row)) for top, row in zip(best, found, strict=True)
    ]


def _ordinal(output: Ordinal, array: "NDArray[np.float32]") -> list[tuple[Any, ...]]:
    import numpy as np

    found = activated(array, output.activation)
    scores = found @ np.asarray(output.values, np.float32)
    return [(float(score), *(float(p) for p in row)) for score, row in zip(scores, found, strict=True)]


def _tags(output: Tags, array: "NDArray[np.float32]") -> list[tuple[Any, ...]]:
    """Ids and probabilities above the floor, the most probable first; equal ones by id, so that order is no accident."""
    import numpy as np

    rows: list[tuple[Any, ...]] = []
    for row in activated(array, output.activation):
        kept = np.flatnonzero(row >= output.floor)
        kept = kept[np.argsort(-row[kept], kind="stable")]
        rows.append((kept.astype(np.int32), row[kept].astype(np.float32)))
    return rows


_ROWS: Mapping[type, Any] = {
    Embedding: _embedding,
    Score: _score,
    Probabilities: _probabilities,
    Ordinal: _ordinal,
    Tags: _tags,
}


def _box(output: Boxes, box: Sequence[float]) -> dict[str, Any]:
    label, score, left, top, wide, high = box
    place = {"left": float(left), "top": float(top), "width": float(wide), "height": float(high)}
    return {"label": output.labels[int(label)], "score": float(score), **place, "area": float(wide) * float(high)}


def _point(output: Keypoints, point: Sequence[float]) -> dict[str, Any]:
    label, score, x, y = point
    return {"label": output.labels[int(label)], "score": float(score), "x": float(x), "y": float(y)}


def _landmarks(output: Landmarks, found: Sequence[Sequence[float]]) -> dict[str, Any]:
    things = [_thing(output, row) for row in found]
    share = _covered([(t["left"], t["top"], t["left"] + t["width"], t["top"] + t["height"]) for t in things])
    return dict(zip(columns(output), (things, len(things), share), strict=True))


def _thing(output: Landmarks, row: Sequence[float]) -> dict[str, Any]:
    index, sure, score, left, top, wide, high, *numbers = (float(number) for number in row)
    named = {"label": output.classes[int(index)], "label_score": sure} if output.classes else {}
    place = {"score": score, "left": left, "top": top, "width": wide, "height": high, "area": wide * high}
    told = ("x", "y", "z", *(("visibility",) if output.visibility else ()))
    points = [
        {"label": label, **dict(zip(told, numbers[k * len(told) : (k + 1) * len(told)], strict=True))}
        for k, label in enumerate(output.labels)
    ]
    return {**named, **place, "landmarks": points}


def _covered(boxes: Sequence[tuple[float, float, float, float]]) -> float:
    """Area of the union of boxes: left, top, right, bottom."""
    across = sorted({edge for box in boxes for edge in (box[0], box[2])})
    down = sorted({edge for box in boxes for edge in (box[1], box[3])})
    return sum(
        (right - left) * (bottom - top)
        for left, right in pairwise(across)
        for top, bottom in pairwise(down)
        if any(box[0] <= left and right <= box[2] and box[1] <= top and bottom <= box[3] for box in boxes)
    )


def _lines(output: Lines, lines: Sequence[Sequence[Any]]) -> dict[str, Any]:
    names = ("text", "score", "left", "top", "width", "height", "area")
    found = [dict(zip(names, line, strict=True)) for line in lines]
    sure = [line for line in found if line["score"] >= output.confident]
    text, share = "\n".join(line["text"] for line in sure), min(1.0, sum(line["area"] for line in sure))
    return dict(zip(columns(output), (found, text, share), strict=True))


def _summary(output: MapSummary, one: "NDArray[np.float32]") -> dict[str, Any]:
    import numpy as np

    values = activated(np.asarray(one).reshape(-1), output.activation)
    p05, p95 = np.percentile(values, (5, 95))
    said = [float(values.mean()), float(values.std()), float(p05), float(p95)]
    if output.threshold is not None:
        said.append(float((values > output.threshold).mean()))
    return dict(zip(columns(output), said, strict=True))
