"""One picture as trainers can read it: the original bytes where possible, else re-encoded; and what had to be mended.

Belongs here: which rules a file breaks, losslessly dropping metadata, scaling and encoding. Does not belong here: decoding
(``media.image.decode``, whose pixels are those that every metric saw: upright, over a colour, sRGB), where bytes go.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from arot_assets.exports.buckets.exact import nearest_exact
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.rules import RuleName
from arot_assets.media.file import DecodeError
from arot_assets.media.wants import Pixels

MODIFIED, PLAIN = KNOWN = ("original:modified", "original:plain")
"""Columns of the selection that tell whether a file has to be looked at: its time of modification when it was listed, in
microseconds, and the format of a picture of which no rule mends anything; null if that is not known."""
PLAIN_MODES = ("RGB", "L", "LA", "RGBA")
PLAIN_FORMATS = ("JPEG", "PNG")


@dataclass(frozen=True)
class PreparedFile:
    """A file for an export.

    Attributes:
        data: its bytes; None if the original can be used as it is.
        extension: without the dot.
        width: pixels.
        height: pixels.
        broken: rules that the original breaks.
    """

    data: bytes | None
    extension: str
    width: int
    height: int
    broken: tuple[RuleName, ...]


@dataclass(frozen=True)
class HeaderFacts:
    """What a picture's header says.

    Attributes:
        rules: those that it breaks.
        format: Pillow's name.
        width: pixels of the upright picture.
        height: pixels of the upright picture.
    """

    rules: tuple[RuleName, ...]
    format: str
    width: int
    height: int


def faults_of(data: bytes, formats: Sequence[str] = PLAIN_FORMATS) -> HeaderFacts:
    """The rules that a picture breaks; nothing is decoded.

    Args:
        data: the file.
        formats: those that are not to be re-encoded, by Pillow's names.

    Raises:
        DecodeError: it is no picture, or does not reach its end.
    """
    from arot_assets.media.image.colour import profile_name
    from arot_assets.media.image.formats.header import Header
    from arot_assets.media.image.formats.read import read_header

    header = Header()
    read_header(data, header)
    found: list[RuleName] = []
    plain = header.format in formats and header.mode in PLAIN_MODES
    if not plain:
        found.append("format")
    if header.orientation != 1:
        found.append("orientation")
    if header.has_alpha or header.clear:
        found.append("alpha")
    if header.icc and "srgb" not in (profile_name(header.icc) or "").lower():
        found.append("profile")
    if header.n_frames > 1:
        found.append("animation")
    if header.format in PLAIN_FORMATS and not header.pixels_only:
        found.append("metadata")
    sides = (header.width or 0, header.height or 0)
    width, height = sides[::-1] if header.orientation >= 5 else sides
    return HeaderFacts(tuple(found), header.format or "", width, height)


def faults_of_row(row: Mapping[str, Any], formats: Sequence[str] = PLAIN_FORMATS) -> HeaderFacts | None:
    """The same of a picture of which ``samples`` says that it breaks no rule; None if the file has to be looked at.

    Args:
        row: of the selection.
        formats: as in ``faults_of``.
    """
    if row[PLAIN] not in formats:
        return None
    return HeaderFacts((), row[PLAIN], row["width"], row["height"])


def formats_of(declaration: ExportDeclaration) -> tuple[str, ...]:
    """The formats in which an original can stay: readers of WebDataset expect one type of media in all samples."""
    return ({"jpg": "JPEG", "png": "PNG"}[declaration.format],) if declaration.layout == "webdataset" else PLAIN_FORMATS


def as_it_is(found: HeaderFacts, declaration: ExportDeclaration) -> PreparedFile | None:
    """The original, if a declaration wants nothing of it changed but perhaps its metadata dropped; else None."""
    extension = {"JPEG": "jpg"}.get(found.format, found.format.lower())
    original = PreparedFile(None, extension, found.width, found.height, found.rules)
    if declaration.media == "original":
        return original
    mended = [rule for rule in found.rules if declaration.action(rule) == "mend"]
    size = wanted_size(found.width, found.height, declaration)
    return original if size == (found.width, found.height) and mended in ([], ["metadata"]) else None


def prepare(data: bytes, declaration: ExportDeclaration, known: HeaderFacts | None = None) -> PreparedFile:
    """A picture as a declaration wants it.

    Args:
        data: the original.
        declaration: ``media``, sizes, format and quality. If nothing but rules whose action is not ``mend`` is broken, the
            original is used.
        known: what ``faults_of`` would find; None to find out.

    Raises:
        DecodeError: the file cannot be decoded.
    """
    found = known or faults_of(data, formats_of(declaration))
    original = as_it_is(found, declaration)
    if original is not None:
        # a profile that is to stay is metadata too
        bare = "metadata" in found.rules and "profile" not in found.rules and declaration.action("metadata") == "mend"
        return replace(original, data=without_metadata(data)) if bare and declaration.media != "original" else original
    pixels = opaque(data, declaration)
    size = wanted_size(pixels.shape[1], pixels.shape[0], declaration)
    broken = found.rules
    if size[0] > pixels.shape[1] or size[1] > pixels.shape[0]:
        broken = (*broken, "up_scaled")
    resized = fitted(pixels, *size)
    return PreparedFile(encode(resized, declaration), declaration.format, size[0], size[1], broken)


def opaque(data: bytes, declaration: ExportDeclaration) -> Pixels:
    """The pixels of a picture, ``uint8 [H, W, 3]`` RGB, upright, over the declared background, sRGB.

    Raises:
        DecodeError: the file cannot be decoded.
    """
    from PIL import ImageColor

    from arot_assets.media.image.decode import decode

    return decode(data, background=ImageColor.getrgb(declaration.background)[:3])


def wanted_size(width: int, height: int, declaration: ExportDeclaration) -> tuple[int, int]:
    """The size in pixels that a picture is stored in."""
    if declaration.media == "exact":
        return nearest_exact(width, height, declaration.resolution)
    longest = max(width, height)
    if declaration.max_side is None or longest <= declaration.max_side:
        return width, height
    scale = declaration.max_side / longest
    return max(1, round(width * scale)), max(1, round(height * scale))


def fitted(pixels: Pixels, width: int, height: int, mask: bool = False) -> Pixels:
    """A picture scaled to cover a size, and cropped to its middle: area averages down, Lanczos up; masks linearly, without the
    light and dark seams that Lanczos leaves along edges."""
    import cv2
    import numpy as np

    tall, wide = pixels.shape[:2]
    if (wide, tall) == (width, height):
        return pixels
    scale = max(width / wide, height / tall)
    scaled = (max(width, round(wide * scale)), max(height, round(tall * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR if mask else cv2.INTER_LANCZOS4
    resized = cv2.resize(pixels, scaled, interpolation=way)
    left, top = (scaled[0] - width) // 2, (scaled[1] - height) // 2
    return np.ascontiguousarray(resized[top : top + height, left : left + width])


def encode(pixels: Pixels, declaration: ExportDeclaration) -> bytes:
    """JPEG without colour subsampling, or PNG."""
    if declaration.format == "jpg":
        import simplejpeg

        return bytes(simplejpeg.encode_jpeg(pixels, quality=declaration.quality, colorsubsampling="444"))
    import cv2

    done, data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    if not done:
        raise DecodeError("unsupported", "PNG cannot be encoded")
    return data.tobytes()


def without_metadata(data: bytes) -> bytes:
    """The same JPEG or PNG without EXIF, XMP, profiles, texts and comments; no pixel changes."""
    if data[:2] != b"\xff\xd8":
        from arot_assets.media.image.formats.png import pixel_chunks

        return pixel_chunks(data)
    from arot_assets.media.image.formats.jpeg import pixel_segments

    return pixel_segments(data)
