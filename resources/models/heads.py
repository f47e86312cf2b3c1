"""Heads over stored vectors: small stacks of linear layers, many of them in one pass.

Belongs here: the arithmetic. Does not belong here: reading a head's file (``families/head.py``), which column a head is computed
from (``arot_assets.metrics.of_entry``).

Layers with no activation between them are folded into one when a head is loaded: a stack without any is a single matrix. All
heads read a block of vectors once: those that are one matrix are one product together, and the first layers of the others are
another. Normalising a vector scales what its product gives, so it costs no pass over the vectors. A row depends on itself alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Activation = Literal["none", "relu", "gelu", "gelu_tanh", "silu", "tanh", "sigmoid"]
BLOCK = 1024
"""Vectors that are computed at a time on a CPU, whose cache holds them and what is made of them."""
DEVICE_BLOCK = 16_384
"""The same on a GPU, which has to be kept busy."""
SHORTEST = 1e-12
"""Instead of the length of a vector of zeros, as in torch's ``normalize``."""


@dataclass(frozen=True)
class Layer:
    """``activation(norm(x @ weight.T + bias))``.

    Attributes:
        weight: ``float32 [out, in]``.
        bias: ``float32 [out]``.
        activation: applied at the end.
        norm: weight and bias, ``float32 [out]`` each, of a layer norm; None without one.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    activation: Activation = "none"
    norm: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    @property
    def is_linear(self) -> bool:
        """Whether it is its matrix alone."""
        return self.activation == "none" and self.norm is None


@dataclass(frozen=True)
class Head:
    """A stack of layers.

    Attributes:
        layers: the first one takes the vector.
        normalise: whether the vector is divided by its L2 norm first.
    """

    layers: tuple[Layer, ...]
    normalise: bool = False

    @property
    def dimensions(self) -> int:
        """Of the vectors that it takes."""
        return int(self.layers[0].weight.shape[1])


def folded(head: Head) -> Head:
    """The same head with as few layers as possible; computed in float64, so that folding costs no digits."""
    layers: list[tuple[NDArray[np.float64], NDArray[np.float64], Layer]] = []
    for layer in head.layers:
        weight, bias = layer.weight.astype(np.float64), layer.bias.astype(np.float64)
        if layers and layers[-1][2].is_linear:
            before, shift, _ = layers.pop()
            weight, bias = weight @ before, weight @ shift + bias
        layers.append((weight, bias, layer))
    return replace(
        head,
        layers=tuple(replace(la, weight=w.astype(np.float32), bias=b.astype(np.float32)) for w, b, la in layers),
    )


class Heads:
    """Several heads over vectors of one kind.

    Args:
        heads: by name; all of them take vectors of the same number of dimensions.
        device: of torch.
        precision: of the products of heads with several layers: ``float32`` or ``bfloat16``, which keeps 8 bits and is several
            times as fast on a CPU that has it. Heads of one layer are always float32: there it gains nothing.
        threads: of the CPU; 0 leaves torch's own number.

    Attributes:
        dimensions: of the vectors.

    Raises:
        ValueError: there are no heads, or they differ in the number of dimensions.
    """

    def __init__(
        self, heads: Mapping[str, Head], device: str = "cpu", precision: str = "float32", threads: int = 0
    ) -> None:
        import torch

        if threads:
            torch.set_num_threads(threads)
        sizes = {head.dimensions for head in heads.values()}
        if len(sizes) != 1:
            raise ValueError(f"heads of vectors of different dimensions: {sorted(sizes)}")
        self.dimensions = next(iter(sizes))
        self._device, self._precision = device, precision
        dtype = getattr(torch, precision)
        short = {name: folded(head) for name, head in heads.items()}
        self._linear = _HeadStack({n: h for n, h in short.items() if _is_one_matrix(h)}, device, torch.float32)
        self._deep = _HeadStack({n: h for n, h in short.items() if not _is_one_matrix(h)}, device, dtype)

    @property
    def names(self) -> list[str]:
        """Of the heads."""
        return [*self._linear.names, *self._deep.names]

    def precision(self, name: str) -> str:
        """What a head is computed in."""
        return self._precision if name in self._deep.names else "float32"

    def report(self, name: str) -> dict[str, str]:
        """Where and in what a head is computed, for users; see ``Runner.report``."""
        return {"device": self._device, "engine": "torch", "precision": self.precision(name)}

    def predict(self, vectors: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
        """``[N, D]`` of float16 or float32 -> by name, what each head gives: ``float32 [N, K]``.

        Raises:
            ValueError: the vectors have another number of dimensions.
        """
        import torch

        parts: list[dict[str, NDArray[np.float32]]] = []
        with torch.inference_mode():
            size = BLOCK if self._device == "cpu" else DEVICE_BLOCK
            for start in range(0, max(len(vectors), 1), size):
                parts.append(self._of_block(vectors[start : start + size]))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _of_block(self, vectors: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
        import torch

        # a copy: Arrow's memory is read-only, which torch warns of
        block = torch.from_numpy(np.array(vectors)).to(self._device).float()
        length = block.square().sum(dim=1).sqrt().clamp_min(SHORTEST)[:, None]
        found = {**self._linear(block, length), **self._deep(block, length)}
        return {name: value.float().cpu().numpy() for name, value in found.items()}


class _HeadStack:
    """Heads whose first layers are one product."""

    def __init__(self, heads: Mapping[str, Head], device: str, dtype: "torch.dtype") -> None:
        import torch

        self._dtype = dtype
        self.names = list(heads)
        self._heads = heads
        self._weight: torch.Tensor | None = None
        if heads:
            first = [torch.from_numpy(head.layers[0].weight) for head in heads.values()]
            self._weight = torch.cat(first).to(device, dtype).T.contiguous()

        def there(array: NDArray[np.float32]) -> torch.Tensor:
            return torch.from_numpy(array).to(device, dtype)

        self._layers = {
            name: [
                (there(la.weight), there(la.bias), tuple(there(a) for a in la.norm or ()), la.activation)
                for la in head.layers
            ]
            for name, head in heads.items()
        }

    def __call__(self, block: "torch.Tensor", length: "torch.Tensor") -> "dict[str, torch.Tensor]":
        """``float32 [N, D]`` and their lengths ``[N, 1]`` -> by name ``[N, K]``."""
        import torch

        if self._weight is None:
            return {}
        products = (block.to(self._dtype) @ self._weight).split(
            [h.layers[0].weight.shape[0] for h in self._heads.values()], 1
        )
        found = {}
        for (name, head), product in zip(self._heads.items(), products, strict=True):
            (_, bias, norm, activation), *others = self._layers[name]
            value = product / length.to(self._dtype) if head.normalise else product
            value = _activated(_normed(value + bias, norm), activation)
            for weight, bias, norm, activation in others:
                value = _activated(_normed(torch.nn.functional.linear(value, weight, bias), norm), activation)
            found[name] = value
        return found


def _is_one_matrix(head: Head) -> bool:
    return len(head.layers) == 1 and head.layers[0].norm is None


def _normed(values: "torch.Tensor", norm: "tuple[torch.Tensor, ...]") -> "torch.Tensor":
    from torch.nn import functional

    if not norm:
        return values
    scale, shift = norm
    return functional.layer_norm(values, values.shape[-1:], scale, shift)


def _activated(values: "torch.Tensor", activation: Activation) -> "torch.Tensor":
    import torch
    from torch.nn import functional

    if activation == "none":
        return values
    if activation in ("gelu", "gelu_tanh"):
        return functional.gelu(values, approximate="tanh" if activation == "gelu_tanh" else "none")
    one: dict[str, Any] = {
        "relu": functional.relu,
        "silu": functional.silu,
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
    }
    result: torch.Tensor = one[activation](values)
    return result


def activations(names: Sequence[str]) -> tuple[Activation, ...]:
    """The activations of these names.

    Raises:
        ValueError: one is not known.
    """
    from typing import get_args

    known = get_args(Activation)
    for name in names:
        if name not in known:
            raise ValueError(f"no activation {name!r}; there are: {', '.join(known)}")
    return tuple(names)  # type: ignore[arg-type]
