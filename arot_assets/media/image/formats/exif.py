"""The few EXIF tags that matter before training: the orientation, and text that generators leave.

Belongs here: reading a raw EXIF block (a TIFF structure) without a library.
Does not belong here: what the text means (``datasets.generation``). Source: CIPA DC-008 (Exif 2.32) and TIFF 6.0.
"""

import struct

MAX_TEXT = 4 * 1024 * 1024
"""Longest text taken from a file, in bytes; anything longer is left out."""

_TEXT_TAGS = {0x010E: "ImageDescription", 0x010F: "Make", 0x0110: "Model", 0x0131: "Software", 0x9286: "UserComment"}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 7: 1}
_ORIENTATION, _EXIF_IFD = 0x0112, 0x8769


def read_exif(raw: bytes) -> tuple[int, dict[str, str]]:
    """Orientation (1-8) and texts by tag name of an EXIF block. A broken block says 1 and as much text as is readable."""
    if raw.startswith(b"Exif\x00\x00"):
        raw = raw[6:]
    order = {b"II": "<", b"MM": ">"}.get(raw[:2])
    if order is None or len(raw) < 8:
        return 1, {}
    texts: dict[str, str] = {}
    orientation = 1
    (first,) = struct.unpack_from(order + "I", raw, 4)
    pending, seen = [first], set[int]()
    while pending:
        start = pending.pop()
        if start in seen or start + 2 > len(raw):
            continue
        seen.add(start)
        (count,) = struct.unpack_from(order + "H", raw, start)
        for at in range(start + 2, min(start + 2 + 12 * count, len(raw) - 11), 12):
            tag, kind, n = struct.unpack_from(order + "HHI", raw, at)
            if tag == _ORIENTATION and kind == 3 and start == first:
                (value,) = struct.unpack_from(order + "H", raw, at + 8)
                orientation = value if 1 <= value <= 8 else 1
            elif tag == _EXIF_IFD and start == first and not pending:  # one is allowed, a hostile block has thousands
                pending += struct.unpack_from(order + "I", raw, at + 8)
            name, size = _TEXT_TAGS.get(tag), n * _SIZES.get(kind, 0)
            if name and name not in texts and 0 < size <= MAX_TEXT:
                offset = at + 8 if size <= 4 else struct.unpack_from(order + "I", raw, at + 8)[0]
                text = _text(raw[offset : offset + size], is_comment=tag == 0x9286)
                if text:
                    texts[name] = text
    return orientation, texts


def _text(value: bytes, is_comment: bool) -> str:
    """The text of a tag; a UserComment names its character code in its first 8 bytes."""
    if is_comment and value[:8] == b"UNICODE\x00":
        return _utf16(value[8:]).strip("\x00 ")
    if is_comment and value[:8] in (b"ASCII\x00\x00\x00", b"JIS\x00\x00\x00\x00\x00", bytes(8)):
        value = value[8:]
    return utf8_or_latin1(value).strip("\x00 ")


def utf8_or_latin1(value: bytes) -> str:
    """Text that is meant to be Latin-1 but often is UTF-8."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _utf16(value: bytes) -> str:
    """UTF-16 in the byte order of its mark, else in the one that puts the zero bytes of Latin letters in high bytes."""
    if value.startswith((b"\xff\xfe", b"\xfe\xff")):
        return value.decode("utf-16", "replace")
    little = value[1::2].count(0) > value[0::2].count(0)
    return value.decode("utf-16-le" if little else "utf-16-be", "replace")
