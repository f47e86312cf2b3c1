"""TIFF and BigTIFF: the chain of directories, and whether every strip or tile is inside the file.

Belongs here: directories, which page is the image, extents, distinguishing camera raw files and measurements (whose
numbers have no defined black and white) from images. Does not belong here: compression schemes.
Source: TIFF 6.0, TIFF Technical Note 3, the BigTIFF design, Adobe DNG 1.7.
"""

import struct
from collections.abc import Iterator
from functools import partial

import numpy as np

from arot_assets.media.image.formats.header import DecodeError, Header, corrupt, unsupported
from arot_assets.media.image.formats.pillow import open_page
from arot_assets.media.image.formats.tiff_samples import COMPRESSION, NEEDED, PREDICTING, PREDICTOR, bands, layout_of

MAX_PAGES = 10_000
"""Directories followed in one file."""
MAX_TAGS = 200_000
"""Tags read in one file, in all directories together: a page has about 20. Directories may overlap, so a small file can
contain billions."""

_SUBFILE, _WIDTH, _HEIGHT, _ORIENTATION, _SUB_IFDS, _DNG_VERSION = 254, 256, 257, 274, 330, 50706
_BITS, _PHOTOMETRIC, _SAMPLES, _PLANAR, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 258, 262, 277, 284, 338, 339
_ICC_PROFILE = 34675
_EXTENTS = ((273, 279), (324, 325))  # strips, tiles: offsets and byte counts
_WANTED = {
    *(_SUBFILE, _WIDTH, _HEIGHT, _ORIENTATION, _SUB_IFDS, _DNG_VERSION, *(tag for pair in _EXTENTS for tag in pair)),
    *(_BITS, _PHOTOMETRIC, _SAMPLES, _PLANAR, _EXTRA_SAMPLES, _SAMPLE_FORMAT),
    *NEEDED,
}
_TYPES = {1: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_REDUCED, _MASK = 1, 4
_INVERTED, _GRAY, _YCBCR = 0, 1, 6
_SEPARATE_PLANES = 2
_NUMBERS = {2: "signed integer", 3: "floating-point", 5: "complex integer", 6: "complex floating-point"}
"""SampleFormat: types without a defined black and white. 1 is unsigned, 4 undefined."""
_NO_PICTURE = {
    4: "transparency mask",
    8: "CIELAB",
    9: "ICC LAB",
    10: "ITU LAB",
    32803: "colour filter array",
    32844: "LogL",
    32845: "LogLuv",
    34892: "linear raw",
    51177: "depth map",
    52527: "semantic mask",
}
"""PhotometricInterpretation: colours that no reader here converts to RGB."""

_DEPTHS = {**dict.fromkeys((2, 3, 4, 32771), 1), 32809: 4, **dict.fromkeys((6, 7), 8)}
"""Compression: the bits of a sample for which a codec is made: fax and RLE, ThunderScan, JPEG."""
_NO_CODEC = {34676: "SGI LogLuv", 34677: "SGI LogLuv", 50001: "WebP"}
"""Compression: codecs that Pillow names and its libtiff lacks, or has for other colours."""

_BIG_BIG_ENDIAN = b"MM\0+"
"""The first bytes of a big-endian BigTIFF; Pillow mistakes its header for that of a plain TIFF."""

Directory = dict[int, np.ndarray]


def read_tiff(data: bytes, header: Header, whole: bool) -> None:  # noqa: ARG001 - extents are cheap
    """Fill the header from the first full-size page; the pixels of every page must be inside the file."""
    try:
        pages = list(_directories(data, header))
    except (struct.error, ValueError, OverflowError) as error:
        raise corrupt("TIFF directory reaches beyond the end: cut short or damaged") from error
    if not pages:
        raise corrupt("TIFF without a directory: cut short or damaged")
    first = pages[0]
    if _DNG_VERSION in first or (_SUB_IFDS in first and _value(first, _SUBFILE) & _REDUCED):
        raise unsupported("camera raw (DNG, NEF or the like): develop it to TIFF, PNG or JPEG")
    if data[8:10] == b"CR":
        raise unsupported("camera raw (Canon CR2): develop it to TIFF, PNG or JPEG")
    full = [number for number, page in enumerate(pages) if not _value(page, _SUBFILE) & (_REDUCED | _MASK)]
    header.n_frames = max(1, len(full))
    header.page = full[0] if full else 0
    picture = pages[header.page]
    header.set_size(_value(picture, _WIDTH), _value(picture, _HEIGHT))
    for number, page in enumerate(pages, 1):
        _check_extents(page, number, len(data))
    _check_samples(picture)
    _check_codec(picture)
    orientation = _value(picture, _ORIENTATION)
    header.orientation = orientation if 1 <= orientation <= 8 else 1
    header.bits = max(8, _bits(picture))
    header.min_is_white = header.bits > 8 and _PHOTOMETRIC in picture and not _value(picture, _PHOTOMETRIC)
    if data[:4] == _BIG_BIG_ENDIAN or _needs_bands(picture):
        _set_bands(data, header, picture)
        return
    stored = header.width, header.height
    try:
        with open_page(data, header) as image:
            header.mode, header.icc = image.mode, image.tag_v2.get(_ICC_PROFILE)
            header.has_alpha = image.has_transparency_data
    except DecodeError as error:
        if error.status == "unsupported" or not {_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC} <= picture.keys():
            raise
        _set_bands(data, header, picture)
    header.width, header.height = stored


def _needs_bands(page: Directory) -> bool:
    """Whether Pillow would misinterpret its planes, or not read them at all: it only reads those of 8-bit colours other
    than YCbCr, and of black and white, without inverting any. A single sample may be called a plane too."""
    colours = _value(page, _PHOTOMETRIC)
    plain = colours == _GRAY if _bits(page) == 1 else _bits(page) == 8 and colours not in (_INVERTED, _YCBCR)
    return _value(page, _PLANAR) == _SEPARATE_PLANES and not (plain and _EXTRA_SAMPLES not in page)


def _set_bands(data: bytes, header: Header, page: Directory) -> None:
    """Read a page by its samples, if that is possible.

    Raises:
        DecodeError: ``unsupported``: it is not.
    """
    layout = layout_of(page, "<" if data[:2] == b"II" else ">")
    if layout is None:
        raise unsupported(f"{_layout(page)}: no reader for it; convert it to 8-bit RGB")
    header.bands = partial(bands, data, layout)
    header.mode, header.has_alpha = layout.mode, layout.alpha is not None
    header.icc = page[_ICC_PROFILE].tobytes() if _ICC_PROFILE in page else None


def _check_samples(page: Directory) -> None:
    """Refuse what is not an image.

    Raises:
        DecodeError: ``unsupported``.
    """
    bits = _bits(page)
    for kind in page.get(_SAMPLE_FORMAT, ()):
        if int(kind) in _NUMBERS:
            raise unsupported(
                f"TIFF with {bits}-bit {_NUMBERS[int(kind)]} samples: their range is not defined; convert it to 8 or 16 bit"
            )
    if bits > 16:
        raise unsupported(
            f"TIFF with {bits}-bit integer samples: their range is not defined; convert it to 8 or 16 bit"
        )
    colours = _NO_PICTURE.get(_value(page, _PHOTOMETRIC))
    if colours:
        raise unsupported(f"TIFF with {colours} samples; convert it to RGB")


def _check_codec(page: Directory) -> None:
    """Refuse what libtiff, as Pillow carries it, opens and then cannot decode.

    Raises:
        DecodeError: ``unsupported``.
    """
    bits, codec = _bits(page), _value(page, COMPRESSION)
    depth = _DEPTHS.get(codec, bits)
    if codec in _NO_CODEC or bits != depth:
        name = _NO_CODEC.get(codec) or f"{bits}-bit samples in a codec for {depth} bits"
        raise unsupported(f"TIFF with {name} (compression scheme {codec}); convert it to 8-bit RGB without compression")
    predictor = _value(page, PREDICTOR) if PREDICTOR in page and codec in PREDICTING else 1
    if predictor not in (1, 2):
        raise unsupported(f"TIFF with integer samples and predictor {predictor}; convert it to 8-bit RGB")


def _layout(page: Directory) -> str:
    """A description of a page's samples."""
    planes = " in separate planes" if _value(page, _PLANAR) == _SEPARATE_PLANES else ""
    return (
        f"TIFF with {max(1, _value(page, _SAMPLES))} samples of {_bits(page)} bits{planes}, "
        f"photometric interpretation {_value(page, _PHOTOMETRIC)}"
    )


def _bits(page: Directory) -> int:
    """Bits of the largest sample."""
    return int(page[_BITS].max()) if _BITS in page else 1


def _directories(data: bytes, header: Header) -> Iterator[Directory]:
    """The relevant tags of each directory, along the chain."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\x00", b"\x00+")
    pointer, count, entry = ("Q", "Q", 20) if big else ("I", "H", 12)
    (at,) = struct.unpack_from(order + pointer, data, 8 if big else 4)
    seen, tags_read = set[int](), 0
    while at and at not in seen and len(seen) < MAX_PAGES:
        seen.add(at)
        (n,) = struct.unpack_from(order + count, data, at)
        start = at + struct.calcsize(order + count)
        tags_read += n
        if tags_read > MAX_TAGS:
            raise unsupported(f"TIFF with more than {MAX_TAGS:,} tags: no image needs them")
        (next_at,) = struct.unpack_from(order + pointer, data, start + n * entry)
        tags: Directory = {}
        for i in range(start, start + n * entry, entry):
            tag, kind, length = struct.unpack_from(order + "HH" + pointer, data, i)
            inline = i + (12 if big else 8)
            size = length * _SIZES.get(kind, 0)
            where = inline if size <= (8 if big else 4) else struct.unpack_from(order + pointer, data, inline)[0]
            if tag == _ICC_PROFILE and where + size <= len(data):
                tags[tag] = np.frombuffer(data, np.uint8, size, where)
            elif tag in _WANTED and kind in _TYPES and length:
                tags[tag] = np.frombuffer(data, order + _TYPES[kind], length, where)
            elif where + size > len(data):
                header.note("bad_metadata")
        yield tags
        at = next_at


def _value(tags: Directory, tag: int) -> int:
    """The first number of a tag, 0 without it."""
    return int(tags[tag][0]) if tag in tags else 0


def _check_extents(page: Directory, number: int, size: int) -> None:
    """Every strip or tile of a page must end inside the file."""
    for offsets, counts in _EXTENTS:
        if offsets in page and counts in page:
            n = min(len(page[offsets]), len(page[counts]))
            ends = page[offsets][:n].astype(np.float64) + page[counts][:n].astype(np.float64)
            if len(ends) and float(ends.max()) > size:
                raise corrupt(f"TIFF cut short: pixels of page {number} end at byte {ends.max():,.0f} of {size:,}")
