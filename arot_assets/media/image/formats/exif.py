"""The few EXIF tags that matter before training: the orientation, and text written by generators.

Belongs here: reading a raw EXIF block (a TIFF structure) without a library.
Does not belong here: what the text means (``media.image.generation``). Source: CIPA DC-008 (Exif 2.32) and TIFF 6.0.
"""

import struct

MAX_TEXT = 4 * 1024 * 1024
"""Longest text taken from a file, in bytes; longer ones are left out."""

_TEXT_TAGS = {
    **{0x010D: "DocumentName", 0x010E: "ImageDescription", 0x010F: "Make", 0x0110: "Model", 0x0131: "Software"},
    **{0x013B: "Artist", 0x9286: "UserComment"},
}
_COMMENT = 0x9286
_CODES = (b"ASCII", b"UNICODE", b"JIS", b"")
"""The first 8 bytes of a UserComment, which name the encoding of the rest; padded with NUL or spaces."""
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 7: 1}
_ORIENTATION, _EXIF_IFD = 0x0112, 0x8769


def read_exif(raw: bytes) -> tuple[int, dict[str, str]]:
    """Orientation (1-8) and texts by tag name of an EXIF block. A damaged block yields 1 and as much text as is
    readable."""
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
                value = raw[offset : offset + size]
                text = _comment(value, order) if tag == _COMMENT else utf8_or_latin1(value).strip("\x00 ")
                if text:
                    texts[name] = text
    return orientation, texts


def _comment(value: bytes, order: str) -> str:
    """A UserComment. Its first 8 bytes name the encoding of the rest, but writers often use another, so the text itself
    is examined.

    UTF-16 is recognized by its byte order mark, or by the zero bytes of Latin letters, spaces and line ends, which no
    other encoding has: they are the high bytes. Text without any of these that is labelled Unicode has the byte order
    of the block (``order``).
    """
    code = value[:8].rstrip(b"\x00 ").upper()
    named = code in _CODES and (len(value) > 8 or bool(code))
    text = value[8:] if named else value
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _utf16(text[2:], little=text[0] == 0xFF)
    if text.startswith(b"\xef\xbb\xbf"):
        text = text[3:]
    filled = text.rstrip(b"\x00")
    high, low = filled[0::2].count(0), filled[1::2].count(0)
    if 8 * max(high, low) >= len(filled) > 1 or (code == b"UNICODE" and not _is_utf8(filled)):
        return _utf16(text, little=low > high if low != high else order == "<")
    if code == b"JIS" and b"\x1b" in text:
        return text.decode("iso2022_jp", "replace").strip("\x00 ")
    return utf8_or_latin1(text).strip("\x00 ")


def _utf16(value: bytes, little: bool) -> str:
    """UTF-16 without its mark; if the number of bytes is odd, the last one is dropped, or the missing zero byte is
    added."""
    whole = value + b"\x00" if little and not value.endswith(b"\x00") else value
    return whole[: len(whole) // 2 * 2].decode("utf-16-le" if little else "utf-16-be", "replace").strip("\x00 ")


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\x00" not in value


def utf8_or_latin1(value: bytes) -> str:
    """Text that should be Latin-1 but often is UTF-8."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")
