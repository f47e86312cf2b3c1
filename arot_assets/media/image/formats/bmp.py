"""BMP: the two headers, and whether all rows are present.

Belongs here: sizes and offsets. Does not belong here: run-length codes; compressed files are decoded to be checked.
Source: Microsoft's description of BITMAPFILEHEADER and BITMAPINFOHEADER.
"""

import struct

from arot_assets.media.image.formats.header import Header, corrupt
from arot_assets.media.image.formats.pillow import load_whole, open_image

_UNCOMPRESSED = (0, 3, 6)  # BI_RGB, BI_BITFIELDS, BI_ALPHABITFIELDS


def read_bmp(data: bytes, header: Header, whole: bool) -> None:
    """Fill the header; an uncompressed file must contain every row, a compressed one is decoded."""
    if len(data) < 26:
        raise corrupt("BMP cut short inside its header")
    offset, size = struct.unpack_from("<II", data, 10)
    compression = 0
    if size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
    elif len(data) < 14 + max(size, 40) and size >= 40:
        raise corrupt("BMP cut short inside its header")
    else:
        width, height, _, bits = struct.unpack_from("<iiHH", data, 18)
        if size >= 40:
            (compression,) = struct.unpack_from("<I", data, 30)
    header.set_size(width, abs(height))
    if compression in _UNCOMPRESSED:
        end = offset + (width * bits + 31) // 32 * 4 * abs(height)
        if end > len(data):
            raise corrupt(f"BMP cut short: {len(data):,} of {end:,} bytes")
    with open_image(data, header) as image:
        header.mode = image.mode
        header.has_alpha = image.has_transparency_data
        if whole and compression not in _UNCOMPRESSED:
            load_whole(image, header)
