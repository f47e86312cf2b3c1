"""The ``blazeface`` family: faces, by the detectors of Google's MediaPipe in their TensorFlow Lite files, run by OpenCV.

Belongs here: anchors, and from the file's outputs to boxes. Does not belong here: borders and overlaps (``placed.py``).

The array is ``boxes``: for each image a list of boxes in shares of it, with the only label 0. ``options``: ``stride`` and
``anchors`` of the grid (the full-range model: 4 and 1), ``outputs``: the layers with boxes and scores, ``score`` below which a
box is not kept (0.3), ``overlap`` beyond which only the better box is kept (0.3).
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resources.models.entry import ModelEntry, ModelError
from resources.models.network import Network, Outputs, Placement
from resources.models.output_values import activated
from resources.models.placed import Box, distinct, in_image, placed

if TYPE_CHECKING:
    from PIL.Image import Image

VERSION = "1"
ENGINES = ("opencv",)
FILES = ("*.tflite",)
SCORE, OVERLAP = 0.3, 0.3


def load(entry: ModelEntry, folder: Path, place: Placement) -> Network:
    """See ``Family.load``. OpenCV computes on the CPU, whatever the device."""
    import cv2

    how = entry.preprocessing
    if how is None or how.layout != "NCHW":
        raise ModelError(f"model '{entry.name}': its file says nothing of its input; state `preprocessing`, NCHW")
    file = folder / entry.file(".tflite")
    try:
        # the newer engine gives one output at a time, and computes all others again for it
        net = cv2.dnn.readNetFromTFLite(str(file), cv2.dnn.ENGINE_CLASSIC)
    except cv2.error as error:
        raise ModelError(f"model '{entry.name}': OpenCV cannot load {file.name}: {error}") from error
    layers, one_at_a_time = list(entry.options["outputs"]), threading.Lock()
    anchors = _anchors(entry, how.height_width[0])

    def predict(batch: NDArray[Any]) -> Outputs:
        found = []
        for pixels, area in zip(batch["pixels"], batch["area"], strict=True):
            with one_at_a_time:
                net.setInput(np.ascontiguousarray(pixels)[None])
                raw, scores = net.forward(layers)
            found.append(_boxes(entry, raw[0], scores.reshape(-1), anchors, area, how.height_width[0]))
        return {"boxes": found}

    return Network(lambda rgb: placed(rgb, how), predict, (), file.stat().st_size, device="cpu")


def reference(entry: ModelEntry, folder: Path) -> "Callable[[Image], Outputs]":
    """LiteRT, TensorFlow's own runtime, over the same file; an extra, which must be installed to be compared with."""
    try:
        from ai_edge_litert import interpreter as runtime
    except ImportError as error:
        raise ModelError(f"model '{entry.name}' is compared with LiteRT: `pip install 'arot[litert]'`") from error
    from PIL import Image as pillow

    how = entry.preprocessing
    assert how is not None, "an entry that loads states its preprocessing"
    interpreter = runtime.Interpreter(model_path=str(folder / entry.file(".tflite")))
    interpreter.allocate_tensors()
    given, told = interpreter.get_input_details()[0], interpreter.get_output_details()
    side, cells = how.height_width[0], how.height_width[0] // int(entry.options["stride"])
    lowest, overlap = (float(entry.options.get(k, d)) for k, d in (("score", SCORE), ("overlap", OVERLAP)))

    def run(picture: "Image") -> Outputs:
        import cv2

        scale = side / max(picture.size)
        wide, high = (max(1, int(length * scale)) for length in picture.size)
        left, top = (side - wide) // 2, (side - high) // 2
        canvas = pillow.new("RGB", (side, side))
        canvas.paste(picture.resize((wide, high), pillow.Resampling.BILINEAR), (left, top))
        interpreter.set_tensor(given["index"], (np.asarray(canvas, np.float32) / 127.5 - 1)[None])
        interpreter.invoke()
        raw, scores = (interpreter.get_tensor(one["index"])[0] for one in told)
        places, sure = [], []
        for k, (row, score) in enumerate(zip(raw.tolist(), scores.reshape(-1).tolist(), strict=True)):
            cell = k // int(entry.options["anchors"])
            x = row[0] + (cell % cells + 0.5) / cells * side
            y = row[1] + (cell // cells + 0.5) / cells * side
            places.append([x - row[2] / 2, y - row[3] / 2, row[2], row[3]])
            sure.append(1 / (1 + np.exp(-min(max(score, -80.0), 80.0))))
        found = []
        for k in np.asarray(cv2.dnn.NMSBoxes(places, sure, lowest, overlap)).reshape(-1):
            x, y, w, h = places[k]
            x0, x1 = (min(max((edge - left) / wide, 0.0), 1.0) for edge in (x, x + w))
            y0, y1 = (min(max((edge - top) / high, 0.0), 1.0) for edge in (y, y + h))
            found.append((0, float(sure[k]), x0, y0, x1 - x0, y1 - y0))
        return {"boxes": [found]}

    return run


def _anchors(entry: ModelEntry, side: int) -> NDArray[np.float32]:
    """``[anchors, 2]``: x, y of the middles, as shares of the canvas."""
    cells = side // int(entry.options["stride"])
    middles = (np.arange(cells, dtype=np.float32) + np.float32(0.5)) / cells
    grid = np.stack(np.meshgrid(middles, middles), axis=-1).reshape(-1, 2)
    return np.repeat(grid, int(entry.options["anchors"]), axis=0)


def _boxes(
    entry: ModelEntry,
    raw: NDArray[np.float32],
    scores: NDArray[np.float32],
    anchors: NDArray[np.float32],
    area: NDArray[np.float32],
    side: int,
) -> list[Box]:
    """The boxes of one image."""
    if len(raw) != len(anchors):
        raise ModelError(
            f"model '{entry.name}': its file has {len(raw)} anchors, and options.stride and options.anchors make {len(anchors)}"
        )
    sure = activated(scores, "sigmoid")
    kept = np.flatnonzero(sure >= float(entry.options.get("score", SCORE)))
    if not len(kept) or not area[2]:  # the rows that fill up a batch have no area
        return []
    middle, size = raw[kept, :2] / side + anchors[kept], raw[kept, 2:4] / side
    places = np.concatenate([middle - size / 2, size], axis=1)
    labels = np.zeros(len(kept), np.int64)
    return in_image(distinct(places, sure[kept], labels, float(entry.options.get("overlap", OVERLAP))), area)
