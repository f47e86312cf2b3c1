"""TIFF images whose samples lie in a layout that Pillow has no mode for: planes of more than 8 bits, alpha beside deep gray,
several extra channels.

Belongs here: telling which samples are colours and which is alpha, and reading them as plain numbers. Does not belong here:
directories and the rules of what is an image (``tiff.py``), turning colours into sRGB (``decode.py``).

Pixels of a plane, or of all samples of a pixel side by side, are gray levels for a decoder: a small TIFF of one gray sample is
written around the compressed strips or tiles as they are, and libtiff decodes it through Pillow. Rows come in bands, so that
large images take no more memory than small ones. Source: TIFF 6.0, TIFF Technical Note 1 (predictor), Adobe Photoshop TIFF.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from arot_assets.media.image.formats.header import Band, corrupt, unsupported
from arot_assets.media.image.formats.pillow import gray_levels

Samples = NDArray[Any]
"""``uint8`` or ``uint16``."""
Directory = Mapping[int, np.ndarray]
"""Tag -> its numbers."""

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS, PLANAR = 273, 277, 278, 279, 284
PREDICTOR, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS, INK_SET, EXTRA_SAMPLES = (
    317,
    322,
    323,
    324,
    325,
    332,
    338,
)
NEEDED = frozenset(
    {COMPRESSION, FILL_ORDER, ROWS_PER_STRIP, PREDICTOR, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS, INK_SET}
)
"""Tags that only this module reads."""

SEPARATE = 2
PLAIN_CODECS = {
    1: "none",
    5: "LZW",
    8: "deflate",
    32773: "PackBits",
    32946: "deflate",
    34925: "LZMA",
    50000: "Zstandard",
}
"""Compression schemes that know nothing of samples, so that these can be read as gray levels."""
PREDICTING = frozenset({5, 8, 32946, 34925, 50000})
BAND = 2_000_000
"""Samples that are decoded at once, unless a single strip or row of tiles holds more."""
MOST_IN_TILES = 64_000_000
"""Samples of a row of tiles; tiles may be far larger than the image, so these are refused from the header."""


@dataclass(frozen=True)
class SampleLayout:
    """Which samples of a page are what.

    Attributes:
        page: its directory.
        order: ``<`` or ``>``, the byte order of its samples.
        colours: Pillow's mode of the colours, of the first samples.
        alpha: which sample is alpha, None without.
        premultiplied: whether the colours are multiplied by alpha (associated alpha).
        inverted: gray whose zero is white.
    """

    page: Directory
    order: Literal["<", ">"]
    colours: Literal["L", "RGB", "CMYK"]
    alpha: int | None
    premultiplied: bool
    inverted: bool

    @property
    def mode(self) -> str:
        """Pillow's name for the like of it."""
        if self.alpha is not None:
            return {"L": "LA", "RGB": "RGBA", "CMYK": "CMYK"}[self.colours]
        return "I;16" if self.colours == "L" and int(self.page[BITS].max()) == 16 else self.colours


def layout_of(page: Directory, order: Literal["<", ">"]) -> SampleLayout | None:
    """What a page's samples are, None if they are nothing that can be read here: other depths, colours or codecs."""
    known: dict[int, tuple[Literal["L", "RGB", "CMYK"], int]] = {
        0: ("L", 1),
        1: ("L", 1),
        2: ("RGB", 3),
        5: ("CMYK", 4),
    }
    bits = {int(b) for b in page.get(BITS, ())}
    photometric = _value(page, PHOTOMETRIC, -1)
    if photometric not in known or bits not in ({8}, {16}) or _value(page, COMPRESSION, 1) not in PLAIN_CODECS:
        return None
    if _value(page, PREDICTOR, 1) not in (1, 2) or (photometric == 5 and _value(page, INK_SET, 1) != 1):
        return None
    colours, count = known[photometric]
    extra = _value(page, SAMPLES, 1) - count
    if extra < 0 or (colours == "L" and extra > 1):  # bands of a measurement
        return None
    kinds = [int(kind) for kind in page.get(EXTRA_SAMPLES, ())][:extra]
    alpha = next((k for k, kind in enumerate(kinds) if kind in (1, 2)), None)
    return SampleLayout(
        page=page,
        order=order,
        colours=colours,
        alpha=None if alpha is None else count + alpha,
        premultiplied=alpha is not None and kinds[alpha] == 1,
        inverted=photometric == 0,
    )


def bands(data: bytes, layout: SampleLayout) -> Iterator[Band]:
    """The rows of a page from the top, some at a time.

    Yields:
        Colours that are not multiplied by alpha; 16 bits by their high byte.

    Raises:
        DecodeError: pixels are damaged or not all there.
    """
    wanted = list(range({"L": 1, "RGB": 3, "CMYK": 4}[layout.colours]))
    if layout.alpha is not None:
        wanted.append(layout.alpha)
    for top, samples in _samples(data, layout, wanted):
        alpha = None if layout.alpha is None else samples[..., -1]
        colours = samples if alpha is None else samples[..., :-1]
        if alpha is not None and layout.premultiplied:
            colours = _divided(colours, alpha)
        if layout.inverted:
            colours = ~colours
        shown = _high(colours)  # only now: the quotient is that of all bits
        yield top, shown[..., 0] if layout.colours == "L" else shown, None if alpha is None else _high(alpha)


def _samples(data: bytes, layout: SampleLayout, wanted: list[int]) -> Iterator[tuple[int, Samples]]:
    """Some samples of each pixel, ``[h, W, S]``, band by band."""
    page = layout.page
    width, height, count = _value(page, WIDTH, 0), _value(page, HEIGHT, 0), _value(page, SAMPLES, 1)
    tiled = TILE_WIDTH in page
    across = _value(page, TILE_WIDTH, 0) if tiled else width
    down = _value(page, TILE_HEIGHT, 0) if tiled else min(_value(page, ROWS_PER_STRIP, height), height)
    if not across or not down:
        raise corrupt("TIFF with strips or tiles of no size")
    columns, rows = -(-width // across), -(-height // down)
    apart = _value(page, PLANAR, 1) == SEPARATE
    inside = 1 if apart else count  # samples of a pixel in one chunk
    if tiled and columns * across * down * inside > MOST_IN_TILES:
        raise unsupported(f"TIFF with tiles of {across}x{down} pixels; convert it to smaller ones")
    offsets, counts = (page.get(t) for t in ((TILE_OFFSETS, TILE_COUNTS) if tiled else (STRIP_OFFSETS, STRIP_COUNTS)))
    chunks = columns * rows * (count if apart else 1)
    if offsets is None or counts is None or len(offsets) < chunks or len(counts) < chunks:
        raise corrupt("TIFF does not say where all of its strips or tiles are")
    step = max(1, BAND // (columns * across * down * inside))
    for first in range(0, rows, step):
        last = min(first + step, rows)
        planes = []
        for plane in wanted if apart else [0]:
            start = (plane * rows + first) * columns
            some = range(start, start + (last - first) * columns)
            parts = [data[int(offsets[k]) : int(offsets[k]) + int(counts[k])] for k in some]
            high = (last - first) * down if tiled else min(last * down, height) - first * down
            levels = _levels(layout, parts, columns * across * inside, high, across * inside if tiled else 0, down)
            planes.append(_predicted(layout, levels.reshape(high, columns, across, inside)))
        samples = np.concatenate(planes, axis=-1) if apart else planes[0][..., wanted]
        yield first * down, samples[: height - first * down, :width]


def _levels(layout: SampleLayout, chunks: list[bytes], width: int, height: int, tile: int, rows: int) -> Samples:
    """Chunks decoded as if they were gray, ``[height, width]``."""
    order, bits = layout.order, int(layout.page[BITS].max())
    ends = np.cumsum([0, *(len(c) for c in chunks)])
    tags: dict[int, list[int]] = {
        **{WIDTH: [width], HEIGHT: [height], BITS: [bits], COMPRESSION: [_value(layout.page, COMPRESSION, 1)]},
        **{PHOTOMETRIC: [1], FILL_ORDER: [_value(layout.page, FILL_ORDER, 1)], SAMPLES: [1], PLANAR: [1]},
        **({TILE_WIDTH: [tile], TILE_HEIGHT: [rows]} if tile else {ROWS_PER_STRIP: [rows]}),
        (TILE_OFFSETS if tile else STRIP_OFFSETS): (ends[:-1] + 8).tolist(),
        (TILE_COUNTS if tile else STRIP_COUNTS): [len(c) for c in chunks],
    }
    at = 8 + int(ends[-1])
    table = at + 2 + 12 * len(tags) + 4
    entries, beyond = b"", b""
    for tag, numbers in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(numbers)}I", *numbers)
        if len(packed) > 4:
            beyond += packed
            packed = struct.pack(f"{order}I", table + len(beyond) - len(packed))
        entries += struct.pack(f"{order}HHI", tag, 4, len(numbers)) + packed
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", at)
    file = b"".join([head, *chunks, struct.pack(f"{order}H", len(tags)), entries, bytes(4), beyond])
    return gray_levels(file).astype(np.uint16 if bits == 16 else np.uint8, copy=False)


def _predicted(layout: SampleLayout, parts: Samples) -> Samples:
    """Differences of neighbours added up, where the file has those.

    Args:
        layout: of the page.
        parts: ``[h, C, W, S]``, C tiles beside each other of W pixels.

    Returns:
        ``[h, C * W, S]``.
    """
    page = layout.page
    if _value(page, PREDICTOR, 1) == 2 and _value(page, COMPRESSION, 1) in PREDICTING:
        parts = np.cumsum(parts, axis=2, dtype=parts.dtype)
    return parts.reshape(parts.shape[0], -1, parts.shape[3])


def _divided(colours: Samples, alpha: Samples) -> Samples:
    """Colours before they were multiplied by alpha, as Pillow rounds it (down); where nothing is seen they stay."""
    full = np.iinfo(colours.dtype).max
    weight = np.maximum(alpha, 1).astype(np.uint32)[..., None]
    divided = np.minimum(colours.astype(np.uint32) * full // weight, full)
    return np.where(alpha[..., None] > 0, divided, colours).astype(colours.dtype)


def _high(samples: Samples) -> NDArray[np.uint8]:
    """8 bits, of 16 the high byte."""
    return (samples >> 8).astype(np.uint8) if samples.dtype == np.uint16 else samples.astype(np.uint8)


def _value(page: Directory, tag: int, default: int) -> int:
    """The first number of a tag."""
    return int(page[tag][0]) if tag in page else default
