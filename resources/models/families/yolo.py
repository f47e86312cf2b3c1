"""The ``yolo`` family: objects in an image, by a detector whose ONNX file answers as Ultralytics' YOLOv8 does.

Belongs here: from the file's output to boxes. Does not belong here: sessions (``onnx.py``), borders and overlaps (``placed.py``).

The output is ``[N, 4 + labels, anchors]``: middle, width and height in pixels of the canvas, then a probability of each label,
without any suppression of overlaps. The array is ``boxes``: for each image a list of boxes in shares of it. ``options``:
``score`` below which a box is not kept, far below any threshold (0.25); ``overlap`` beyond which only the better of two boxes is
kept (0.45).
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resources.models.entry import ModelEntry, ModelError, Preprocessing
from resources.models.families.onnx import session
from resources.models.network import Network, Outputs, Placement
from resources.models.outputs import Boxes
from resources.models.placed import Box, distinct, in_image, placed

if TYPE_CHECKING:
    from PIL.Image import Image

VERSION = "1"
ENGINES = ("onnxruntime",)
FILES = ("*.onnx",)
SCORE, OVERLAP = 0.25, 0.45


def load(entry: ModelEntry, folder: Path, place: Placement) -> Network:
    """See ``Family.load``."""
    how = entry.preprocessing
    if how is None or how.layout != "NCHW":
        raise ModelError(
            f"model '{entry.name}': a detector's file says nothing of its input; state `preprocessing`, NCHW"
        )
    file = folder / entry.file(".onnx")
    loaded = session(entry, file, place)

    def predict(batch: NDArray[Any]) -> Outputs:
        found = next(iter(loaded.run(np.ascontiguousarray(batch["pixels"])).values()))
        _fits(entry, found)
        return {"boxes": [_boxes(entry, how, one, area) for one, area in zip(found, batch["area"], strict=True)]}

    size, batch = file.stat().st_size, loaded.batch
    return Network(lambda rgb: placed(rgb, how), predict, (), size, batch=batch, device=loaded.device)


def reference(entry: ModelEntry, folder: Path) -> "Callable[[Image], Outputs]":
    """Pillow, a plain session without optimizations, and OpenCV's suppression of overlaps."""
    import cv2
    import onnxruntime
    from PIL import Image as pillow

    how = entry.preprocessing
    assert how is not None, "an entry that loads states its preprocessing"
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    runtime = onnxruntime.InferenceSession(str(folder / entry.file(".onnx")), options)
    side = how.height_width[0]
    score, overlap = (float(entry.options.get(k, d)) for k, d in (("score", SCORE), ("overlap", OVERLAP)))

    def run(picture: "Image") -> Outputs:
        scale = side / max(picture.size)
        wide, high = (max(1, int(length * scale)) for length in picture.size)
        canvas = pillow.new("RGB", (side, side), how.colour)
        canvas.paste(picture.resize((wide, high), getattr(pillow.Resampling, how.interpolation.upper())), (0, 0))
        tensor = (np.asarray(canvas, np.float32) / 255).transpose(2, 0, 1)[None]
        rows = runtime.run(None, {runtime.get_inputs()[0].name: tensor})[0][0].T
        places = [[x - w / 2, y - h / 2, w, h] for x, y, w, h in rows[:, :4].tolist()]
        kept = cv2.dnn.NMSBoxes(places, rows[:, 4:].max(1).tolist(), score, overlap)
        found = []
        for k in np.asarray(kept).reshape(-1):
            x, y, w, h = places[k]
            left, top, right, bottom = max(x, 0.0), max(y, 0.0), min(x + w, wide), min(y + h, high)
            label = int(rows[k, 4:].argmax())
            shares = (left / wide, top / high, (right - left) / wide, (bottom - top) / high)
            found.append((label, float(rows[k, 4 + label]), *shares))
        return {"boxes": [found]}

    return run


def _boxes(entry: ModelEntry, how: Preprocessing, found: NDArray[np.float32], area: NDArray[np.float32]) -> list[Box]:
    """``[4 + labels, anchors]`` of one image -> its boxes."""
    height, width = how.height_width
    best = found[4:].max(0)
    kept = np.flatnonzero(best >= float(entry.options.get("score", SCORE)))
    if not len(kept) or not area[2]:  # the rows that fill up a batch have no area
        return []
    x, y, w, h = found[:4, kept] / np.array([width, height, width, height], np.float32)[:, None]
    places = np.stack([x - w / 2, y - h / 2, w, h], axis=1)
    overlap = float(entry.options.get("overlap", OVERLAP))
    return in_image(distinct(places, best[kept], found[4:, kept].argmax(0), overlap), area)


def _fits(entry: ModelEntry, found: NDArray[np.float32]) -> None:
    """Hold the entry's labels to what the file returns."""
    for output in entry.outputs:
        if isinstance(output, Boxes) and (found.ndim != 3 or found.shape[1] != 4 + len(output.labels)):
            raise ModelError(
                f"model '{entry.name}': output {output.name!r} has {len(output.labels)} labels, so that its file must return [N, "
                f"{4 + len(output.labels)}, anchors], and it returns {list(found.shape)}"
            )
