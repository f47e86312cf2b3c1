"""Many heads of one shape over one input, as stacked tensors: one product a layer, and an optimiser with a rate for each head.

Belongs here: forward pass and update of the stack. Does not belong here: data, validation, choosing (``heads.py``).

The total loss is the sum of the heads' losses, so each head has its own gradient, as if it were trained alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from arot_assets.classifiers.recipes import HeadSettings
from arot_assets.classifiers.tasks import Task

if TYPE_CHECKING:
    import torch

BETAS = (0.9, 0.999)
EPSILON = 1e-8
SMALL = 0.01
"""Deviation of the last layer's initial weights, as in DINOv2's evaluation."""


@dataclass(frozen=True)
class StackOptions:
    """The shape of each head.

    Attributes:
        width: numbers that it gives.
        ordered: one weight vector for all of them, with descending biases (CORAL).
        hidden, dropout: widths of hidden layers, and the dropout after each.
    """

    width: int
    ordered: bool
    hidden: tuple[int, ...]
    dropout: tuple[float, ...]
    activation: str
    layer_norm: bool
    optimizer: str
    momentum: float
    seed: int

    @classmethod
    def of(cls, task: Task, settings: HeadSettings) -> "StackOptions":
        """What settings say."""
        dropout = tuple(settings.dropout) * (len(settings.hidden) if len(settings.dropout) == 1 else 1)
        if len(dropout) != len(settings.hidden):
            raise ValueError(
                f"settings.dropout has {len(dropout)} values, and there are {len(settings.hidden)} hidden layers"
            )
        return cls(
            width=task.width,
            ordered=task.loss == "coral",
            hidden=tuple(settings.hidden),
            dropout=dropout,
            activation=settings.activation,
            layer_norm=settings.layer_norm,
            optimizer=settings.optimizer,
            momentum=settings.momentum,
            seed=settings.seed,
        )


class Stack:
    """Heads of one shape.

    Args:
        options: the shape.
        dimensions: of the vectors.
        grid: rate and weight decay of each head. All begin with the same weights.
    """

    def __init__(self, options: StackOptions, dimensions: int, grid: Sequence[tuple[float, float]]) -> None:
        import torch

        self.options = options
        self.count = len(grid)
        self.rates = torch.tensor([rate for rate, _ in grid])
        self.decays = torch.tensor([decay for _, decay in grid])
        generator = torch.Generator().manual_seed(options.seed)
        one: dict[str, torch.Tensor] = {}
        sizes = [dimensions, *options.hidden]
        for k, (taken, given) in enumerate(pairwise(sizes)):
            bound = 1 / math.sqrt(taken)
            one[f"{k}.weight"] = (torch.rand(given, taken, generator=generator) * 2 - 1) * bound
            one[f"{k}.bias"] = torch.zeros(given)
            if options.layer_norm:
                one[f"{k}.norm.weight"], one[f"{k}.norm.bias"] = torch.ones(given), torch.zeros(given)
        last = len(options.hidden)
        rows = 1 if options.ordered else options.width
        deviation = SMALL if not options.hidden else 1 / math.sqrt(sizes[-1])
        one[f"{last}.weight"] = torch.randn(rows, sizes[-1], generator=generator) * deviation
        one[f"{last}.bias"] = torch.zeros(options.width)
        self.parameters = {name: t.expand(self.count, *t.shape).clone().requires_grad_(True) for name, t in one.items()}
        self._moments = {name: (torch.zeros_like(t), torch.zeros_like(t)) for name, t in self.parameters.items()}

    def __call__(self, vectors: "torch.Tensor", generator: "torch.Generator | None" = None) -> "torch.Tensor":
        """``float32 [B, D]`` -> ``[B, heads, width]``; with dropout where a generator is given."""
        import torch
        from torch.nn import functional

        own, options = self.parameters, self.options
        value = vectors
        for k, (width, dropout) in enumerate(zip(options.hidden, options.dropout, strict=True)):
            value = self._product(value, own[f"{k}.weight"]) + own[f"{k}.bias"]
            if options.layer_norm:
                value = functional.layer_norm(value, (width,)) * own[f"{k}.norm.weight"] + own[f"{k}.norm.bias"]
            if options.activation != "none":
                value = getattr(functional, options.activation)(value)
            if generator is not None and dropout:
                value = value * (torch.rand(value.shape, generator=generator) >= dropout) / (1 - dropout)
        last = len(options.hidden)
        return self._product(value, own[f"{last}.weight"]) + ordered(own[f"{last}.bias"], options.ordered)

    def _product(self, value: "torch.Tensor", weight: "torch.Tensor") -> "torch.Tensor":
        import torch

        if value.ndim == 2:  # all heads see the same vectors: one product
            heads, given, taken = weight.shape
            return (value @ weight.reshape(heads * given, taken).T).view(len(value), heads, given)
        return torch.einsum("bhi,hoi->bho", value, weight)

    def step(self, loss: "torch.Tensor", step: int, total: int) -> None:
        """Update every head with its own rate, which falls to 0 along a cosine.

        Args:
            loss: a scalar, the sum over the heads.
            step: from 0.
            total: steps of the whole training.
        """
        import torch

        gradients = torch.autograd.grad(loss, list(self.parameters.values()))
        schedule = 0.5 * (1 + math.cos(math.pi * step / total))
        with torch.no_grad():
            for (name, parameter), gradient in zip(self.parameters.items(), gradients, strict=True):
                shape = (-1, *(1,) * (parameter.ndim - 1))
                rate = (self.rates * schedule).view(shape)
                decay = self.decays.view(shape) if name.endswith("weight") and "norm" not in name else torch.zeros(())
                first, second = self._moments[name]
                if self.options.optimizer == "sgd":
                    first.mul_(self.options.momentum).add_(gradient + decay * parameter)
                    parameter.sub_(rate * first)
                    continue
                first.mul_(BETAS[0]).add_(gradient, alpha=1 - BETAS[0])
                second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
                mean, spread = first / (1 - BETAS[0] ** (step + 1)), second / (1 - BETAS[1] ** (step + 1))
                parameter.sub_(rate * (mean / (spread.sqrt() + EPSILON) + decay * parameter))

    def copy(self) -> "dict[str, torch.Tensor]":
        """All parameters, detached."""
        return {name: t.detach().clone() for name, t in self.parameters.items()}

    def copy_into(self, kept: "dict[str, torch.Tensor]", heads: NDArray[np.bool_]) -> None:
        """Replace some heads' parameters in a copy."""
        import torch

        chosen = torch.from_numpy(heads)
        for name, t in self.parameters.items():
            kept[name][chosen] = t.detach()[chosen]

    def state(self) -> dict[str, Any]:
        """What a training is continued from."""
        return {"parameters": self.copy(), "moments": self._moments}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        self.parameters = {name: t.requires_grad_(True) for name, t in state["parameters"].items()}
        self._moments = state["moments"]

    def layers(self, one: dict[str, NDArray[Any]]) -> list[dict[str, NDArray[Any]]]:
        """One head's tensors as layers: ``weight``, ``bias`` and, with a layer norm, ``norm.weight`` and ``norm.bias``."""
        import torch

        last = len(self.options.hidden)
        found: list[dict[str, NDArray[Any]]] = [{} for _ in range(last + 1)]
        for name, array in one.items():
            place, _, rest = name.partition(".")
            found[int(place)][rest] = array
        if self.options.ordered:
            found[last]["weight"] = np.repeat(found[last]["weight"], self.options.width, axis=0)
            found[last]["bias"] = ordered(torch.from_numpy(found[last]["bias"]), True).numpy()
        return found


def ordered(bias: "torch.Tensor", is_ordered: bool) -> "torch.Tensor":
    """Biases that descend along the last axis: the first one, less a positive step each time. If not, as they are."""
    import torch
    from torch.nn import functional

    if not is_ordered:
        return bias
    steps = torch.cat([torch.zeros_like(bias[..., :1]), functional.softplus(bias[..., 1:])], dim=-1)
    return bias[..., :1] - steps.cumsum(dim=-1)
