"""The ``depth`` family: relative inverse depth by ``AutoModelForDepthEstimation`` (MiDaS/DPT, Depth Anything).

Belongs here: loading model and processor from pinned files. Does not belong here: what is kept of the map (``outputs.py``).

The array is ``map``: ``[N, h, w]``, larger is nearer, scaled so that the nearest point of an image is 1 and the farthest 0: the
models' own scale means nothing across images. Where the processor keeps the aspect, an image is a batch of its own.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resources.models.entry import ModelEntry
from resources.models.network import Network, Outputs, Placement
from resources.models.torch_network import torch_network
from resources.models.transformers_files import folder_of, from_files, processed, processor_of, trusted

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

VERSION = "1"
ENGINES = ("torch",)
FILES = ("config.json", "preprocessor_config.json", "model.safetensors")


def load(entry: ModelEntry, folder: Path, place: Placement) -> Network:
    """See ``Family.load``."""
    from transformers import AutoModelForDepthEstimation

    folder = folder_of(entry, folder)
    module = from_files(entry, folder, AutoModelForDepthEstimation)
    processor = processor_of(entry, folder)

    def prepare(rgb: NDArray[np.uint8]) -> NDArray[Any]:
        return processed(processor, rgb)

    wide, square = (processed(processor, np.zeros((side, 64, 3), np.uint8)).shape for side in (32, 64))
    return torch_network(module, _forward, place, prepare, square if wide == square else None)


def reference(entry: ModelEntry, folder: Path) -> "Callable[[Image], Outputs]":
    """``AutoImageProcessor`` and the model as a model card calls them, the depth scaled to 0-1 by NumPy."""
    import torch
    from transformers import AutoImageProcessor, AutoModelForDepthEstimation

    folder, code = folder_of(entry, folder), trusted(entry)
    processor = AutoImageProcessor.from_pretrained(folder, **code)
    model = AutoModelForDepthEstimation.from_pretrained(folder, **code).eval()

    def run(picture: "Image") -> Outputs:
        with torch.inference_mode():
            depth = model(**processor(images=picture, return_tensors="pt")).predicted_depth.numpy()
        span = np.ptp(depth)
        return {"map": (depth - depth.min()) / span if span else np.zeros_like(depth)}

    return run


def _forward(model: Any, batch: "torch.Tensor") -> "dict[str, torch.Tensor]":
    depth = model(pixel_values=batch).predicted_depth.float()
    low, high = depth.amin((1, 2), keepdim=True), depth.amax((1, 2), keepdim=True)
    return {"map": (depth - low) / (high - low).clamp_min(1e-12)}
