"""The ``transformers_image`` family: image classification and regression by ``AutoModelForImageClassification``.

Belongs here: loading model and processor from pinned files. Does not belong here: numbers of the preprocessing: they are never
copied by hand, the processor reads them from ``preprocessor_config.json``, whose hash is part of the entry.

The array is ``logits``. Labels are the entry's, and must be those of ``config.json``, in its order.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resources.models.entry import ModelEntry, ModelError
from resources.models.network import Network, Outputs, Placement
from resources.models.outputs import Ordinal, Probabilities
from resources.models.transformers_files import folder_of, from_files, processor_network, processor_of, trusted

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

VERSION = "1"
ENGINES = ("torch",)
FILES = ("config.json", "preprocessor_config.json", "model.safetensors")


def load(entry: ModelEntry, folder: Path, place: Placement) -> Network:
    """See ``Family.load``."""
    from transformers import AutoModelForImageClassification

    folder = folder_of(entry, folder)
    module = from_files(entry, folder, AutoModelForImageClassification)
    _same_labels(entry, {int(index): str(label) for index, label in module.config.id2label.items()})
    return processor_network(module, _forward, place, processor_of(entry, folder))


def reference(entry: ModelEntry, folder: Path) -> "Callable[[Image], Outputs]":
    """``AutoImageProcessor`` and the model as a model card calls them."""
    import torch
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    folder, code = folder_of(entry, folder), trusted(entry)
    processor = AutoImageProcessor.from_pretrained(folder, **code)
    model = AutoModelForImageClassification.from_pretrained(folder, **code).eval()

    def run(picture: "Image") -> Outputs:
        with torch.inference_mode():
            return {"logits": model(**processor(images=picture, return_tensors="pt")).logits.numpy()}

    return run


def _forward(model: Any, batch: "torch.Tensor") -> "dict[str, torch.Tensor]":
    return {"logits": model(pixel_values=batch).logits}


def _same_labels(entry: ModelEntry, known: Mapping[int, str]) -> None:
    """Refuse labels in another order than the model's: each column would hold another class."""
    theirs = [known[index] for index in sorted(known)]
    for output in entry.outputs:
        if isinstance(output, Probabilities | Ordinal) and output.of == "logits" and list(output.labels) != theirs:
            raise ModelError(
                f"model '{entry.name}': the labels of '{output.name}' are {list(output.labels)}, and its config.json has "
                f"{theirs}, in this order"
            )
