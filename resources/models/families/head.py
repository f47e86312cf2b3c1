"""The ``head`` family: a small stack of linear layers over a stored vector. It sees no pixels.

Belongs here: reading a head from its file, and torch's own layers to compare with. Does not belong here: computing many heads in
one pass (``resources.models.heads``), the table of vectors (``entry.takes``).

The file has tensors ``….weight`` ``[out, in]`` and, where there are any, ``….bias`` ``[out]``; layers are taken in the order of
the numbers in their names. ``….weight`` ``[out]`` and its bias are a layer norm of the linear layer before it. ``options``:
``normalise`` divides the vector by its L2 norm first; ``activation`` stands between layers, or ``activations`` lists one for
each layer. ``trained_on`` is the ``metric_version`` of the vectors that the head was trained on: rows of another version fail.
Dropout has no weights and does nothing when scoring; other layers are refused. Array: ``logits``.
"""

import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from resources.models.entry import ModelEntry, ModelError
from resources.models.heads import Activation, Head, Heads, Layer, activations
from resources.models.network import Network, Outputs, Placement
from resources.models.torch_network import read_tensors

if TYPE_CHECKING:
    from PIL.Image import Image

VERSION = "1"
ENGINES = ("torch",)
FILES = ("*.safetensors", "*.pth")
_OPTIONS = ("normalise", "activation", "activations", "file", "trained_on")


def load(entry: ModelEntry, folder: Path, place: Placement) -> Network:
    """See ``Family.load``: one head alone, whose input is the vector."""
    head = read_head(entry, folder)
    heads = Heads({entry.name: head}, place.device, place.precision, place.threads)
    size = sum(
        layer.weight.nbytes + layer.bias.nbytes + 2 * layer.bias.nbytes * bool(layer.norm) for layer in head.layers
    )

    def no_pixels(_: Any) -> Any:
        raise ModelError(f"model '{entry.name}' is a head over {entry.takes}: it sees no image")

    return Network(
        prepare=no_pixels,
        predict=lambda vectors: {"logits": heads.predict(vectors)[entry.name]},
        input_shape=(head.dimensions,),
        bytes=size,
        precision=heads.precision(entry.name),
    )


def read_head(entry: ModelEntry, folder: Path) -> Head:
    """A head from its file.

    Raises:
        ModelError: its tensors are no stack of linear layers, or its options are wrong.
    """
    tensors = {name: t.float().numpy() for name, t in read_tensors(entry, folder / entry.file()).items()}
    unknown = sorted(set(entry.options) - set(_OPTIONS))
    if unknown:
        raise ModelError(f"model '{entry.name}': options {unknown}; a head has: {', '.join(_OPTIONS)}")
    found = sorted((n for n in tensors if n.split(".")[-1] == "weight"), key=_in_order)
    names = [n for n in found if tensors[n].ndim == 2]
    norms = {before: n for before, n in pairwise(found) if tensors[n].ndim == 1 and tensors[before].ndim == 2}
    known = {*names, *norms.values()}
    strange = sorted(set(tensors) - known - {_bias(name) for name in known})
    strange += [
        n for before, n in norms.items() if tensors[n].shape != tensors[before].shape[:1] or _bias(n) not in tensors
    ]
    if strange or not names:
        shown = ", ".join(f"{n} {list(tensors[n].shape)}" for n in strange[:5]) or "no tensor '….weight'"
        raise ModelError(f"model '{entry.name}': its file is no stack of linear layers: {shown}")
    layers = [
        Layer(
            tensors[name],
            tensors.get(_bias(name), np.zeros(len(tensors[name]), np.float32)),
            activation,
            (tensors[norms[name]], tensors[_bias(norms[name])]) if name in norms else None,
        )
        for name, activation in zip(names, _activations(entry, len(names)), strict=True)
    ]
    for (name, before), (other, after) in pairwise(zip(names, layers, strict=True)):
        if before.weight.shape[0] != after.weight.shape[1]:
            raise ModelError(
                f"model '{entry.name}': {name} gives {before.weight.shape[0]} numbers, and {other} takes {after.weight.shape[1]}"
            )
    return Head(tuple(layers), bool(entry.options.get("normalise", False)))


def reference(entry: ModelEntry, folder: Path) -> "Callable[[Image], Outputs]":
    """A head has no pipeline for images: ``reference_of_vectors`` is what it is compared with."""
    raise ModelError(
        f"model '{entry.name}' is a head over {entry.takes}: it sees no image, and {folder} has no pipeline for one"
    )


def reference_of_vectors(entry: ModelEntry, folder: Path) -> "Callable[[Any], Any]":
    """torch's own layers, nothing folded or stacked: ``float32 [N, D]`` -> ``float32 [N, K]``."""
    import torch
    from torch import nn

    head = read_head(entry, folder)
    modules: Mapping[str, Callable[[], nn.Module]] = {
        "none": nn.Identity,
        "relu": nn.ReLU,
        "gelu": nn.GELU,
        "gelu_tanh": lambda: nn.GELU(approximate="tanh"),
        "silu": nn.SiLU,
        "tanh": nn.Tanh,
        "sigmoid": nn.Sigmoid,
    }
    stack: list[nn.Module] = []
    for layer in head.layers:
        linear = nn.Linear(layer.weight.shape[1], layer.weight.shape[0])
        linear.load_state_dict({"weight": torch.from_numpy(layer.weight), "bias": torch.from_numpy(layer.bias)})
        stack.append(linear)
        if layer.norm is not None:
            norm = nn.LayerNorm(layer.weight.shape[0])
            norm.load_state_dict({"weight": torch.from_numpy(layer.norm[0]), "bias": torch.from_numpy(layer.norm[1])})
            stack.append(norm)
        stack.append(modules[layer.activation]())
    module = nn.Sequential(*stack).eval()

    def run(vectors: Any) -> Any:
        with torch.inference_mode():
            given = torch.from_numpy(np.array(vectors, np.float32))
            return module(nn.functional.normalize(given, dim=1) if head.normalise else given).numpy()

    return run


def _activations(entry: ModelEntry, count: int) -> tuple[Activation, ...]:
    """Of each layer; the last one has none unless they are listed."""
    between, listed = entry.options.get("activation", "none"), entry.options.get("activations")
    names = list(listed) if listed is not None else [between] * (count - 1) + ["none"]
    if len(names) != count:
        raise ModelError(f"model '{entry.name}': options.activations has {len(names)}, and the file has {count} layers")
    try:
        return activations(names)
    except ValueError as error:
        raise ModelError(f"model '{entry.name}': {error}") from error


def _bias(weight: str) -> str:
    return weight.removesuffix("weight") + "bias"


def _in_order(name: str) -> list[tuple[int, str]]:
    """A name by the numbers in it: ``layers.10`` after ``layers.2``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
