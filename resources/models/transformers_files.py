"""Models and image processors of the library transformers, from pinned files of one folder.

Belongs here: what the families of transformers share. Does not belong here: which class it is, and what its outputs are
(``families``), and which code of a repository is run (``resources.repository_code``): none, unless an entry declares it.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resources.models.entry import ModelEntry, ModelError
from resources.models.network import Network, Placement
from resources.models.torch_network import network_of_levels, torch_network
from resources.repository_code import RepositoryCodeError, with_pinned_code

if TYPE_CHECKING:
    import torch


def from_files(entry: ModelEntry, folder: Path, auto_class: Any) -> Any:
    """A model in float32 and evaluation mode; tensors are renamed as transformers does.

    Raises:
        ModelError: a file is missing, it is a pickle, it needs code that is not declared or not pinned, or it is of another kind.
    """
    require(entry, "config.json")
    if not any(path.endswith(".safetensors") for path in entry.weights.files):
        raise ModelError(
            f"model '{entry.name}': none of its files is safetensors, and a pickle may run code; use a revision with "
            "model.safetensors, or convert it"
        )
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if "auto_map" in config and not entry.trust_remote_code:
        raise ModelError(
            f"model '{entry.name}': {entry.public_name} needs code of its own, which is not run unless the entry says "
            "`trust_remote_code: true` and pins its files; better, use a conversion to ONNX or to a class of transformers"
        )
    try:
        import torch

        return auto_class.from_pretrained(
            folder, **trusted(entry), local_files_only=True, use_safetensors=True, dtype=torch.float32
        ).eval()
    except _of_loading(entry) as error:
        said = " ".join(str(error).split())[:300]
        raise ModelError(f"model '{entry.name}': {auto_class.__name__} cannot load it: {said}") from error


def folder_of(entry: ModelEntry, folder: Path) -> Path:
    """The folder that transformers is given: where an entry declares code, one in which only its pinned files are.

    Raises:
        ModelError: code that is not pinned would run, or it is not what is pinned.
    """
    if not entry.trust_remote_code:
        return folder
    entry.require_pinned()
    code = entry.code
    try:
        return with_pinned_code(folder, [path for path in entry.weights.files if path not in code], code)
    except RepositoryCodeError as error:
        raise ModelError(f"model '{entry.name}': trust_remote_code: {error}") from error


def trusted(entry: ModelEntry) -> dict[str, bool]:
    """What says to transformers whether it may run the code of a folder (``folder_of``)."""
    return {"trust_remote_code": entry.trust_remote_code}


def _of_loading(entry: ModelEntry) -> tuple[type[Exception], ...]:
    """What may be raised where a model is loaded: by code of a repository, anything."""
    return (Exception,) if entry.trust_remote_code else (OSError, ValueError, KeyError, RuntimeError)


def processor_of(entry: ModelEntry, folder: Path) -> Any:
    """The image processor that the repository configures.

    Raises:
        ModelError: ``preprocessor_config.json`` is not among the pinned files, or names no known processor.
    """
    from transformers import AutoImageProcessor

    require(entry, "preprocessor_config.json")
    try:
        return AutoImageProcessor.from_pretrained(folder, **trusted(entry), local_files_only=True)
    except _of_loading(entry) as error:
        said = " ".join(str(error).split())[:300]
        raise ModelError(f"model '{entry.name}': its image processor cannot be made: {said}") from error


def processed(processor: Any, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """``uint8 [H, W, 3]`` RGB -> ``float32 [3, h, w]`` by the processor itself."""
    from PIL import Image

    found = processor(images=Image.fromarray(rgb), return_tensors="pt")["pixel_values"][0]
    return np.ascontiguousarray(found.numpy(), np.float32)


def processor_network(
    module: "torch.nn.Module",
    forward: "Callable[[Any, torch.Tensor], dict[str, torch.Tensor]]",
    place: Placement,
    processor: Any,
) -> Network:
    """A network whose inputs a processor prepares; a GPU gets levels, where the processor makes its values of levels.

    Args:
        module, forward, place: see ``torch_network``.
        processor: of images, which all become of one size.
    """
    shape = processed(processor, np.zeros((8, 8, 3), np.uint8)).shape
    if place.device.startswith("cuda") and has_levels(processor):
        high_wide = (*shape[1:], 3)
        return network_of_levels(
            module, forward, place, lambda rgb: levels(processor, rgb), high_wide, values_of(processor)
        )
    return torch_network(module, forward, place, lambda rgb: processed(processor, rgb), shape)


def has_levels(processor: Any) -> bool:
    """Whether a processor resizes and crops levels, and scales and normalises them after that, as most of transformers do."""
    from transformers.image_processing_backends import TorchvisionBackend

    own, steps = type(processor), ("_preprocess", "rescale_and_normalize", "preprocess", "process_image")
    plain = isinstance(processor, TorchvisionBackend) and all(
        getattr(own, step) is getattr(TorchvisionBackend, step) for step in steps
    )
    return plain and not getattr(processor, "do_pad", False)


def levels(processor: Any, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``uint8 [H, W, 3]`` RGB -> ``uint8 [h, w, 3]``: what the processor then scales and normalises."""
    import cv2
    import torch

    planes = np.empty((3, *rgb.shape[:2]), np.uint8)
    for channel in range(3):
        cv2.extractChannel(rgb, channel, planes[channel])
    given = torch.from_numpy(planes)
    found = processor(images=given, return_tensors="pt", do_rescale=False, do_normalize=False)["pixel_values"][0]
    return np.ascontiguousarray(found.numpy().transpose(1, 2, 0))


def values_of(processor: Any) -> NDArray[np.float32]:
    """``float32 [3, 256]``: what the processor makes of each level of each channel."""
    import torch

    every = torch.arange(256, dtype=torch.uint8).expand(3, 1, 256)
    found = processor(images=every, return_tensors="pt", do_resize=False, do_center_crop=False)["pixel_values"][0]
    return np.ascontiguousarray(found[:, 0].numpy(), np.float32)


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
