"""Names of FFmpeg's colour tags, and the orientation of a display matrix.

Belongs here: numbers of FFmpeg in the names of its documentation. Does not belong here: what is done with them
(``colour.py``).
"""

import math
import struct

PRIMARIES = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "film",
    9: "bt2020",
    10: "smpte428",
    11: "smpte431",
    12: "smpte432",
    22: "ebu3213",
}
TRANSFERS = {
    1: "bt709",
    4: "gamma22",
    5: "gamma28",
    6: "smpte170m",
    7: "smpte240m",
    8: "linear",
    9: "log100",
    10: "log316",
    11: "iec61966-2-4",
    12: "bt1361e",
    13: "iec61966-2-1",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "smpte2084",
    17: "smpte428",
    18: "arib-std-b67",
}
MATRICES = {
    0: "gbr",
    1: "bt709",
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "ycgco",
    9: "bt2020nc",
    10: "bt2020c",
    14: "ictcp",
}
HDR_TRANSFERS = {"smpte2084": "pq", "arib-std-b67": "hlg"}
FULL_RANGE = 2
"""FFmpeg's AVCOL_RANGE_JPEG."""


def orientation(matrix: bytes | None) -> tuple[int, bool]:
    """How stored frames are shown.

    Args:
        matrix: the display matrix: nine little-endian int32, of which the first two columns are in 16.16; None without
            one.

    Returns:
        Degrees counter-clockwise (0, 90, 180, 270), and whether frames are mirrored left to right before they are
        turned.
    """
    if matrix is None or len(matrix) < 36:
        return 0, False
    a, b, _, c, d, *_ = struct.unpack("<9i", matrix[:36])
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    degrees = -math.degrees(math.atan2(b, a)) if a or b else 0.0
    return round(degrees / 90) % 4 * 90, mirrored
