"""What can be determined about a file from its bytes without decoding it.

Belongs here: a sample's status, reason and notes, and the columns of ``samples`` that come from the file itself. Does
not belong here: the rules of each format (``formats``), pixels (``decode``).

A probe reads the header and checks that the file is complete: all segments, chunks, strips or boxes are there and their
checksums match. It decodes only if a format has no such structure, if the structure contradicts itself, or if the
lowest bits of an image may contain text (``stealth``). Damage inside the compressed pixels that leaves the structure
intact is found when the image is decoded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal

from arot_assets.media.image.colour import profile_name
from arot_assets.media.image.formats.header import MAX_MEGAPIXELS, DecodeError, Header
from arot_assets.media.image.formats.read import read_header
from arot_assets.media.image.generation import generation
from arot_assets.media.image.stealth import hidden_text

TINY_SIDE = 16
"""Images whose shorter side is below this many pixels get the note ``tiny``: less than one patch of a vision model."""

EXTREME_ASPECT = 8.0
"""Images longer than this multiple of their shorter side get the note ``extreme_aspect``: training buckets end at
4:1."""

NOTES: Mapping[str, str] = {
    "extension_mismatch": "the extension belongs to another format than the content",
    "animated": "an animation; its first frame is used",
    "multi_page": "several pages or images; the first is used",
    "tiny": f"the shorter side is below {TINY_SIDE} pixels",
    "extreme_aspect": f"one side is more than {EXTREME_ASPECT:g} times the other",
    "trailing_data": "further bytes after the end of the image",
    "bad_checksum": "a checksum is wrong, though the pixels are intact",
    "bad_metadata": "embedded metadata (an ICC profile, EXIF) can't be read and is ignored",
}
"""Every note of a probe, and its meaning."""

_EXTENSIONS = {
    "JPEG": ("jpg", "jpeg", "jpe", "jfif", "pjpeg", "pjp", "mpo"),
    "PNG": ("png", "apng"),
    "WEBP": ("webp",),
    "GIF": ("gif",),
    "BMP": ("bmp", "dib"),
    "TIFF": ("tif", "tiff"),
    "AVIF": ("avif", "avifs"),
    "HEIC": ("heic", "heif", "heics", "hif"),
    "JXL": ("jxl",),
    "JPEG2000": ("jp2", "j2k", "jpf", "jpx"),
    "SVG": ("svg",),
    "MP4": ("mp4", "m4v"),
    "MOV": ("mov",),
    "MKV": ("mkv", "webm"),
    "AVI": ("avi",),
    "PSD": ("psd",),
    "PDF": ("pdf",),
    "ZIP": ("zip",),
}
_FORMAT_OF = {extension: name for name, extensions in _EXTENSIONS.items() for extension in extensions}


@dataclass(frozen=True)
class ImageProbe:
    """What is known about an image file.

    Attributes:
        status: ``ok``, ``corrupt`` (damaged) or ``unsupported`` (cannot be decoded here).
        reason: why it is not ok, None if it is.
        notes: usable, but worth knowing; keys of ``NOTES``.
        format: JPEG, PNG, WEBP ..., also of unsupported files (JXL, SVG, MP4 ...); None if unknown.
        mode: Pillow's name of the stored pixels (RGB, L, P, CMYK, RGBA, LA, I;16 ...).
        width, height: in pixels, after EXIF orientation.
        n_frames: frames or pages, 1 for a still image.
        has_alpha: some pixel may be transparent.
        icc_profile: the description of the embedded profile, None if there is none.
        pixels_only: a JPEG or PNG that has nothing but its pixels (``Header.pixels_only``).
        generation: what an image generator wrote into the file, see ``media.image.generation``.
    """

    status: Literal["ok", "corrupt", "unsupported"]
    reason: str | None
    notes: tuple[str, ...]
    format: str | None
    mode: str | None
    width: int | None
    height: int | None
    n_frames: int | None
    has_alpha: bool | None
    icc_profile: str | None
    pixels_only: bool
    generation: dict[str, Any] | None


def probe(data: bytes, name: str, max_megapixels: float = MAX_MEGAPIXELS) -> ImageProbe:
    """Examine a file by its bytes.

    Args:
        data: the whole file.
        name: its name, path or URI; only the extension is used, for comparison with the content.
        max_megapixels: larger images are ``unsupported``, refused based on their header.

    Returns:
        A probe, for any bytes; nothing is raised.
    """
    header = Header(max_megapixels=max_megapixels)
    status: Literal["ok", "corrupt", "unsupported"] = "ok"
    reason = None
    try:
        read_header(data, header)
    except DecodeError as error:
        status, reason = error.status, error.reason
    _judge(header, name)
    width, height = header.width, header.height
    if header.orientation >= 5:
        width, height = height, width
    known = header.mode is not None
    icc_profile = _icc_name(header)  # may add a note
    return ImageProbe(
        status=status,
        reason=reason,
        notes=tuple(header.notes),
        format=header.format,
        mode=header.mode,
        width=width,
        height=height,
        n_frames=header.n_frames if known else None,
        has_alpha=header.has_alpha if known else None,
        icc_profile=icc_profile,
        pixels_only=header.pixels_only and status == "ok",
        generation=_generation(data, header, whole=status == "ok"),
    )


def _judge(header: Header, name: str) -> None:
    """Add the notes that do not come from a format's reader."""
    claimed = _FORMAT_OF.get(PurePosixPath(name).suffix.lower().removeprefix("."))
    if claimed and header.format in _EXTENSIONS and claimed != header.format:
        header.note("extension_mismatch")
    if header.n_frames > 1:
        header.note("multi_page" if header.format in ("TIFF", "HEIC") else "animated")
    if header.width and header.height:
        short, long = sorted((header.width, header.height))
        if short < TINY_SIDE:
            header.note("tiny")
        if long > EXTREME_ASPECT * short:
            header.note("extreme_aspect")


def _generation(data: bytes, header: Header, whole: bool) -> dict[str, Any] | None:
    """What an image generator wrote; if the metadata has nothing, the pixels may contain it."""
    found = generation(header.texts) if header.texts else None
    if found is None and whole and (hidden := hidden_text(data, header)) is not None:
        found = generation({**header.texts, "stealth": hidden})
    return found


def _icc_name(header: Header) -> str | None:
    """The profile's description; a profile without a description is still distinguished from no profile."""
    if not header.icc:
        return None
    description = profile_name(header.icc)
    if description is None:
        header.note("bad_metadata")
    return description or "unnamed"
