"""Random changes of training images: crops, flips, mixtures.

Does not belong here: when they are applied (``backbone.py``), decoding (``training_images.py``).
"""

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from arot_assets.classifiers.recipes import BackboneSettings

if TYPE_CHECKING:
    import torch

ASPECTS = (3 / 4, 4 / 3)
"""Of random crops, as timm has them."""


def changed(rgb: NDArray[np.uint8], settings: BackboneSettings, random: np.random.Generator) -> NDArray[np.uint8]:
    """An image ``uint8 [H, W, 3]`` cropped and flipped at random, as far as the settings say so."""
    if settings.crop < 1:
        rgb = cropped(rgb, settings.crop, random)
    if settings.flip and random.random() < 0.5:
        rgb = np.ascontiguousarray(rgb[:, ::-1])
    return rgb


def cropped(rgb: NDArray[np.uint8], least: float, random: np.random.Generator) -> NDArray[np.uint8]:
    """A random part of an image with at least a share of its area, its aspect within ``ASPECTS`` times the image's."""
    height, width = rgb.shape[:2]
    share = random.uniform(least, 1)
    aspect = math.exp(random.uniform(math.log(ASPECTS[0]), math.log(ASPECTS[1])))
    high = min(height, max(1, round(height * math.sqrt(share / aspect))))
    wide = min(width, max(1, round(width * math.sqrt(share * aspect))))
    top, left = int(random.integers(0, height - high + 1)), int(random.integers(0, width - wide + 1))
    return np.ascontiguousarray(rgb[top : top + high, left : left + wide])


def mixed(
    inputs: "torch.Tensor", wanted: "torch.Tensor", strength: float, random: np.random.Generator
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """A batch mixed with itself in another order, images and targets by the same share (mixup, arXiv:1710.09412).

    Args:
        inputs: ``[N, ...]``.
        wanted: ``float32 [N, ...]``; classes are one-hot.
        strength: both parameters of the Beta distribution of the share.
        random: gives the share and the order.
    """
    import torch

    share = float(random.beta(strength, strength))
    other = torch.from_numpy(random.permutation(len(inputs)))
    return inputs * share + inputs[other] * (1 - share), wanted * share + wanted[other] * (1 - share)
