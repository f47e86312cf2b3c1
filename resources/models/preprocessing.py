"""From decoded pixels to a model's input array, as its entry specifies.

Belongs here: resizing and normalizing, equal to the reference pipelines (torchvision and timm over Pillow).
Does not belong here: decoding, and anything that needs torch: these functions run in decoding threads.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resources.models.entry import Preprocessing

Pixels = NDArray[np.uint8]

STRIP_PIXELS = 12_000_000
"""Of a canvas, at a time: an image of 1 x 40,000 would need one of 1,600 MP."""


def preprocess(rgb: Pixels, how: Preprocessing) -> NDArray[Any]:
    """Resize and normalize one image. Thread-safe; resizing runs without the GIL.

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
    """``uint8 [height, width, 3]``: Pillow's resize."""
    if rgb.shape[:2] == (height, width):
        return rgb
    if how.interpolation == "nearest":
        from PIL import Image

        return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.NEAREST))
    from resources.models.resampling import resize

    return resize(rgb, height, width, how.interpolation)


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
    (height, width), (high, wide) = letterboxed(rgb.shape[0], rgb.shape[1], how)
    small = resized(rgb, high, wide, replace(how, interpolation="bilinear") if how.canvas else how)
    canvas = _canvas(height, width, how)
    top, left = (0, 0) if how.anchor == "corner" else ((height - high) // 2, (width - wide) // 2)
    canvas[top : top + high, left : left + wide] = small
    return resized(canvas, *how.height_width, how) if how.canvas else canvas


def letterboxed(height: int, width: int, how: Preprocessing) -> tuple[tuple[int, int], tuple[int, int]]:
    """Height and width of the canvas that an image of this size is put onto, and of the image on it."""
    high, wide = (how.canvas, how.canvas) if how.canvas else how.height_width
    scale = min(high / height, wide / width)
    whole = round if how.canvas else int
    return (high, wide), (max(1, whole(height * scale)), max(1, whole(width * scale)))


def _pad(rgb: Pixels, how: Preprocessing) -> Pixels:
    """The middle of a square canvas as large as the longer side, then resized.

    Only rows that hold the image are made narrower, a strip at a time, and one that holds none stands for the others.
    """
    from resources.models.resampling import to_height, to_width

    side, (height, width) = max(rgb.shape[:2]), how.height_width
    top, left = (side - rgb.shape[0]) // 2, (side - rgb.shape[1]) // 2
    if how.interpolation == "nearest" or height != width:
        canvas = _canvas(side, side, how)
        canvas[top : top + rgb.shape[0], left : left + rgb.shape[1]] = rgb
        return resized(canvas, height, width, how)
    narrow = np.empty((side, width, 3), np.uint8)
    narrow[:] = to_width(_canvas(1, side, how), width, how.interpolation)
    high = max(1, STRIP_PIXELS // side)
    for start in range(0, rgb.shape[0], high):
        strip = rgb[start : start + high]
        if strip.shape[1] < side:
            wide = _canvas(strip.shape[0], side, how)
            wide[:, left : left + strip.shape[1]] = strip
            strip = wide
        narrow[top + start : top + start + strip.shape[0]] = to_width(strip, width, how.interpolation)
    return to_height(narrow, height, how.interpolation)


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
