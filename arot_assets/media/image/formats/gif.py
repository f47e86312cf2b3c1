"""GIF: the chain of blocks from the screen descriptor to the trailer.

Belongs here: counting frames and following the blocks. Does not belong here: LZW.
Source: CompuServe GIF89a specification.
"""

import struct

from arot_assets.media.image.formats.header import Header, corrupt


def read_gif(data: bytes, header: Header, whole: bool) -> None:  # noqa: ARG001 - frames are only counted by walking
    """Fill the header by walking all blocks to the trailer."""
    try:
        end = _walk(data, header)
    except (IndexError, struct.error) as error:
        raise corrupt("GIF ends before its trailer: cut short") from error
    if header.n_frames == 0:
        raise corrupt("GIF without an image")
    if end < len(data):
        header.note("trailing_data")


def _walk(data: bytes, header: Header) -> int:
    """Follow the blocks; the byte after the trailer."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    header.mode, header.n_frames = "P", 0
    transparent = False
    at = 13 + _table(flags)
    while True:
        kind = data[at]
        if kind == 0x3B:
            return at + 1
        if kind == 0x21:
            if data[at + 1] == 0xF9:
                transparent = bool(data[at + 3] & 1)
            at = _sub_blocks(data, at + 2)
        elif kind == 0x2C:
            left, top, w, h, flags = struct.unpack_from("<HHHHB", data, at + 1)
            if header.n_frames == 0:  # some files draw outside the screen that they declare
                header.has_alpha = transparent
                header.set_size(max(width, left + w), max(height, top + h))
            header.n_frames += 1
            transparent = False
            at = _sub_blocks(data, at + 10 + _table(flags) + 1)
        else:
            raise corrupt(f"GIF has no block at byte {at} (found 0x{kind:02x}): damaged")


def _table(flags: int) -> int:
    """Size of a colour table in bytes, from the flags that announce it."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _sub_blocks(data: bytes, at: int) -> int:
    """The byte after a chain of sub-blocks."""
    while length := data[at]:
        at += 1 + length
    return at + 1
