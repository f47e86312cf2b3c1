"""How fast each parameter of a backbone learns: which are free, their weight decay, rates by layer and step.

Does not belong here: the loop (``backbone.py``).
"""

import math
from typing import Any

from arot_assets.classifiers.recipes import BackboneSettings
from arot_assets.classifiers.trainers.networks import Trainable


def parameter_groups(net: Trainable, settings: BackboneSettings) -> list[dict[str, Any]]:
    """Parameters with their weight decay and the factor of their rate; those that are frozen are set so, and left out.

    The rate of a layer is that of the layer above times ``layer_decay``. Biases and norms have no weight decay.
    """
    found: dict[tuple[int, float], list[Any]] = {}
    last = net.layers - 1
    classifier = {id(p) for p in net.classifier.parameters()}
    for name, parameter in net.module.named_parameters():
        depth = last if id(parameter) in classifier else min(net.depth(name), last)
        free = settings.train == "all" or id(parameter) in classifier
        if isinstance(settings.train, int):
            free = free or depth >= last - settings.train
        parameter.requires_grad_(free)
        if free:
            decay = 0.0 if parameter.ndim <= 1 or name.endswith(".bias") else settings.weight_decay
            found.setdefault((depth, decay), []).append(parameter)
    return [
        {"params": parameters, "weight_decay": decay, "lr_scale": settings.layer_decay ** (last - depth)}
        for (depth, decay), parameters in sorted(found.items())
    ]


def schedule(step: int, total: int, warmup: float) -> float:
    """The share of the rate at a step: a line up from 0, then half a cosine down to 0."""
    rising = round(total * warmup)
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, total - rising)))
