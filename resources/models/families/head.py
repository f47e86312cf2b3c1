"""The ``head`` family: a small network over a stored embedding, which needs no pixels.

Belongs here: linear heads and stacks of linear layers, from one file of tensors. Does not belong here: the rows that they are
applied to (``arot_assets.metrics.rows``) and training one (``classifiers``).

The layers are the file's two-dimensional tensors, in its order, each with its bias. ``options.normalise`` divides the vector by
its L2 norm first (a vector of zeros stays zeros), ``options.activation`` (``none``, ``relu``, ``gelu``) comes between layers. The
array is ``logits [N, C]``. Heads run in float32 by NumPy: they are small, and every machine gives the same numbers.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resources.models.entry import ModelEntry, ModelError
from resources.models.network import Network, Outputs, Place

if TYPE_CHECKING:
    from PIL.Image import Image

VERSION = "1"
ENGINES = ("numpy",)
FILES = ("*.safetensors", "*.json")
Layer = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Weight ``[out, in]`` and bias ``[out]``."""


def load(entry: ModelEntry, folder: Path, place: Place) -> Network:
    """See ``Family.load``."""
    layers = head_layers(entry, folder)
    between = _activation(entry)
    normalise = bool(entry.options.get("normalise", False))

    def predict(vectors: NDArray[Any]) -> Outputs:
        found = np.asarray(vectors, np.float32)
        if normalise:
            found = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
        for position, (weight, bias) in enumerate(layers):
            found = found @ weight.T + bias
            if position + 1 < len(layers):
                found = between(found)
        return {"logits": found}

    def prepare(rgb: NDArray[np.uint8]) -> NDArray[Any]:
        raise ModelError(f"model '{entry.name}' is computed from {entry.takes}, not from images")

    size = sum(weight.nbytes + bias.nbytes for weight, bias in layers)
    return Network(prepare, predict, (layers[0][0].shape[1],), size)


def head_layers(entry: ModelEntry, folder: Path) -> list[Layer]:
    """The layers of a head, first to last: for those who fold several heads into one.

    Raises:
        ModelError: the file's tensors are no stack of linear layers.
    """
    from resources.models.torch_network import read_tensors

    tensors = {name: t.float().numpy() for name, t in read_tensors(entry, folder / entry.file()).items()}
    layers: list[Layer] = []
    for name, weight in tensors.items():
        if weight.ndim != 2:
            continue
        bias = tensors.get(name.removesuffix("weight") + "bias", np.zeros(weight.shape[0], np.float32))
        if layers and layers[-1][0].shape[0] != weight.shape[1]:
            raise ModelError(
                f"model '{entry.name}': layer '{name}' takes {weight.shape[1]} numbers, and the one before it gives "
                f"{layers[-1][0].shape[0]}: no stack of linear layers"
            )
        layers.append((np.ascontiguousarray(weight), bias.reshape(-1)))
    if not layers:
        raise ModelError(f"model '{entry.name}': {entry.file()} has no linear layer; it has: {', '.join(tensors)}")
    return layers


def reference(entry: ModelEntry, folder: Path) -> "Callable[[Image], Outputs]":
    """There is none over images.

    Raises:
        ModelError: always; a head is compared with torch over vectors.
    """
    raise ModelError(f"model '{entry.name}' takes {entry.takes}: verify the model that makes it; a head sees no images")


def _activation(entry: ModelEntry) -> "Callable[[NDArray[np.float32]], NDArray[np.float32]]":
    known: Mapping[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
        "none": lambda x: x,
        "relu": lambda x: np.maximum(x, 0),
        "gelu": _gelu,
    }
    name = str(entry.options.get("activation", "none"))
    if name not in known:
        raise ModelError(f"model '{entry.name}': activation {name!r} is not known; there are: {', '.join(known)}")
    return known[name]


def _gelu(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """The exact form, as ``torch.nn.GELU()``."""
    import torch

    return torch.nn.functional.gelu(torch.from_numpy(np.ascontiguousarray(x))).numpy()
