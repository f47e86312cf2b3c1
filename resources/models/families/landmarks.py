"""The ``landmarks`` family: hands and people with named points, by the two stages of Google's MediaPipe, run by LiteRT.

Belongs here: the way from an image to points: a detector looks at the whole of it, a second network at the turned square around
each thing that it found. Does not belong here: anchors and what overlaps (``anchored.py``), squares (``squares.py``),
interpreters (``tflite.py``), MediaPipe itself (``mediapipe_graph.py``).

The array is ``landmarks``: for each image a list of rows: index of the class, its probability, how sure the second network is
that the thing is there, left, top, width and height of the box around its points within the image, and of each point x, y, z
and, where the output has it, visibility. Places are shares of the image's width and height, z is a share of its width: 0 at the
wrist or between the hips, less than that nearer to the camera. A point beside the image is below 0 or above 1.

``options`` are those of ``Options``; their numbers are those of MediaPipe's published graphs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter, ValidationError

from resources.models.anchored import Detection, anchors, detections, overlaps
from resources.models.entry import STRICT, ModelEntry, ModelError, Preprocessing
from resources.models.families.tflite import interpreter
from resources.models.network import Network, Outputs, Placement
from resources.models.output_values import activated
from resources.models.outputs import Landmarks
from resources.models.preprocessing import normalised
from resources.models.squares import Pixels, Square, along, around, cut_out

if TYPE_CHECKING:
    from PIL.Image import Image

VERSION = "1"
ENGINES = ("litert",)
FILES = ("*.tflite",)

LONGEST = 2048
"""Pixels of the longer side that an image is brought to before it is looked at: a hand of a 10th of that, about the smallest
that the detector finds reliably, still fills the second network's input. MediaPipe takes the image as it is, and skips pixels."""
SURE = 0.5
"""Of a heat map: a probability near a point from which the map says where the point is."""

Run = Callable[[Pixels], dict[str, NDArray[np.float32]]]
Row = tuple[float, ...]


@dataclass(frozen=True)
class Detector:
    """The first network.

    Attributes:
        file: among those of the weights.
        size: side of its input, pixels.
        strides: of its layers, pixels.
        boxes, scores: its outputs.
        mean, std: of its input, after levels are brought to 0-1.
        score: below which nothing was found.
        overlap: of two boxes beyond which they are of the same thing.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    file: str
    size: int
    strides: tuple[int, ...]
    boxes: str
    scores: str
    mean: float = 0.0
    std: float = 1.0
    score: float = 0.5
    overlap: float = 0.3


@dataclass(frozen=True)
class Region:
    """The square that the second network sees.

    Attributes:
        start, end: points of the detector, of which the second is to lie above the first.
        around: the detector's ``box``, or the ``circle`` around the first point that the second lies on.
        scale: of the longer side.
        shift: down, as a share of the height, in the direction of the turned square.
        overlap: of two squares, not turned, beyond which only that of the less certain detection is looked into; 1: of none.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    start: int
    end: int
    around: Literal["box", "circle"]
    scale: float
    shift: float = 0.0
    overlap: float = 1.0


@dataclass(frozen=True)
class Points:
    """The second network.

    Attributes:
        file: among those of the weights.
        size: side of its input, pixels.
        places: its output with x, y, z, and perhaps visibility and presence, of each point; pixels of its input.
        present: its output that says how sure it is.
        first: its output with the probability of the first of two classes; none without classes.
        heat: its output ``[h, w, points]`` that says better where they are; none: there is no such map.
        kernel: cells around a point that count, in each direction.
        score: above which the thing is there.
        depth: what z is divided by.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    file: str
    size: int
    places: str
    present: str
    first: str = ""
    heat: str = ""
    kernel: int = 7
    score: float = 0.5
    depth: float = 1.0


@dataclass(frozen=True)
class Options:
    """What an entry says of both networks; ``most``: detections that are looked into."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    detector: Detector
    region: Region
    points: Points
    most: int = 1


def load(entry: ModelEntry, folder: Path, place: Placement) -> Network:
    """See ``Family.load``."""
    options, output = _options(entry), _output(entry)
    first, second = options.detector, options.points
    detect = _run(entry, folder, place, first.file, first.size, first.mean, first.std)
    look = _run(entry, folder, place, second.file, second.size, 0.0, 1.0)
    middles = anchors(first.size, first.strides)

    def predict(batch: NDArray[np.uint8]) -> Outputs:
        return {"landmarks": [of_image(image) for image in batch]}

    def of_image(rgb: Pixels) -> list[Row]:
        whole = around(*rgb.shape[:2])
        seen = detect(cut_out(rgb, whole, first.size, "black"))
        boxes, scores = (_array(entry, seen, name) for name in (first.boxes, first.scores))
        if len(boxes) != len(middles):
            raise ModelError(
                f"model '{entry.name}': {first.file} has {len(boxes)} anchors, and its size and strides make {len(middles)}"
            )
        found = detections(boxes, scores.reshape(-1), middles, first.size, first.score, first.overlap)
        rows = []
        for square in _squares(found[: options.most], whole, options.region):
            told = look(cut_out(rgb, square, second.size, "edge"))
            row = _row(entry, output, second, told, square, rgb.shape)
            rows += [row] if row else []
        return rows

    size = sum((folder / path).stat().st_size for path in entry.weights.files)
    return Network(_bounded, predict, None, size)


def reference(entry: ModelEntry, folder: Path) -> "Callable[[Image], Outputs]":
    """MediaPipe itself: its own graph over the files of its own package, of the entry's version."""
    from resources.models.mediapipe_graph import graph_of

    return graph_of(entry, _options(entry).most)


def _options(entry: ModelEntry) -> Options:
    try:
        return TypeAdapter(Options).validate_python(dict(entry.options))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ModelError(f"model '{entry.name}': options.{where}: {first['msg']}") from error


def _output(entry: ModelEntry) -> Landmarks:
    found = next((output for output in entry.outputs if isinstance(output, Landmarks)), None)
    if found is None:
        raise ModelError(f"model '{entry.name}': it needs an output `kind: landmarks` with a label for each point")
    return found


def _run(entry: ModelEntry, folder: Path, place: Placement, path: str, size: int, mean: float, std: float) -> Run:
    """One of the networks: ``uint8 [size, size, 3]`` -> its outputs by name, of one image."""
    if path not in entry.weights.files:
        raise ModelError(
            f"model '{entry.name}': its options name {path!r}, which is none of the files of its weights: "
            f"{', '.join(entry.weights.files)}"
        )
    how = Preprocessing(size, "squash", (mean,) * 3, (std,) * 3, layout="NHWC")
    loaded = interpreter(entry, folder / path, place.threads, how=how)
    return lambda pixels: {name: array[0] for name, array in loaded.run(normalised(pixels, how)[None]).items()}


def _array(entry: ModelEntry, found: dict[str, NDArray[np.float32]], name: str) -> NDArray[np.float32]:
    if name not in found:
        raise ModelError(f"model '{entry.name}': a file has no output '{name}'; it has: {', '.join(found)}")
    return found[name]


def _bounded(rgb: Pixels) -> Pixels:
    """The image, or where it is larger than ``LONGEST``, one of that size."""
    import cv2

    if 0 in rgb.shape:
        raise ValueError(f"an image must not be empty, got {list(rgb.shape)}")
    scale = LONGEST / max(rgb.shape[:2])
    if scale >= 1:
        return np.ascontiguousarray(rgb)
    height, width = (max(1, round(side * scale)) for side in rgb.shape[:2])
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _squares(found: Sequence[Detection], whole: Square, how: Region) -> list[Square]:
    """The squares to look into, in the order of their detections."""
    kept: list[Square] = []
    for one in found:
        points = whole.on_image(one.points)
        start, end = points[how.start], points[how.end]
        if how.around == "circle":
            middle, sides = start, (2 * float(np.hypot(*(end - start))),) * 2
        else:
            box = whole.on_image(np.asarray(one.box).reshape(2, 2))
            middle, sides = box.mean(axis=0), tuple(box[1] - box[0])
        square = along(start, end, middle, sides, how.shift, how.scale)
        if not square.side > 0:  # two points in one place have no direction, and nothing between them
            continue
        here = square.upright()
        kept = [other for other in kept if overlaps(here, other.upright()[None])[0] <= how.overlap]
        kept.append(square)
    return kept


def _row(
    entry: ModelEntry,
    output: Landmarks,
    how: Points,
    told: dict[str, NDArray[np.float32]],
    square: Square,
    shape: tuple[int, ...],
) -> Row | None:
    """What the second network says of a square; None where it says that nothing is there."""
    present = float(_array(entry, told, how.present).reshape(-1)[0])
    if not present > how.score:
        return None
    count, each = len(output.labels), 5 if output.visibility else 3
    numbers = _array(entry, told, how.places).reshape(-1)
    if numbers.size % each or numbers.size < count * each:
        raise ModelError(
            f"model '{entry.name}': {how.file} tells {numbers.size} numbers of its points, and {count} labels need {each} each"
        )
    points = numbers.reshape(-1, each)[:count].astype(np.float64)
    within = points[:, :2] / how.size
    if how.heat:
        within = _refined(within, _array(entry, told, how.heat), how.kernel)
    height, width = shape[:2]
    places = square.on_image(within) / (width, height)
    depth = points[:, 2:3] / how.size / how.depth * square.side / width
    seen = [activated(points[:, 3:4].astype(np.float32), "sigmoid")] if output.visibility else []
    index, sure = 0, 1.0
    if output.classes:
        of_first = float(_array(entry, told, how.first).reshape(-1)[0])
        index, sure = (0, of_first) if of_first >= 0.5 else (1, 1 - of_first)
    (left, top), (right, bottom) = (np.clip(edge(places, axis=0), 0, 1).tolist() for edge in (np.min, np.max))
    each_point = np.concatenate([places, depth, *seen], axis=1).reshape(-1).tolist()
    return (float(index), sure, present, left, top, right - left, bottom - top, *each_point)


def _refined(points: NDArray[np.float64], heat: NDArray[np.float32], kernel: int) -> NDArray[np.float64]:
    """``[N, 2]``: x, y as shares of the square, moved to the middle of what the map around them says, where it is sure.

    Args:
        points: of which the n-th has the n-th map.
        heat: ``[h, w, at least N]``, before the sigmoid.
        kernel: side of what counts around a point, cells.
    """
    height, width = heat.shape[:2]
    refined, reach = points.copy(), (kernel - 1) // 2
    for k, (x, y) in enumerate(points * (width, height)):
        column, row = int(x), int(y)
        if not (0 <= column < width and 0 <= row < height):
            continue
        left, top = max(0, column - reach), max(0, row - reach)
        near = activated(heat[top : row + reach + 1, left : column + reach + 1, k], "sigmoid").astype(np.float64)
        if near.max() >= SURE:
            down, across = np.mgrid[top : top + near.shape[0], left : left + near.shape[1]]
            refined[k] = (near * across).sum() / near.sum() / width, (near * down).sum() / near.sum() / height
    return refined
