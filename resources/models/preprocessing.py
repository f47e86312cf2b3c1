"""From decoded pixels to a model's input array, as its entry specifies.

Belongs here: resizing and normalizing, equal to the reference pipeline (torchvision over Pillow).
Does not belong here: decoding, and anything that needs torch: these functions run in decoding threads.
"""

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from resources.models.entry import Preprocessing

if TYPE_CHECKING:
    from PIL.Image import Resampling

BY_CHANNEL = 12_000_000
"""From this many pixels on, an image is resized channel by channel: that takes as long, and Pillow uses 1 byte per pixel, not
4."""


def preprocess(rgb: NDArray[np.uint8], how: Preprocessing) -> NDArray[np.float32]:
    """Resize and normalize one image. Thread-safe; Pillow releases the GIL while it resizes.

    Bit-equal to torchvision's ``Resize`` + ``ToTensor`` + ``Normalize`` over Pillow.

    Args:
        rgb: ``uint8 [H, W, 3]`` RGB, upright, opaque.
        how: the entry's preprocessing.

    Returns:
        ``float32 [3, size, size]``, channels in the order of ``how.channels``.
    """
    from PIL import Image

    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or 0 in rgb.shape:
        raise ValueError(f"an image must be uint8 [H, W, 3] and not empty, got {rgb.dtype} {list(rgb.shape)}")
    pixels = _squashed(rgb, how.size, getattr(Image.Resampling, how.interpolation.upper()))
    if how.channels == "BGR":
        pixels = pixels[:, :, ::-1]
    levels = _normalised_levels(how.mean, how.std)
    return np.stack([levels[channel][pixels[:, :, channel]] for channel in range(3)])


def _squashed(rgb: NDArray[np.uint8], side: int, filter: "Resampling") -> NDArray[np.uint8]:
    """``uint8 [side, side, 3]``: Pillow's resize, which treats each channel by itself."""
    from PIL import Image

    if rgb.shape[0] * rgb.shape[1] < BY_CHANNEL:
        return np.asarray(Image.fromarray(rgb).resize((side, side), filter))
    small = np.empty((side, side, 3), np.uint8)
    for channel in range(3):
        plane = Image.fromarray(np.ascontiguousarray(rgb[:, :, channel]))
        small[:, :, channel] = np.asarray(plane.resize((side, side), filter))
    return small


@cache
def _normalised_levels(mean: tuple[float, ...], std: tuple[float, ...]) -> NDArray[np.float32]:
    """``float32 [3, 256]``: the value of each level, by the same float32 operations as ``ToTensor`` and ``Normalize``."""
    unit = np.arange(256, dtype=np.float32) / np.float32(255)
    return (unit[None] - np.asarray(mean, np.float32)[:, None]) / np.asarray(std, np.float32)[:, None]
