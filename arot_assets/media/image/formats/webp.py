"""WebP: the RIFF container and the first bytes of its bitstreams.

Belongs here: chunks, sizes, frames. Does not belong here: VP8 decoding.
Source: RFC 9649 (WebP), RFC 6386 (VP8), the WebP lossless bitstream specification.
"""

import struct

from arot_assets.media.image.formats.exif import read_exif
from arot_assets.media.image.formats.header import Header, corrupt
from arot_assets.media.image.formats.xmp import read_xmp


def read_webp(data: bytes, header: Header, whole: bool) -> None:  # noqa: ARG001 - the container is small
    """Fill the header from the chunks; every chunk must fit into the file."""
    end = int.from_bytes(data[4:8], "little") + 8
    if end > len(data):
        raise corrupt(f"WebP cut short: {len(data)} of {end} bytes")
    at, frames, bitstreams = 12, 0, 0
    while at + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, at)
        start = at + 8
        if start + length > end:
            raise corrupt(f"WebP chunk {kind!r} at byte {at} reaches beyond the end: cut short or damaged")
        if kind == b"VP8X" and length >= 10:
            header.has_alpha = bool(data[start] & 0x10)
            header.set_size(
                1 + int.from_bytes(data[start + 4 : start + 7], "little"),
                1 + int.from_bytes(data[start + 7 : start + 10], "little"),
            )
        elif kind in (b"VP8 ", b"VP8L"):
            bitstreams += 1
            _bitstream(kind, data[start : start + length], header)
        elif kind == b"ANMF":
            frames += 1
        elif kind == b"ICCP":
            header.icc = data[start : start + length]
        elif kind == b"EXIF":
            header.exif = data[start : start + length]
            header.orientation, texts = read_exif(header.exif)
            header.texts.update(texts)
        elif kind == b"XMP ":
            header.add_texts(read_xmp(data[start : start + length]))
        at = start + length + length % 2
    if header.width is None or not (bitstreams or frames):
        raise corrupt("WebP without an image (VP8, VP8L or ANMF chunk)")
    header.mode = "RGBA" if header.has_alpha else "RGB"
    header.n_frames = max(1, frames)
    header.plain = frames == 0
    if end + end % 2 < len(data):
        header.note("trailing_data")


def _bitstream(kind: bytes, payload: bytes, header: Header) -> None:
    """Size and alpha from the frame header; in the extended format, the container has given them already."""
    if kind == b"VP8 ":
        if len(payload) < 10 or payload[3:6] != b"\x9d\x01\x2a":
            raise corrupt("WebP: the lossy image (VP8) has no key frame header")
        width, height = struct.unpack_from("<HH", payload, 6)
        width, height, alpha = width & 0x3FFF, height & 0x3FFF, False
    else:
        if len(payload) < 5 or payload[0] != 0x2F:
            raise corrupt("WebP: the lossless image (VP8L) has no header")
        bits = int.from_bytes(payload[1:5], "little")
        width, height, alpha = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), bool(bits >> 28 & 1)
    if header.width is None:
        header.has_alpha = alpha
        header.set_size(width, height)
