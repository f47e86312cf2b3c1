"""JPEG: the markers from SOI to EOI.

Belongs here: finding size, components, ICC and EXIF in the segments, and whether the scans reach their end. Does not
belong here: Huffman codes; damage inside a scan is found when the image is decoded. Source: ITU-T T.81, annex B.
"""

import struct
from collections.abc import Iterator

import numpy as np

from arot_assets.media.image.formats.exif import MAX_TEXT, read_exif, utf8_or_latin1
from arot_assets.media.image.formats.header import Header, corrupt, unsupported
from arot_assets.media.image.formats.xmp import JPEG_SIGNATURE, read_xmp

MAX_SCANS = 500
"""More scans than any encoder writes (progressive: about 10). Each scan visits every pixel, so a small file with
thousands of them would keep a decoder busy for hours."""

_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
_SOF_NAMES = {0xC3: "lossless", 0xC9: "arithmetic-coded", 0xCA: "arithmetic-coded"}
_SOI, _EOI, _SOS, _COM = 0xD8, 0xD9, 0xDA, 0xFE
OF_PIXELS = frozenset((0xE0, 0xEE))
"""Application segments that belong to the pixels: JFIF, and Adobe's colour transform."""


def read_jpeg(data: bytes, header: Header, whole: bool) -> None:
    """Fill the header from the segments before the first scan.

    Args:
        data: the file.
        header: filled in place.
        whole: also follow the scans to the end of the image (0.1 ms for 400 kB).
    """
    icc: dict[int, bytes] = {}
    exif: list[bytes] = []
    comment = xmp = b""
    at, bare = 2, True
    while True:
        marker, start, end = _segment(data, at)
        bare = bare and start == at + (4 if end > start else 2) and not _is_metadata(marker)
        at = end
        if marker == _SOS:
            break
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            _frame(data[start:end], marker, header)
        elif marker == 0xE1 and data.startswith(b"Exif\x00\x00", start):
            exif.append(data[start + 6 : end])
        elif marker == 0xE1 and data.startswith(JPEG_SIGNATURE, start):
            xmp = data[start + len(JPEG_SIGNATURE) : end]
        elif marker == 0xE2 and data.startswith(b"ICC_PROFILE\x00", start) and end - start > 14:
            icc[data[start + 12]] = data[start + 14 : end]
        elif marker == _COM and len(comment) < MAX_TEXT:
            comment += data[start:end]  # one longer than 64 KB takes several segments
    if header.width is None:
        raise corrupt("JPEG has a scan but no frame header (SOF)")
    if icc:
        header.icc = b"".join(icc[i] for i in sorted(icc))
    if exif:
        header.exif = b"".join(exif)
        header.orientation, texts = read_exif(header.exif)
        header.texts.update(texts)
    if xmp:
        header.add_texts(read_xmp(xmp))
    if text := utf8_or_latin1(comment).strip("\x00 "):
        header.texts["comment"] = text
    if whole:
        header.pixels_only = _follow_scans(data, at, header) and bare


def tidied(data: bytes) -> bytes:
    """The same image without three faults that decoders warn about although no pixel is affected.

    The JFIF revision is set to 1, the spectral selection of a sequential scan to the only valid one, and zero bytes
    before the last end marker, which some cameras write, are removed.
    """
    out = bytearray(data)
    at, sequential = 2, False
    while True:
        marker, start, at = _segment(data, at)
        if marker in (0xC0, 0xC1):
            sequential = True
        elif marker == 0xE0 and data.startswith(b"JFIF\x00", start):
            out[start + 5 : start + 6] = b"\x01"
        elif marker == _SOS:
            break
    if sequential:
        out[at - 3 : at] = b"\x00\x3f\x00"
    end = out.rfind(b"\xff\xd9")
    scans = out[:end].rstrip(b"\x00") if end > at else out
    return bytes(scans) + (b"\x00\xff\xd9" if scans.endswith(b"\xff") else b"\xff\xd9")


def pixel_segments(data: bytes) -> bytes:
    """The same image without comments, application segments other than ``OF_PIXELS``, and bytes after its end, where phones keep
    further pictures with their own EXIF.

    Args:
        data: a whole JPEG.

    Raises:
        DecodeError: it is damaged before its first scan, or has no end.
    """
    parts, at = [data[:2]], 2
    while True:
        marker, start, end = _segment(data, at)
        if not _is_metadata(marker):
            parts.append(b"\xff" + data[start - (3 if end > start else 1) : end])
        at = end
        if marker == _SOS:
            break
    for marker, start, end in _between_scans(data, at):
        if _is_metadata(marker):
            parts.append(data[at:start])
            at = end
        elif marker == _EOI:
            parts.append(data[at:end])
    return b"".join(parts)


def _is_metadata(marker: int) -> bool:
    return (0xE0 <= marker <= 0xEF or marker == _COM) and marker not in OF_PIXELS


def _segment(data: bytes, at: int) -> tuple[int, int, int]:
    """Marker, start and end of the payload of the segment at or after a position."""
    size = len(data)
    if at < size and data[at] != 0xFF:  # like decoders, skip stray bytes between segments
        at = data.find(b"\xff", at)
        if at < 0:
            raise corrupt("JPEG ends before its first scan: cut or damaged")
    while at < size and data[at] == 0xFF:
        at += 1
    if at + 3 > size:
        raise corrupt("JPEG ends before its first scan: cut short")
    marker = data[at]
    if marker == 0x01 or 0xD0 <= marker <= 0xD8 or marker == 0x00:
        return marker, at + 1, at + 1
    if marker == _EOI:
        raise corrupt("JPEG ends (EOI) before its first scan: it contains no image")
    end = at + 1 + ((data[at + 1] << 8) | data[at + 2])
    if end < at + 3:
        raise corrupt(f"JPEG segment 0x{marker:02x} at byte {at} says it has no length")
    if end > size:
        raise corrupt(f"JPEG cut short inside segment 0x{marker:02x} at byte {at}")
    return marker, at + 3, end


def _frame(payload: bytes, marker: int, header: Header) -> None:
    """Size and components from a frame header (SOF)."""
    if len(payload) < 6:
        raise corrupt("JPEG frame header (SOF) is too short")
    bits, height, width, components = struct.unpack_from(">BHHB", payload)
    header.mode = _MODES.get(components)
    header.set_size(width, height)
    if marker > 0xC2:
        raise unsupported(f"JPEG of a rare kind ({_SOF_NAMES.get(marker, 'hierarchical or differential')})")
    if bits != 8:
        raise unsupported(f"JPEG with {bits} bits a component; only 8 can be decoded")
    if header.mode is None:
        raise unsupported(f"JPEG with {components} components; only 1, 3 and 4 have a known meaning")
    header.plain = components == 3


def _follow_scans(data: bytes, at: int, header: Header) -> bool:
    """Follow the scans, and the segments between them, to EOI; whether there is no metadata between them and nothing after it."""
    scans, bare, further = 1, True, 0
    for marker, _, end in _between_scans(data, at):
        scans += marker == _SOS
        bare = bare and not _is_metadata(marker)
        further = len(data) - end
        if scans > MAX_SCANS:
            raise unsupported(f"JPEG with more than {MAX_SCANS} scans: it would take hours to decode")
    if further:
        header.note("trailing_data")
    return bare and not further


def _between_scans(data: bytes, at: int) -> Iterator[tuple[int, int, int]]:
    """Marker, first byte and end of each segment after the header of the first scan; the last one is EOI. In a scan, 0xFF is
    followed by 0 or RST0-7 only."""
    raw = np.frombuffer(data, np.uint8)
    after = np.flatnonzero(raw[at:-1] == 0xFF) + (at + 1)
    codes = raw[after]
    positions = after[(codes != 0) & (codes != 0xFF) & ((codes & 0xF8) != 0xD0)]
    while True:
        i = int(np.searchsorted(positions, at))
        if i == len(positions):
            raise corrupt("JPEG has no end marker (EOI): cut short")
        at = int(positions[i])
        if data[at] == _EOI:
            yield _EOI, at - 1, at + 1
            return
        start = at - 1
        marker, _, at = _segment(data, start)
        yield marker, start, at
