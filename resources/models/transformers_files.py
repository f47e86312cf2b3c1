"""Models and image processors of the library transformers, from pinned files of one folder.

Belongs here: what the families of transformers share. Does not belong here: which class it is, and what its outputs are
(``families``). Code that a repository ships is never run.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resources.models.entry import ModelEntry, ModelError


def from_files(entry: ModelEntry, folder: Path, auto_class: Any) -> Any:
    """A model in float32 and evaluation mode; tensors are renamed as transformers does.

    Raises:
        ModelError: a file is missing, it is a pickle, it needs code of its repository, or it is of another kind.
    """
    require(entry, "config.json")
    if not any(path.endswith(".safetensors") for path in entry.weights.files):
        raise ModelError(
            f"model '{entry.name}': none of its files is safetensors, and a pickle may run code; use a revision with "
            "model.safetensors, or convert it"
        )
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if "auto_map" in config:
        raise ModelError(
            f"model '{entry.name}': {entry.public_name} needs code of its own (trust_remote_code), which is not run; use a "
            "conversion to ONNX or to a class of transformers"
        )
    try:
        import torch

        return auto_class.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
        ).eval()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        said = " ".join(str(error).split())[:300]
        raise ModelError(f"model '{entry.name}': {auto_class.__name__} cannot load it: {said}") from error


def processor_of(entry: ModelEntry, folder: Path) -> Any:
    """The image processor that the repository configures.

    Raises:
        ModelError: ``preprocessor_config.json`` is not among the pinned files, or names no known processor.
    """
    from transformers import AutoImageProcessor

    require(entry, "preprocessor_config.json")
    try:
        return AutoImageProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        said = " ".join(str(error).split())[:300]
        raise ModelError(f"model '{entry.name}': its image processor cannot be made: {said}") from error


def processed(processor: Any, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """``uint8 [H, W, 3]`` RGB -> ``float32 [3, h, w]`` by the processor itself."""
    from PIL import Image

    found = processor(images=Image.fromarray(rgb), return_tensors="pt")["pixel_values"][0]
    return np.ascontiguousarray(found.numpy(), np.float32)


def require(entry: ModelEntry, file: str) -> None:
    """Refuse an entry that does not pin a file which its family reads.

    Raises:
        ModelError: the file is not among those of the weights.
    """
    if file not in entry.weights.files:
        raise ModelError(
            f"model '{entry.name}': {file} is not among the files of its weights, and the family {entry.family} reads it; "
            f"`arot models pin {entry.name}` adds it"
        )
