"""PNG: chunks, their checksums, and the compressed stream if a checksum is wrong.

Belongs here: reading chunks, detecting damage, and rewriting a file with only the chunks that contain pixels. Does not
belong here: unfiltering pixels. Source: W3C PNG specification, third edition.
"""

import struct
import zlib
from collections.abc import Iterator

from arot_assets.media.image.formats.exif import MAX_TEXT, read_exif, utf8_or_latin1
from arot_assets.media.image.formats.header import Header, corrupt
from arot_assets.media.image.formats.xmp import PNG_KEYWORD, read_xmp

MAGIC = b"\x89PNG\r\n\x1a\n"
MAX_TEXTS = 64
"""Text chunks read from one file; generators write one to six."""
MAX_ICC = 16 * 1024 * 1024
"""Largest uncompressed ICC profile, in bytes; printer profiles reach 3 MB."""

_MODES = {
    **{(bits, 0): "L" for bits in (2, 4, 8)},
    **{(bits, 3): "P" for bits in (1, 2, 4, 8)},
    **{(1, 0): "1", (16, 0): "I;16", (8, 2): "RGB", (16, 2): "RGB"},
    **{(8, 4): "LA", (16, 4): "RGBA", (8, 6): "RGBA", (16, 6): "RGBA"},
}
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def read_png(data: bytes, header: Header, whole: bool) -> None:  # noqa: ARG001 - all chunks are read in any case
    """Fill the header from the chunks and check every checksum; inflate only if one is wrong."""
    found: set[bytes] = set()
    texts = 0
    end = len(MAGIC)
    for kind, start, end, crc_holds in _chunks(data):
        if not found and kind != b"IHDR":
            raise corrupt("PNG does not start with its header (IHDR)")
        again = kind in found
        found.add(kind)
        texts += kind in _TEXT_CHUNKS
        if not crc_holds:
            if kind in (b"IHDR", b"PLTE", b"tRNS"):
                raise corrupt(f"PNG checksum of {kind.decode()} is wrong: damaged")
            header.note("bad_checksum")
        elif kind == b"IHDR":
            _ihdr(data[start : end - 4], header)
        elif texts <= MAX_TEXTS if kind in _TEXT_CHUNKS else not again:
            _ancillary(kind, data[start : end - 4], header)
        if kind == b"IEND":
            break
    missing = {b"IHDR", b"IDAT", b"IEND"} - found
    if header.mode == "P":
        missing |= {b"PLTE"} - found
    if missing:
        raise corrupt(f"PNG without {', '.join(sorted(m.decode() for m in missing))}: cut short or damaged")
    if "bad_checksum" in header.notes:  # in any chunk: the damage may be in its name, and it may have contained pixels
        _inflate(data, header)
    if end < len(data):
        header.note("trailing_data")
    header.pixels_only = found <= set(_PIXEL_CHUNKS) and end == len(data) and "bad_checksum" not in header.notes
    header.clear = tuple(sample & (1 << data[24]) - 1 for sample in header.clear)
    header.plain = data[24] == 8 and data[25] in (0, 2, 6) and b"tRNS" not in found


def pixel_chunks(data: bytes, transparency: bool = True) -> bytes:
    """The same image with IHDR, PLTE, IDAT, IEND and, with ``transparency``, tRNS only, with correct checksums.

    Decoders then neither fail on damaged metadata nor apply any of it, and see the first frame of an animation.
    """
    parts = [MAGIC]
    for kind, start, end, crc_holds in _chunks(data):
        if kind in _PIXEL_CHUNKS and (transparency or kind != b"tRNS"):
            parts.append(data[start - 8 : end - 4])
            parts.append(data[end - 4 : end] if crc_holds else zlib.crc32(data[start - 4 : end - 4]).to_bytes(4, "big"))
        if kind == b"IEND":
            break
    return b"".join(parts)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int, bool]]:
    """For each chunk: type, start of the payload, end of the checksum, and whether the checksum matches."""
    view = memoryview(data)
    at, size = len(MAGIC), len(data)
    while at < size:
        if at + 12 > size:
            raise corrupt(f"PNG cut short at byte {at}, before IEND")
        length, kind = struct.unpack_from(">I4s", data, at)
        if not (kind.isascii() and kind.isalpha()):
            raise corrupt(f"PNG has no chunk at byte {at}: damaged")
        end = at + 12 + length
        if end > size:
            raise corrupt(f"PNG cut short inside {kind.decode()} at byte {at}")
        (stored,) = struct.unpack_from(">I", data, end - 4)
        yield kind, at + 8, end, zlib.crc32(view[at + 4 : end - 4]) == stored
        at = end


def _ihdr(payload: bytes, header: Header) -> None:
    if len(payload) != 13:
        raise corrupt("PNG header (IHDR) has the wrong length")
    width, height, bits, colour, packing, filtering, interlace = struct.unpack(">IIBBBBB", payload)
    header.mode = _MODES.get((bits, colour))
    header.has_alpha = colour in (4, 6)
    header.set_size(width, height)
    if header.mode is None or packing or filtering or interlace > 1:
        raise corrupt(f"PNG header says bit depth {bits}, colour type {colour}, interlace {interlace}: no such PNG")


def _ancillary(kind: bytes, payload: bytes, header: Header) -> None:
    """Record the contents of a chunk without pixels."""
    if kind == b"tRNS":
        header.has_alpha = True
        if (header.mode, len(payload)) in (("1", 2), ("L", 2), ("I;16", 2), ("RGB", 6)):
            header.clear = struct.unpack(f">{len(payload) // 2}H", payload)
    elif kind == b"acTL" and len(payload) >= 4:
        header.n_frames = max(1, int.from_bytes(payload[:4], "big"))
    elif kind == b"iCCP":
        packed = payload[payload.find(b"\x00") + 2 :]
        header.icc = _unpack(packed, MAX_ICC)
    elif kind == b"eXIf":
        _exif(payload, header)
    elif kind in _TEXT_CHUNKS:
        _text(kind, payload, header)


def _exif(raw: bytes, header: Header) -> None:
    header.exif = raw
    header.orientation, texts = read_exif(raw)
    header.texts.update(texts)


def _text(kind: bytes, payload: bytes, header: Header) -> None:
    """Keyword and text of a text chunk. ImageMagick stores EXIF in one, as hex digits."""
    keyword, _, rest = payload.partition(b"\x00")
    text: bytes | None = rest
    if kind == b"zTXt":
        text = _unpack(rest[1:], MAX_TEXT)
    elif kind == b"iTXt":
        packed, fields = rest[:1] == b"\x01", rest[2:].split(b"\x00", 2)
        text = fields[2] if len(fields) == 3 else None
        if packed and text is not None:
            text = _unpack(text, MAX_TEXT)
    if text is None or len(text) > MAX_TEXT:
        return
    name = keyword.decode("latin-1")
    if name == "Raw profile type exif":
        digits = b"".join(text.split()[2:])
        if len(digits) % 2 == 0 and digits.isalnum():
            try:
                _exif(bytes.fromhex(digits.decode("ascii")), header)
            except ValueError:
                header.note("bad_metadata")
    else:
        header.texts[name] = utf8_or_latin1(text)
        if name == PNG_KEYWORD:
            header.add_texts(read_xmp(text))


def _unpack(packed: bytes, limit: int) -> bytes | None:
    """Inflate at most ``limit`` bytes; None for more, or for damaged data."""
    stream = zlib.decompressobj()
    try:
        out = stream.decompress(packed, limit)
    except zlib.error:
        return None
    return out if stream.eof else None


def _inflate(data: bytes, header: Header) -> None:
    """If a chunk's checksum is wrong, the image's own checksum decides (Adler-32, inside the zlib stream)."""
    stream = zlib.decompressobj()
    got = 0
    try:
        for kind, start, end, _ in _chunks(data):
            if kind == b"IDAT":
                pending = data[start : end - 4]
                while pending and not stream.eof:
                    got += len(stream.decompress(pending, 1 << 20))
                    pending = stream.unconsumed_tail
            elif kind == b"IEND":
                break
    except zlib.error as error:
        raise corrupt(f"PNG pixels are damaged (checksums are wrong: {error})") from error
    if not stream.eof or got != _raw_size(data, header):
        raise corrupt("PNG pixels are damaged (a checksum is wrong, and the compressed stream has the wrong length)")


def _raw_size(data: bytes, header: Header) -> int:
    """Size of the filtered rows before compression, in bytes."""
    width, height = header.width or 0, header.height or 0
    bits = data[24] * _CHANNELS[data[25]]
    passes = _ADAM7 if data[28] else ((0, 0, 1, 1),)
    total = 0
    for x, y, dx, dy in passes:
        columns, rows = -(-(width - x) // dx), -(-(height - y) // dy)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total
