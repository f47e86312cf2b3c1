"""TIFF and BigTIFF: the chain of directories, and whether every strip or tile lies inside the file.

Belongs here: directories, pages, extents, telling camera raw files apart. Does not belong here: compression schemes.
Source: TIFF 6.0, the BigTIFF design, Adobe DNG 1.7.
"""

import struct
from collections.abc import Iterator

import numpy as np

from arot_assets.media.image.formats.header import Header, corrupt, unsupported
from arot_assets.media.image.formats.pillow import open_image

MAX_PAGES = 10_000
"""Directories followed in one file."""
MAX_TAGS = 200_000
"""Tags read in one file, all directories together: a page has about 20. Directories may overlap, so a small file can hold
billions."""

_SUBFILE, _WIDTH, _HEIGHT, _ORIENTATION, _SUB_IFDS, _DNG_VERSION = 254, 256, 257, 274, 330, 50706
_EXTENTS = ((273, 279), (324, 325))  # strips, tiles: offsets and byte counts
_TYPES = {1: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_REDUCED = 1

Directory = dict[int, np.ndarray]


def read_tiff(data: bytes, header: Header, whole: bool) -> None:  # noqa: ARG001 - extents are cheap
    """Fill the header from the first page; the pixels of every page must lie inside the file."""
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
    header.set_size(_value(first, _WIDTH), _value(first, _HEIGHT))
    for number, page in enumerate(pages, 1):
        _check_extents(page, number, len(data))
    header.n_frames = max(1, sum(not _value(page, _SUBFILE) & _REDUCED for page in pages))
    orientation = _value(first, _ORIENTATION)
    header.orientation = orientation if 1 <= orientation <= 8 else 1
    stored = header.width, header.height
    with open_image(data, header) as image:
        header.mode, header.icc = image.mode, image.info.get("icc_profile")
        header.has_alpha = image.has_transparency_data
    header.width, header.height = stored


def _directories(data: bytes, header: Header) -> Iterator[Directory]:
    """The tags of each directory that matter here, along the chain."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\x00", b"\x00+")
    pointer, count, entry = ("Q", "Q", 20) if big else ("I", "H", 12)
    wanted = {_SUBFILE, _WIDTH, _HEIGHT, _ORIENTATION, _SUB_IFDS, _DNG_VERSION, *(t for pair in _EXTENTS for t in pair)}
    (at,) = struct.unpack_from(order + pointer, data, 8 if big else 4)
    seen, tags_read = set[int](), 0
    while at and at not in seen and len(seen) < MAX_PAGES:
        seen.add(at)
        (n,) = struct.unpack_from(order + count, data, at)
        start = at + struct.calcsize(order + count)
        tags_read += n
        if tags_read > MAX_TAGS:
            raise unsupported(f"TIFF with more than {MAX_TAGS:,} tags: no picture needs them")
        (next_at,) = struct.unpack_from(order + pointer, data, start + n * entry)
        tags: Directory = {}
        for i in range(start, start + n * entry, entry):
            tag, kind, length = struct.unpack_from(order + "HH" + pointer, data, i)
            inline = i + (12 if big else 8)
            size = length * _SIZES.get(kind, 0)
            where = inline if size <= (8 if big else 4) else struct.unpack_from(order + pointer, data, inline)[0]
            if tag in wanted and kind in _TYPES and length:
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
