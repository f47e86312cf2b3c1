"""What a file says about itself before any pixel is decoded, and the errors for unusable files.

Belongs here: the record that this folder's readers fill, and checking the size limit. Does not belong here: the rules
of any format.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from arot_assets.media.file import MAX_MEGAPIXELS, DecodeError

__all__ = ["MAX_MEGAPIXELS", "WHITE", "Band", "DecodeError", "Header", "corrupt", "unsupported"]

Band = tuple[int, NDArray[np.uint8], NDArray[np.uint8] | None]
"""Some rows of an image: the first row; colours ``uint8 [h, W]`` or ``[h, W, C]``; alpha ``uint8 [h, W]`` or None."""
WHITE = (255, 255, 255)


@dataclass
class Header:
    """What a reader found, as far as it got. Filled in place, so that the type of a damaged file is known too.

    Attributes:
        format: Pillow's name where Pillow has one: JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF; else HEIC, JXL, SVG, MP4 ...
        max_megapixels: the limit that ``set_size`` checks.
        background: the sRGB colour behind what is transparent, when it is decoded.
        mode: Pillow's name of the stored pixels: 1, L, LA, P, RGB, RGBA, CMYK, I;16 ...
        width, height: in pixels, as stored.
        orientation: EXIF orientation, 1-8.
        n_frames: frames of an animation or pages of a document.
        page: which page of a document is the image, from 0; others may be thumbnails.
        bits: per sample, if that is more than 8 and the format allows several values (TIFF: 12 or 16).
        min_is_white: gray of more than 8 bits in which zero is white.
        clear: the one colour that is transparent, as stored: one sample of gray, three of RGB (PNG).
        has_alpha: some pixel may be transparent.
        icc: the embedded ICC profile.
        exif: the raw EXIF block (a TIFF structure).
        texts: keyed text found in the file (PNG text chunks and the like).
        notes: usable, but worth knowing; see ``probe.NOTES``.
        bands: reads the pixels of a layout for which Pillow has no mode (``tiff_samples.bands``), otherwise None.
        plain: 8-bit gray, RGB or RGBA without anything that the fast decoders treat differently from Pillow.
        pixels_only: a JPEG or PNG that was followed to its end and has nothing but its pixels: no EXIF, XMP, profile, text,
            comment, animation, or byte between its parts or after its end.
    """

    format: str | None = None
    max_megapixels: float = MAX_MEGAPIXELS
    background: tuple[int, int, int] = WHITE
    mode: str | None = None
    width: int | None = None
    height: int | None = None
    orientation: int = 1
    n_frames: int = 1
    page: int = 0
    bits: int = 16
    min_is_white: bool = False
    clear: tuple[int, ...] = ()
    has_alpha: bool = False
    icc: bytes | None = None
    exif: bytes | None = None
    texts: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    bands: "Callable[[], Iterator[Band]] | None" = None
    plain: bool = False
    pixels_only: bool = False

    def set_size(self, width: int, height: int) -> None:
        """Record the stored size in pixels; refuse empty and oversized images.

        Raises:
            DecodeError: ``corrupt`` for an empty image, ``unsupported`` above ``max_megapixels``.
        """
        self.width, self.height = width, height
        if width <= 0 or height <= 0:
            raise corrupt(f"{self.format} header says {width}x{height} pixels")
        megapixels = width * height / 1e6
        if megapixels > self.max_megapixels:
            raise unsupported(
                f"{width}x{height} pixels ({megapixels:,.0f} MP) is over the limit of {self.max_megapixels:g} MP; "
                "refused based on the header, before decoding"
            )

    def add_texts(self, texts: Mapping[str, str]) -> None:
        """Add texts, unless there are others with these names: EXIF is more specific than XMP."""
        for name, text in texts.items():
            self.texts.setdefault(name, text)

    def note(self, name: str) -> None:
        """Add a note, unless it is there already."""
        if name not in self.notes:
            self.notes.append(name)


def corrupt(reason: str) -> DecodeError:
    """The error for a damaged file."""
    return DecodeError("corrupt", reason)


def unsupported(reason: str) -> DecodeError:
    """The error for a file that cannot be decoded here."""
    return DecodeError("unsupported", reason)
