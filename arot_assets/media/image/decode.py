"""Decoding image files to pixels: upright, opaque, sRGB, complete or not at all.

Belongs here: choosing the decoder and applying the rules that every metric relies on: EXIF orientation applied, alpha over
white, 16 bits scaled to 8 by their high byte, CMYK and ICC profiles to sRGB, the first frame of an animation.
Does not belong here: reading headers (``formats``), colour arithmetic (``colour``), fetching bytes.

Every function is thread-safe. JPEG goes through libjpeg-turbo (simplejpeg), 8-bit PNG and WebP through OpenCV: both
release the GIL. Everything else goes through Pillow. Gamma and cICP chunks are not applied.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from arot_assets.media.image.colour import by_strips, over, rgb_to_srgb, strip_rows, to_srgb
from arot_assets.media.image.formats.header import MAX_MEGAPIXELS, WHITE, DecodeError, Header, corrupt, unsupported
from arot_assets.media.image.formats.jpeg import tidied
from arot_assets.media.image.formats.pillow import load_heif, load_whole, open_heif, open_image, open_page, translated
from arot_assets.media.image.formats.png import pixel_chunks
from arot_assets.media.image.formats.read import read_header

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["MAX_MEGAPIXELS", "DecodeError", "decode", "thumbnail"]

Pixels = NDArray[np.uint8]

_HARMLESS = ("unknown JFIF revision", "Invalid SOS parameters", "extraneous bytes before marker 0xd9")
"""libjpeg warnings of images whose pixels are intact; such a file is repaired and decoded strictly again."""


_MIRROR = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}
"""EXIF orientation -> ``cv2.flip`` code (1 left-right, 0 upside down, -1 both), after transposing from 5 on."""


def decode(data: bytes, max_megapixels: float = MAX_MEGAPIXELS, background: tuple[int, int, int] = WHITE) -> Pixels:
    """Decode an image for measuring.

    Args:
        data: the file.
        max_megapixels: refuse larger images from their header.
        background: the sRGB colour, 0-255 each, behind what is transparent.

    Returns:
        ``uint8 [H, W, 3]`` RGB, C-contiguous, 0-255: upright, over the background, sRGB.

    Raises:
        DecodeError: not an image, too large, or incomplete. Nothing else is raised, whatever the bytes.
    """
    return _decode(data, Header(max_megapixels=max_megapixels, background=background), None)


def thumbnail(data: bytes, side: int, max_megapixels: float = MAX_MEGAPIXELS) -> Pixels:
    """Decode an image for display, by the same colour rules; JPEG is scaled during decoding.

    Args:
        data: the file.
        side: longest side of the result, in pixels; smaller images are not enlarged.
        max_megapixels: as in ``decode``.

    Returns:
        ``uint8 [h, w, 3]`` RGB, C-contiguous, max(h, w) <= side.

    Raises:
        DecodeError: as in ``decode``.
    """
    if side < 1:
        raise ValueError(f"thumbnail side must be at least 1 pixel, not {side}")
    return _decode(data, Header(max_megapixels=max_megapixels), side)


def _decode(data: bytes, header: Header, side: int | None) -> Pixels:
    read_header(data, header, whole=data[:2] != b"\xff\xd8")  # JPEG is decoded strictly, which detects a missing end
    try:
        if header.format == "JPEG":
            pixels = _jpeg(data, header, side)
        elif header.plain:
            pixels = _by_opencv(data, header)
        elif header.clear:
            pixels = _keyed(data, header)
        elif header.bands is not None:
            pixels = _banded(header)
        else:
            pixels = _by_pillow(data, header)
        if side is not None:
            pixels = _shrink(pixels, side)
        return np.ascontiguousarray(_upright(pixels, header.orientation))
    except DecodeError:
        raise
    except Exception as error:  # the libraries raise a dozen kinds of error on damaged bytes
        raise translated(error, header) from error


def _jpeg(data: bytes, header: Header, side: int | None) -> Pixels:
    """Strict: an image with missing or damaged parts fails instead of being filled with gray."""
    width, height = 0, 0
    if side is not None and header.width and header.height:
        width, height = _fit(header.width, header.height, side)
    if header.plain:
        return rgb_to_srgb(_libjpeg(data, "RGB", width, height), header.icc)
    from PIL import Image

    stored = "GRAY" if header.mode == "L" else "CMYK"
    pixels = _libjpeg(data, stored, width, height)
    if stored == "CMYK":
        np.bitwise_not(pixels, out=pixels)  # every known writer of CMYK JPEG stores ink inverted, as Adobe does
    flat = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    return by_strips(flat, lambda part: np.array(to_srgb(Image.fromarray(part, header.mode), header.icc)))


def _libjpeg(data: bytes, colours: str, width: int, height: int) -> Pixels:
    """Decode at the smallest scale that is not below the given size (0: the full size)."""
    import simplejpeg

    decode_jpeg: Callable[..., Pixels] = simplejpeg.decode_jpeg
    try:
        return decode_jpeg(data, colours, min_height=height, min_width=width)
    except ValueError as error:
        if not any(harmless in str(error) for harmless in _HARMLESS):
            raise corrupt(f"JPEG can't be decoded whole: {error}") from error
    try:
        return decode_jpeg(tidied(data), colours, min_height=height, min_width=width)
    except ValueError as error:
        raise corrupt(f"JPEG can't be decoded whole: {error}") from error


def _by_opencv(data: bytes, header: Header) -> Pixels:
    """8-bit gray, RGB or RGBA."""
    import cv2

    if header.format == "PNG":
        data = pixel_chunks(data)
    raw = np.frombuffer(data, np.uint8)
    if header.mode == "RGBA":
        stored = cv2.imdecode(raw, cv2.IMREAD_UNCHANGED)
    else:
        stored = cv2.imdecode(raw, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    if stored is None or stored.shape[:2] != (header.height, header.width):
        raise corrupt(f"{header.format} pixels are damaged")
    if header.mode == "RGBA":
        return by_strips(stored, lambda part: _opaque(part, header))  # type: ignore[arg-type]
    if header.mode == "L" and header.icc:
        from PIL import Image

        return by_strips(stored[..., 0], lambda part: np.array(to_srgb(Image.fromarray(part), header.icc)))  # type: ignore[arg-type]
    return rgb_to_srgb(stored, header.icc)  # type: ignore[arg-type]


def _opaque(bgra: Pixels, header: Header) -> Pixels:
    import cv2

    rgb = rgb_to_srgb(cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGB), header.icc)  # type: ignore[arg-type]
    return over(rgb, cv2.extractChannel(bgra, 3), header.background)  # type: ignore[arg-type]


def _keyed(data: bytes, header: Header) -> Pixels:
    """PNG in gray or RGB of any depth with one transparent colour, which is compared before 16 bits are reduced to
    8."""
    import cv2
    from PIL import Image

    stored = cv2.imdecode(np.frombuffer(pixel_chunks(data, transparency=False), np.uint8), cv2.IMREAD_UNCHANGED)
    if stored is None or stored.shape[:2] != (header.height, header.width):
        raise corrupt("PNG pixels are damaged")
    clear = np.array(header.clear[::-1])  # OpenCV stores blue first
    depth = data[24]
    if depth < 8:
        clear = clear * 255 // ((1 << depth) - 1)

    def opaque(part: NDArray[np.uint8]) -> Pixels:
        differs = part != clear
        alpha = np.where(differs.any(axis=2) if part.ndim == 3 else differs, 255, 0).astype(np.uint8)
        high = (part >> 8).astype(np.uint8) if depth == 16 else part
        if part.ndim == 3:
            return over(rgb_to_srgb(cv2.cvtColor(high, cv2.COLOR_BGR2RGB), header.icc), alpha, header.background)  # type: ignore[arg-type]
        return over(np.array(to_srgb(Image.fromarray(high), header.icc)), alpha, header.background)

    return by_strips(stored, opaque)  # type: ignore[arg-type]


def _banded(header: Header) -> Pixels:
    """Sample layouts for which Pillow has no mode."""
    from PIL import Image

    assert header.bands is not None and header.width and header.height
    rgb = np.empty((header.height, header.width, 3), np.uint8)
    for top, colours, alpha in header.bands():
        mode = "L" if colours.ndim == 2 else "RGB" if colours.shape[2] == 3 else "CMYK"
        part = np.array(to_srgb(Image.fromarray(np.ascontiguousarray(colours), mode), header.icc))
        rgb[top : top + len(part)] = (
            part if alpha is None else over(part, np.ascontiguousarray(alpha), header.background)
        )
    return rgb


def _opened(data: bytes, header: Header) -> "Image":
    if header.format == "HEIC":
        return load_heif(open_heif(data, header), header)
    return open_page(data, header) if header.format == "TIFF" else open_image(data, header)


def _by_pillow(data: bytes, header: Header) -> Pixels:
    """Every mode that Pillow supports."""
    if header.format == "PNG":
        data = pixel_chunks(data)
    with _opened(data, header) as image:
        if (
            header.format == "TIFF"
        ):  # Pillow applies the orientation while loading a TIFF, also from XMP unless that is removed
            image.info.pop("xmp", None)
            header.orientation = 1
        load_whole(image, header)
        rows = strip_rows(image.width)
        if rows >= image.height:
            return _from_pillow(image, header)
        rgb = np.empty((image.height, image.width, 3), np.uint8)
        for top in range(0, image.height, rows):
            bottom = min(top + rows, image.height)
            rgb[top:bottom] = _from_pillow(image.crop((0, top, image.width, bottom)), header)
        return rgb


def _from_pillow(image: "Image", header: Header) -> Pixels:
    base, alpha = _parts(image, header)
    rgb = np.array(to_srgb(base, header.icc))
    return rgb if alpha is None else over(rgb, alpha, header.background)


def _parts(image: "Image", header: Header) -> "tuple[Image, Pixels | None]":
    """The opaque colours (L, RGB or CMYK) and the alpha of an image."""
    from PIL import Image

    if image.mode.startswith("I;16"):
        deep = np.asarray(image)
        if header.min_is_white:
            deep = np.bitwise_not(deep)
        return Image.fromarray((deep >> header.bits - 8).astype(np.uint8)), None
    if image.mode in ("I", "F", "LAB"):
        kind = {"I": "32-bit integer", "F": "floating-point", "LAB": "CIELAB"}[image.mode]
        raise unsupported(f"{header.format} with {kind} pixels: their range is not defined; convert it to 8 or 16 bit")
    base = "L" if image.mode in ("1", "L", "LA", "La") else "CMYK" if image.mode == "CMYK" else "RGB"
    if not image.has_transparency_data:
        return image.convert(base), None
    if image.mode == "La":
        image = image.convert("LA")
    full = image.convert("RGBA")
    return (image.convert("L") if base == "L" else full.convert("RGB")), np.array(full.getchannel("A"))


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Apply an EXIF orientation (1-8)."""
    if orientation == 1:
        return pixels
    import cv2

    if orientation >= 5:
        pixels = cv2.transpose(pixels)  # type: ignore[assignment]
    mirror = _MIRROR.get(orientation)
    return pixels if mirror is None else cv2.flip(pixels, mirror)  # type: ignore[return-value]


def _fit(width: int, height: int, side: int) -> tuple[int, int]:
    """The size that fits into a square, never larger, at least 1 x 1."""
    scale = min(1.0, side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _shrink(pixels: Pixels, side: int) -> Pixels:
    import cv2

    size = _fit(pixels.shape[1], pixels.shape[0], side)
    if size == (pixels.shape[1], pixels.shape[0]):
        return pixels
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]
