"""Text hidden in the lowest bits of the pixels ("stealth pnginfo"), with which NovelAI and others survive the loss of
metadata.

Belongs here: finding and reading it, at almost no cost for images without it. Does not belong here: what the text means
(``generation``).

The bits run down the columns from the left, one per pixel in alpha or three in red, green and blue, most significant
first: a signature of 15 bytes, the length of the text in bits (32 bits), then the text, plain or compressed with gzip.

PNG: in the first column, each row's filter needs only the byte above (the left neighbour is 0, so Paeth selects the
byte above), so one row at a time is inflated for as long as the signature matches: one or two rows for almost every
image, about 0.1 ms for 1216 x 832 pixels. WebP can only be decoded as a whole (20 ms for that size), so this is done
only if it is lossless and has alpha, up to ``MAX_WEBP_PIXELS``; lossy WebP with a lossless alpha plane is not searched.
"""

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from arot_assets.media.image.formats.exif import MAX_TEXT, utf8_or_latin1
from arot_assets.media.image.formats.header import DecodeError, Header
from arot_assets.media.image.formats.pillow import load_whole, open_image

MAX_WEBP_PIXELS = 4_200_000
"""Largest WebP that is decoded for this; generators write up to 2048 x 2048 before upscaling."""

_ALPHA = {b"stealth_pnginfo": False, b"stealth_pngcomp": True}
_COLOUR = {b"stealth_rgbinfo": False, b"stealth_rgbcomp": True}
"""Signatures, and whether the text is compressed."""
_COMMON = b"stealth_"
_SIGNATURE, _LENGTH = 15, 4
_SLICE = 4096
"""Compressed bytes passed to zlib at a time: it copies what it does not use."""


def hidden_text(data: bytes, header: Header) -> str | None:
    """The text hidden in an image's pixels, None if there is none.

    Args:
        data: the whole file.
        header: the result of its reader; the file is complete.
    """
    if not _may_hide(data, header):
        return None
    try:
        with open_image(data, header) as image:
            load_whole(image, header)
            pixels: NDArray[np.uint8] = np.asarray(image)
    except DecodeError:  # damage inside the pixels is reported when the image is decoded
        return None
    if pixels.shape[2] == 4 and (text := _read(pixels[..., 3:], _ALPHA)) is not None:
        return text
    return _read(pixels[..., :3], _COLOUR)


def _may_hide(data: bytes, header: Header) -> bool:
    """Whether the whole image has to be decoded to find out."""
    size = (header.width or 0) * (header.height or 0)
    if 3 * size < 8 * (_SIGNATURE + _LENGTH) or header.n_frames > 1:
        return False
    if header.format == "PNG":
        bits, colour, interlace = data[24], data[25], data[28]
        return bits == 8 and colour in (2, 6) and not interlace and _column_begins(data, header)
    return header.format == "WEBP" and size <= MAX_WEBP_PIXELS and header.has_alpha and _is_lossless(data)


def _column_begins(data: bytes, header: Header) -> bool:
    """Whether the first column of a PNG starts with a signature, as far as the column reaches."""
    channels = 4 if data[25] == 6 else 3
    alpha = colour = True
    want = _bits(_COMMON)
    above = [0] * channels
    for row, line in enumerate(_rows(data, header, 1 + channels * (header.width or 0))):
        kind, left = line[0], line[1 : 1 + channels]
        if kind in (2, 4):
            above = [value + up & 255 for value, up in zip(left, above, strict=True)]
        elif kind == 3:
            above = [value + up // 2 & 255 for value, up in zip(left, above, strict=True)]
        else:
            above = list(left)
        alpha = alpha and channels == 4 and (row >= len(want) or above[3] & 1 == want[row])
        three = want[3 * row : 3 * row + 3]
        colour = colour and [value & 1 for value in above[: len(three)]] == three
        if not (alpha or colour):
            return False
        if row + 1 >= len(want):
            break
    return True


def _rows(data: bytes, header: Header, stride: int) -> Iterator[bytes]:
    """Filtered rows of a PNG that is not interlaced, one at a time."""
    stream = zlib.decompressobj()
    row = b""
    left = header.height or 0
    for start, end in _idat(data):
        for at in range(start, end, _SLICE):
            pending = data[at : min(at + _SLICE, end)]
            while pending and left:
                try:
                    row += stream.decompress(pending, stride - len(row))
                except zlib.error:
                    return
                pending = stream.unconsumed_tail
                if len(row) == stride:
                    yield row
                    row = b""
                    left -= 1
                elif stream.eof:
                    return


def _idat(data: bytes) -> Iterator[tuple[int, int]]:
    """Offsets of the compressed pixels; the reader has checked the chunks."""
    at = 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IDAT":
            yield at + 8, at + 8 + length
        elif kind == b"IEND":
            return
        at += 12 + length


def _is_lossless(data: bytes) -> bool:
    """Whether a WebP's image is lossless."""
    at = 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        if kind == b"VP8L":
            return True
        at += 8 + length + length % 2
    return False


def _read(pixels: NDArray[np.uint8], signatures: dict[bytes, bool]) -> str | None:
    """The text in the lowest bits of ``uint8 [H, W, channels]``, None if they do not start with a signature."""
    height, _, channels = pixels.shape

    def at(start: int, count: int) -> bytes:
        first, last = 8 * start, 8 * (start + count)
        columns = pixels[:, first // (height * channels) : -(-last // (height * channels))]
        bits = columns.transpose(1, 0, 2).reshape(-1) & 1
        skipped = first // (height * channels) * height * channels
        return np.packbits(bits[first - skipped : last - skipped]).tobytes()

    packed = signatures.get(at(0, _SIGNATURE))
    if packed is None:
        return None
    size = int.from_bytes(at(_SIGNATURE, _LENGTH), "big") // 8
    if not 0 < size <= min(MAX_TEXT, pixels.size // 8 - _SIGNATURE - _LENGTH):
        return None
    text = at(_SIGNATURE + _LENGTH, size)
    if packed:
        stream = zlib.decompressobj(31)
        try:
            text = stream.decompress(text, MAX_TEXT)
        except zlib.error:  # cut, or changed since
            return None
        if not stream.eof:
            return None
    return utf8_or_latin1(text)


def _bits(value: bytes) -> list[int]:
    return [byte >> (7 - i) & 1 for byte in value for i in range(8)]
