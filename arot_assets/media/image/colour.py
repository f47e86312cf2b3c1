"""From the colours of a file to opaque sRGB.

Belongs here: ICC profiles (their names, conversion), transparency. Does not belong here: opening files.
"""

from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from arot_assets.media.image.formats.header import WHITE

if TYPE_CHECKING:
    from PIL.Image import Image

STRIP = 2_000_000
"""Pixels whose colours are converted at once: most images as a whole, large ones in strips."""

SAME = 1
"""A profile that shifts no colour of a coarse lattice by more than this (of 255) is treated as sRGB and skipped."""


def strip_rows(width: int) -> int:
    """Rows of an image of this width that are converted at once."""
    return max(1, STRIP // width)


def by_strips(
    pixels: NDArray[np.uint8], convert: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    """Convert an image strip by strip, so that what the steps in between need does not grow with the image.

    Args:
        pixels: ``uint8 [H, W, ...]``.
        convert: from some rows to ``uint8 [h, W, 3]``, each pixel by itself.
    """
    height, width = pixels.shape[:2]
    rows = strip_rows(width)
    if rows >= height:
        return np.ascontiguousarray(convert(pixels))
    rgb = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, rows):
        rgb[top : top + rows] = convert(pixels[top : top + rows])
    return rgb


def to_srgb(image: "Image", icc: bytes | None) -> "Image":
    """An L, RGB or CMYK image as sRGB, by its profile; without a (fitting) profile by the usual assumption.

    Profiles that are damaged or made for another kind of pixels are ignored, as browsers do.
    """
    transform = _transform(icc, image.mode) if icc else None
    if transform is None:
        return image.convert("RGB")
    from PIL import ImageCms

    return ImageCms.applyTransform(image, transform)  # type: ignore[return-value]


def rgb_to_srgb(rgb: NDArray[np.uint8], icc: bytes | None) -> NDArray[np.uint8]:
    """The same for ``uint8 [H, W, 3]``; returns its argument when there is nothing to convert."""
    if not icc or _transform(icc, "RGB") is None:
        return rgb
    from PIL import Image

    return by_strips(rgb, lambda part: np.array(to_srgb(Image.fromarray(part), icc)))


def over(rgb: NDArray[np.uint8], alpha: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    """``uint8 [H, W, 3]`` over a colour by ``uint8 [H, W]``: rgb x alpha / 255 + colour x (255 - alpha) / 255, each rounded.
    Overwrites ``rgb``."""
    import cv2

    if alpha.min() == 255:
        return rgb
    by_channel = cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB)
    cv2.multiply(rgb, by_channel, dst=rgb, scale=1 / 255)
    cv2.bitwise_not(by_channel, dst=by_channel)
    if colour != WHITE:
        by_channel = ((by_channel.astype(np.uint16) * np.array(colour, np.uint16) + 127) // 255).astype(np.uint8)
    return cv2.add(rgb, by_channel, dst=rgb)  # type: ignore[return-value]


@lru_cache(maxsize=64)
def profile_name(icc: bytes) -> str | None:
    """What a profile calls itself (for example ``Display P3``); None if it doesn't say or is damaged."""
    from PIL import ImageCms

    try:
        description = ImageCms.ImageCmsProfile(BytesIO(icc)).profile.profile_description
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    return (description or "").strip() or None


@lru_cache(maxsize=64)
def _transform(icc: bytes, mode: str) -> Any | None:
    """The transform from a profile to sRGB (perceptual), None where it would change nothing or can't be built.

    Cached by the bytes of the profile: a dataset has few. LittleCMS transforms may be used by many threads at once.
    """
    from PIL import Image, ImageCms

    try:
        source = ImageCms.ImageCmsProfile(BytesIO(icc))
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    if mode == "RGB":
        levels = np.linspace(0, 255, 9).astype(np.uint8)
        lattice = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(27, 27, 3)
        moved = np.asarray(ImageCms.applyTransform(Image.fromarray(lattice), transform))
        if int(np.abs(moved.astype(int) - lattice).max()) <= SAME:
            return None
    return transform
