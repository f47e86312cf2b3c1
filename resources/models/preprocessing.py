"""From decoded pixels to a model's input array, as its entry specifies.

Belongs here: resizing and normalizing, equal to the reference pipelines (torchvision and timm over Pillow).
Does not belong here: decoding, and anything that needs torch: these functions run in decoding threads.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resources.models.entry import Preprocessing

if TYPE_CHECKING:
    from PIL.Image import Resampling

Pixels = NDArray[np.uint8]

BY_CHANNEL = 12_000_000
"""From this many pixels on, an image is resized channel by channel: that takes as long, and Pillow uses 1 byte per pixel, not
4. No canvas of more pixels is ever made."""


def preprocess(rgb: Pixels, how: Preprocessing) -> NDArray[Any]:
    """Resize and normalize one image. Thread-safe; Pillow releases the GIL while it resizes.

    Bit-equal to torchvision's ``Resize`` + ``CenterCrop`` + ``ToTensor`` + ``Normalize`` over Pillow.

    Args:
        rgb: ``uint8 [H, W, 3]`` RGB, upright, opaque.
        how: the entry's preprocessing.

    Returns:
        ``[3, height, width]`` or ``[height, width, 3]`` as ``how.layout`` says, channels in the order of ``how.channels``.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or 0 in rgb.shape:
        raise ValueError(f"an image must be uint8 [H, W, 3] and not empty, got {rgb.dtype} {list(rgb.shape)}")
    return normalised(_MODES[how.resize](rgb, how), how)


def normalised(pixels: Pixels, how: Preprocessing) -> NDArray[Any]:
    """``uint8 [h, w, 3]`` RGB of the final size -> the input array."""
    if how.channels == "BGR":
        pixels = pixels[:, :, ::-1]
    if how.dtype == "uint8":
        return np.ascontiguousarray(pixels if how.layout == "NHWC" else pixels.transpose(2, 0, 1))
    levels = values_of_levels(how, int(pixels.max()))
    axis = 0 if how.layout == "NCHW" else -1
    return np.stack([levels[channel][pixels[:, :, channel]] for channel in range(3)], axis=axis)


def resized(rgb: Pixels, height: int, width: int, how: Preprocessing) -> Pixels:
    """``uint8 [height, width, 3]``: Pillow's resize, which treats each channel by itself."""
    from PIL import Image

    filter: Resampling = getattr(Image.Resampling, how.interpolation.upper())
    if rgb.shape[:2] == (height, width):
        return rgb
    if rgb.shape[0] * rgb.shape[1] < BY_CHANNEL:
        return np.asarray(Image.fromarray(rgb).resize((width, height), filter))
    small = np.empty((height, width, 3), np.uint8)
    for channel in range(3):
        plane = Image.fromarray(np.ascontiguousarray(rgb[:, :, channel]))
        small[:, :, channel] = np.asarray(plane.resize((width, height), filter))
    return small


def _squash(rgb: Pixels, how: Preprocessing) -> Pixels:
    """Both sides to ``size / crop``, then the middle."""
    height, width = how.height_width
    large = resized(rgb, round(height / how.crop), round(width / how.crop), how)
    top, left = (large.shape[0] - height) // 2, (large.shape[1] - width) // 2
    return large[top : top + height, left : left + width]


def _center_crop(rgb: Pixels, how: Preprocessing) -> Pixels:
    """The shorter side to ``size / crop`` (rounded down, as timm does), then the middle."""
    height, width = how.height_width
    if height == width:
        small = _shorter_to(rgb, int(height / how.crop), how)
    else:
        scale = max(height / how.crop / rgb.shape[0], width / how.crop / rgb.shape[1])
        small = resized(rgb, round(rgb.shape[0] * scale), round(rgb.shape[1] * scale), how)
    top, left = round((small.shape[0] - height) / 2.0), round((small.shape[1] - width) / 2.0)
    return small[top : top + height, left : left + width]


def _shorter_to(rgb: Pixels, side: int, how: Preprocessing) -> Pixels:
    """torchvision's ``Resize(side)``: the longer side is rounded down."""
    height, width = rgb.shape[:2]
    if width <= height:
        return resized(rgb, int(side * height / width), side, how)
    return resized(rgb, side, int(side * width / height), how)


def _short_side(rgb: Pixels, how: Preprocessing) -> Pixels:
    small = _shorter_to(rgb, min(how.height_width), how)
    height, width = (_multiple(side, how.multiple_of) for side in small.shape[:2])
    return small if small.shape[:2] == (height, width) else resized(rgb, height, width, how)


def _native(rgb: Pixels, how: Preprocessing) -> Pixels:
    height, width = rgb.shape[:2]
    most_high, most_wide = how.height_width
    scale = min(1.0, most_high / height if most_high else 1.0, most_wide / width if most_wide else 1.0)
    return resized(rgb, _multiple(height * scale, how.multiple_of), _multiple(width * scale, how.multiple_of), how)


def _multiple(side: float, of: int) -> int:
    return max(of, round(side / of) * of)


def _letterbox(rgb: Pixels, how: Preprocessing) -> Pixels:
    height, width = how.height_width
    scale = min(height / rgb.shape[0], width / rgb.shape[1])
    small = resized(rgb, max(1, int(rgb.shape[0] * scale)), max(1, int(rgb.shape[1] * scale)), how)
    canvas = _canvas(height, width, how)
    top, left = (0, 0) if how.anchor == "corner" else ((height - small.shape[0]) // 2, (width - small.shape[1]) // 2)
    canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    return canvas


def _pad(rgb: Pixels, how: Preprocessing) -> Pixels:
    """The middle of a square canvas as large as the longer side, then resized.

    A canvas beyond ``BY_CHANNEL`` pixels is made a strip of rows at a time: Pillow resizes the rows first and the columns after
    them, so that strips give the same pixels.
    """
    side = max(rgb.shape[:2])
    top, left = (side - rgb.shape[0]) // 2, (side - rgb.shape[1]) // 2
    high = max(1, BY_CHANNEL // side) if side * side > BY_CHANNEL else side
    height, width = how.height_width
    if high >= side:
        return resized(_strip(rgb, how, top, left, 0, side), height, width, how)
    strips = []
    for start in range(0, side, high):
        strip = _strip(rgb, how, top, left, start, min(high, side - start))
        strips.append(resized(strip, strip.shape[0], width, how))
    return resized(np.concatenate(strips), height, width, how)


def _strip(rgb: Pixels, how: Preprocessing, top: int, left: int, start: int, high: int) -> Pixels:
    """Rows ``start`` to ``start + high`` of the square canvas with the image at ``top``, ``left``."""
    canvas = _canvas(high, max(rgb.shape[:2]), how)
    first, last = max(start, top), min(start + high, top + rgb.shape[0])
    if first < last:
        canvas[first - start : last - start, left : left + rgb.shape[1]] = rgb[first - top : last - top]
    return canvas


def _canvas(height: int, width: int, how: Preprocessing) -> Pixels:
    return np.full((height, width, 3), how.colour, np.uint8)


_MODES: Mapping[str, Callable[[Pixels, Preprocessing], Pixels]] = {
    "squash": _squash,
    "center_crop": _center_crop,
    "pad": _pad,
    "letterbox": _letterbox,
    "short_side": _short_side,
    "native": _native,
}


def values_of_levels(how: Preprocessing, highest: int = 255) -> NDArray[np.float32]:
    """``float32 [3, 256]``: the value of each level of each channel, in the order of ``how.channels``.

    Args:
        how: the entry's preprocessing.
        highest: level of the image, which ``0-max`` divides by.
    """
    return _normalised_levels(how.mean, how.std, {"0-1": 255, "0-255": 1, "0-max": max(1, highest)}[how.scale])


@cache
def _normalised_levels(mean: tuple[float, ...], std: tuple[float, ...], largest: int) -> NDArray[np.float32]:
    """By the same float32 operations as ``ToTensor`` and ``Normalize``."""
    levels = np.arange(256, dtype=np.float32) / np.float32(largest)
    return (levels[None] - np.asarray(mean, np.float32)[:, None]) / np.asarray(std, np.float32)[:, None]
