"""The name of an ICC profile.

Belongs here: its description text. Does not belong here: colour conversion (``datasets.colour``).
Source: ICC.1:2022, 7.2 (header), 10.15 (multiLocalizedUnicodeType); ICC.1:2001, 6.5.17 (textDescriptionType).
"""

import struct


def icc_description(profile: bytes) -> str | None:
    """What the profile calls itself (for example ``Display P3``); None if it doesn't say or is damaged."""
    try:
        (count,) = struct.unpack_from(">I", profile, 128)
        for i in range(min(count, 100)):
            tag, offset, size = struct.unpack_from(">4sII", profile, 132 + 12 * i)
            if tag == b"desc":
                return _text(profile[offset : offset + size])
    except struct.error:
        return None
    return None


def _text(value: bytes) -> str | None:
    if value[:4] == b"desc":
        (length,) = struct.unpack_from(">I", value, 8)
        text = value[12 : 12 + length].decode("latin-1")
    elif value[:4] == b"mluc":
        length, offset = struct.unpack_from(">II", value, 20)
        text = value[offset : offset + length].decode("utf-16-be", "replace")
    else:
        return None
    return text.split("\x00")[0].strip() or None
