"""The ``movenet`` family: the joints of one person, by Google's MoveNet in its TensorFlow Lite files.

Belongs here: from the file's output to points of the image. Does not belong here: interpreters (``tflite.py``), borders
(``placed.py``).

The output is ``[1, 1, joints, 3]``: y, x as shares of the canvas, and how sure the model is. The array is ``keypoints``: for each
image a list of ``(label index, score, x, y)``, x and y as shares of the image. All joints are there, whatever their score: where
nobody is in the picture, they are a guess of low score. A joint that is placed on the canvas beside the image has a share below 0
or above 1. The preprocessing is a ``letterbox`` (TensorFlow's ``resize_with_pad``), NHWC.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resources.models.entry import ModelEntry, ModelError
from resources.models.families.tflite import interpreter, preprocessing_of
from resources.models.network import Network, Outputs, Placement
from resources.models.outputs import Keypoints
from resources.models.placed import Point, on_image, placed

if TYPE_CHECKING:
    from PIL.Image import Image

VERSION = "1"
ENGINES = ("litert",)
FILES = ("*.tflite",)


def load(entry: ModelEntry, folder: Path, place: Placement) -> Network:
    """See ``Family.load``."""
    how = preprocessing_of(entry)
    file = folder / entry.file(".tflite")
    loaded = interpreter(entry, file, place.threads)

    def predict(batch: NDArray[Any]) -> Outputs:
        (found,) = loaded.run(np.ascontiguousarray(batch["pixels"])).values()
        return {"keypoints": [_points(entry, found, area) for area in batch["area"]]}

    return Network(lambda rgb: placed(rgb, how), predict, (), file.stat().st_size, batch=1, device="cpu")


def reference(entry: ModelEntry, folder: Path) -> "Callable[[Image], Outputs]":
    """The published way in Pillow, with its antialiased resize in place of TensorFlow's, and LiteRT's plain kernels."""
    from PIL import Image as pillow

    how = preprocessing_of(entry)
    run = interpreter(entry, folder / entry.file(".tflite"), 1, plain=True).run
    side = how.height_width[0]

    def joints(picture: "Image") -> Outputs:
        scale = side / max(picture.size)
        wide, high = (max(1, int(length * scale)) for length in picture.size)
        left, top = (side - wide) // 2, (side - high) // 2
        canvas = pillow.new("RGB", (side, side), how.colour)
        canvas.paste(picture.resize((wide, high), getattr(pillow.Resampling, how.interpolation.upper())), (left, top))
        (found,) = run(np.asarray(canvas, how.dtype)[None]).values()
        rows = enumerate(found.reshape(-1, 3).tolist())
        return {
            "keypoints": [[(k, score, (x * side - left) / wide, (y * side - top) / high) for k, (y, x, score) in rows]]
        }

    return joints


def _points(entry: ModelEntry, found: NDArray[np.float32], area: NDArray[np.float32]) -> list[Point]:
    """``[1, 1, joints, 3]`` -> the joints of an image."""
    labels = next((len(o.labels) for o in entry.outputs if isinstance(o, Keypoints)), None)
    if found.size != (labels or 0) * 3:
        raise ModelError(
            f"model '{entry.name}': it needs an output `kind: keypoints` with a label for each joint of its file, which returns "
            f"{list(found.shape)}"
        )
    rows = enumerate(found.reshape(-1, 3).tolist())
    return on_image([(k, score, x, y) for k, (y, x, score) in rows], area)
