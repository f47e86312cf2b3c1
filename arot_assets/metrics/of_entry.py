"""The table that an entry of the model catalogue makes: name, columns, descriptions and ranges follow from its outputs alone.

Belongs here: what an output looks like as columns. Does not belong here: the values (``resources.models.output_values``), and
tables that need Python: a file in ``metrics/catalogue`` that names the model takes precedence over its entry.
"""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from arot_assets.media.wants import FRAMES, SOUND, SOUND_IS, STILL, Want
from arot_assets.metrics.metric import Column, Metric, Rows, rows
from resources.models.entry import ModelEntry, ModelError
from resources.models.output_values import values_of
from resources.models.outputs import (
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
    numbers,
)

VERSION = "1"
"""Of the way from a model's arrays to rows: raised when that changes values."""
TRAINED_ON = "trained_on"
"""The option of a head that names the ``metric_version`` of the vectors that it was trained on."""
VERSION_COLUMN = "metric_version"
TEXT = "samples.caption"
"""The texts that are compared with images, unless an entry says others."""
FILES = {"image": STILL, "frames": FRAMES, "sound": SOUND}
"""``takes`` of an entry -> what of a file its metric sees."""
SPAN = pa.struct([("start", pa.float64()), ("end", pa.float64())])
BOX = pa.struct(
    [
        ("label", pa.string()),
        ("score", pa.float32()),
        ("left", pa.float32()),
        ("top", pa.float32()),
        ("width", pa.float32()),
        ("height", pa.float32()),
        ("area", pa.float32()),
    ]
)

POINT = pa.struct([("label", pa.string()), ("score", pa.float32()), ("x", pa.float32()), ("y", pa.float32())])
LINE = pa.struct([("text", pa.string()), *(field for field in BOX if field.name != "label")])


def metric_of(entry: ModelEntry) -> Metric:
    """The metric of an entry; its name is the entry's.

    Raises:
        ModelError: the weights are not pinned, or two of its outputs make columns of one name.
    """
    entry.require_pinned()
    outputs, made = entry.outputs, columns_of(entry)

    def from_outputs(arrays: Mapping[str, Any]) -> list[dict[str, Any]]:
        parts = [values_of(output, arrays) for output in outputs]
        return [{name: value for part in of_one for name, value in part.items()} for of_one in zip(*parts, strict=True)]

    return Metric(
        name=entry.name,
        version=VERSION,
        description=entry.description or f"{entry.public_name}: {'; '.join(output.meaning for output in outputs)}.",
        columns=tuple(made),
        model=entry.name,
        from_outputs=from_outputs,
        takes=_takes(entry),
        params={
            "outputs": [numbers(output) for output in outputs],
            **({"sound": SOUND_IS} if entry.takes == "sound" else {}),
        },
    )


def columns_of(entry: ModelEntry) -> list[Column]:
    """The columns of its table, whether its weights are pinned or not.

    Raises:
        ModelError: two of its outputs make columns of one name, or it has none.
    """
    made = [column for output in entry.outputs for column in output_columns(output)]
    twice = sorted({c.name for c in made if sum(c.name == other.name for other in made) > 1})
    if twice or not made:
        raise ModelError(f"model '{entry.name}': its outputs make columns of one name: {twice}; give them other names")
    return made


def _takes(entry: ModelEntry) -> Want | Rows:
    """What its table is computed from; with the version of the vectors, where a head is good for one version only."""
    if entry.takes in FILES:
        return FILES[entry.takes]
    if entry.family == "similarity":
        return rows(entry.takes, str(entry.options.get("text", TEXT)))
    return rows(
        entry.takes, *([f"{entry.takes.split('.')[0]}.{VERSION_COLUMN}"] if TRAINED_ON in entry.options else [])
    )


def output_columns(output: Any) -> list[Column]:
    """The columns of one output."""
    names = columns(output)
    if isinstance(output, Embedding):
        scaled = "L2-normalised" if output.normalised else "not normalised"
        kind = pa.list_(pa.float16(), output.size)
        return [Column(names[0], kind, f"{output.meaning}; {output.size} numbers, float16, {scaled}")]
    if isinstance(output, Score):
        return [Column(names[0], pa.float32(), output.meaning, output.low, output.high)]
    if isinstance(output, Probabilities):
        return [
            Column(names[0], pa.string(), f"{output.meaning}: the most probable of {', '.join(output.labels)}"),
            Column(names[1], pa.float32(), f"probability of {names[0]}, 0-1", 0, 1),
            *_levels(names[2:], output.labels),
        ]
    if isinstance(output, Ordinal):
        low, high = min(output.values), max(output.values)
        scale = ", ".join(f"{label} {value:g}" for label, value in zip(output.labels, output.values, strict=True))
        text = f"{output.meaning}: mean of the levels ({scale}), weighted by probability"
        return [Column(names[0], pa.float32(), text, low, high), *_levels(names[1:], output.labels)]
    if isinstance(output, Tags):
        floor = f"of at least {output.floor:g}"
        return [
            Column(
                names[0],
                pa.list_(pa.int32()),
                f"{output.meaning}: ids of the tags {floor} probability, the most probable first; the n-th tag of the model is n",
            ),
            Column(names[1], pa.list_(pa.float32()), f"probabilities of {names[0]}, 0-1, in its order"),
        ]
    if isinstance(output, Boxes):
        text = f"{output.meaning}: boxes with label, score 0-1, and left, top, width, height and area as shares, 0-1"
        return [Column(names[0], pa.list_(BOX), text)]
    if isinstance(output, Keypoints):
        named = f"label ({', '.join(output.labels)})"
        place = "score 0-1, and x and y as shares of the image, outside of 0-1 beyond its border"
        text = f"{output.meaning}: all {len(output.labels)} points, in this order, with {named}, {place}"
        return [Column(names[0], pa.list_(POINT), text)]
    if isinstance(output, Landmarks):
        return _of_landmarks(output, names)
    if isinstance(output, Text):
        return [Column(names[0], pa.string(), output.meaning)]
    if isinstance(output, Lines):
        place = "text, score 0-1, and left, top, width, height and area as shares, 0-1; in reading order"
        sure = f"of score {output.confident:g} or more"
        return [
            Column(names[0], pa.list_(LINE), f"{output.meaning}: lines with {place}"),
            Column(names[1], pa.string(), f"the lines {sure}, each on a line of its own; empty without any"),
            Column(names[2], pa.float32(), f"share of the image that the lines {sure} take, 0-1", 0, 1),
        ]
    if isinstance(output, Speech):
        return _of_speech(output, names)
    assert isinstance(output, MapSummary)
    said = ["mean", "standard deviation", "5th percentile", "95th percentile"]
    share = [f"share of the image above {output.threshold:g}, 0-1"] if output.threshold is not None else []
    ranges = [(output.low, output.high), (0, None), (output.low, output.high), (output.low, output.high), (0, 1)]
    return [
        Column(name, pa.float32(), f"{output.meaning}: {text}", low, high)
        for name, text, (low, high) in zip(names, said + share, ranges, strict=False)
    ]


def _of_landmarks(output: Landmarks, names: list[str]) -> list[Column]:
    seen = ", visibility 0-1" if output.visibility else ""
    point = [POINT.field("label"), *(pa.field(name, pa.float32()) for name in ("x", "y", "z"))]
    points = pa.struct([*point, *([pa.field("visibility", pa.float32())] if output.visibility else [])])
    named = [pa.field("label", pa.string()), pa.field("label_score", pa.float32())] if output.classes else []
    one = pa.struct([*named, *(f for f in BOX if f.name != "label"), pa.field("landmarks", pa.list_(points))])
    either = f"label ({', '.join(output.classes)}) and its probability, " if output.classes else ""
    text = (
        f"{output.meaning}: structs with {either}score 0-1, the box around the points within the image (left, top, width, "
        f"height, area as shares, 0-1) and landmarks: all {len(output.labels)} points ({', '.join(output.labels)}), each with x "
        f"and y as shares of the image, outside of 0-1 beyond its border, z as a share of its width, less near the camera{seen}"
    )
    return [
        Column(names[0], pa.list_(one), text),
        Column(names[1], pa.int32(), f"{output.meaning}: how many", 0),
        Column(names[2], pa.float32(), "share of the image that their boxes cover together, 0-1", 0, 1),
    ]


def _of_speech(output: Speech, names: list[str]) -> list[Column]:
    """All of them are null for a film without sound."""
    span = f"{output.meaning}, in order: structs with start and end, seconds after the first frame"
    surest = f"largest probability of speech in a window of {output.window / output.rate * 1000:g} ms, 0-1"
    heard = "how much sound the film has, seconds; less where it begins late or has gaps"
    return [
        Column(names[0], pa.float64(), f"{output.meaning}: their length together, seconds", 0, nullable=True),
        Column(names[1], pa.float32(), f"{output.meaning}: their share of the film's time, 0-1", 0, 1, nullable=True),
        Column(names[2], pa.float32(), surest, 0, 1, nullable=True),
        Column(names[3], pa.float64(), heard, 0, nullable=True),
        Column(names[4], pa.list_(SPAN), span, nullable=True),
    ]


def _levels(names: list[str], labels: tuple[str, ...]) -> list[Column]:
    return [
        Column(name, pa.float32(), f"probability of {label}, 0-1", 0, 1)
        for name, label in zip(names, labels, strict=True)
    ]
