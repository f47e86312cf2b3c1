"""TIFF files that tifffile does not write: any tags around any chunks."""

import struct
from collections.abc import Mapping, Sequence

SIDE = 16
"""Pixels of the sides of each file."""


def tiff_of(
    chunks: Sequence[bytes],
    bits: int,
    photometric: int,
    samples: int = 3,
    planar: int = 1,
    compression: int = 1,
    more: Mapping[int, Sequence[int]] | None = None,
) -> bytes:
    """A little-endian file of one page, 16 by 16 pixels, with a strip, or one for each plane.

    Args:
        chunks: the compressed strips.
        bits: of each sample.
        photometric: PhotometricInterpretation.
        samples: of a pixel.
        planar: PlanarConfiguration.
        compression: of the chunks.
        more: further tags with their numbers, 16 bits each.
    """
    starts = [8 + sum(map(len, chunks[:number])) for number in range(len(chunks))]
    longs = {256: [SIDE], 257: [SIDE], 273: starts, 278: [SIDE], 279: [len(chunk) for chunk in chunks]}
    shorts = {258: [bits] * samples, 259: [compression], 262: [photometric], 277: [samples], 284: [planar]}
    tags = {
        **{tag: ("H", n) for tag, n in (shorts | dict(more or {})).items()},
        **{t: ("I", n) for t, n in longs.items()},
    }
    at = 8 + sum(map(len, chunks))
    beyond_at = at + 2 + 12 * len(tags) + 4
    entries = beyond = b""
    for tag, (kind, numbers) in sorted(tags.items()):
        packed = struct.pack(f"<{len(numbers)}{kind}", *numbers)
        if len(packed) > 4:
            beyond += packed
            packed = struct.pack("<I", beyond_at + len(beyond) - len(packed))
        entries += struct.pack("<HHI", tag, 3 if kind == "H" else 4, len(numbers)) + packed.ljust(4, b"\0")
    return b"".join([b"II*\0", struct.pack("<I", at), *chunks, struct.pack("<H", len(tags)), entries, bytes(4), beyond])
