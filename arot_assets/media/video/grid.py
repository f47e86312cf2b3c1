"""The working grid: a frame of any size as about 192 x 108 cells of luma, in which everything but stills is measured.

Belongs here: from planes to the grid, in full range and standard dynamic range, upright. Does not belong here: what is
measured on it (``statistics.py``, ``motion.py``). Only workers import this module.
"""

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from arot_assets.media.video.colour import FrameAppearance, rgb_of_yuv, tone_mapped, upright, yuv_of_rgb
from arot_assets.media.video.decode import planes
from arot_assets.media.video.kernels import shrink, to_bytes
from arot_assets.media.video.probe import shown_size
from arot_assets.media.wants import PICTURE

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

Bytes = NDArray[np.uint8]
LONG_SIDE = 192


@dataclass(frozen=True)
class Cells:
    """A frame on the grid, upright.

    Attributes:
        y: ``uint8 [h, w]`` luma, full range.
        u: ``uint8 [h/2, w/2]`` blue difference, 128 is none.
        v: ``uint8 [h/2, w/2]`` red difference, 128 is none.
        crc: CRC-32 of the cells as stored, before range, tone and orientation: the same in every container.
    """

    y: Bytes
    u: Bytes
    v: Bytes
    crc: int


class Grid:
    """Shrinks the frames of one film.

    Args:
        width: of its first frame as stored.
        height: of its first frame as stored.
        look: how it is shown.
    """

    def __init__(self, width: int, height: int, look: FrameAppearance) -> None:
        across, down = shown_size(width, height, look.sar, 0)
        scale = min(1.0, LONG_SIDE / max(across, down))
        # even, so that chroma has half of it; never more cells than pixels
        self._columns = max(2, min(round(across * scale), width) // 2 * 2)
        self._rows = max(2, min(round(down * scale), height) // 2 * 2)
        self._look = look

    def cells(self, frame: "VideoFrame") -> Cells:
        """A frame on the grid."""
        found = planes(frame)
        peak = 255 if found[0][0].dtype == np.uint8 else (1 << frame.format.components[0].bits) - 1
        means = [self._shrunk(plane, width, half=k > 0) for k, (plane, width) in enumerate(found[:3])]
        if peak != 255:
            means = [m * (255 / peak) for m in means]
        raw = [_rounded(m) for m in means]
        crc = 0
        for part in raw:
            crc = zlib.crc32(part.data, crc)
        y, u, v = (np.ascontiguousarray(upright(part, self._look)) for part in self._tones(raw, means))
        return Cells(y, u, v, crc)

    def picture(self, cells: Cells) -> Bytes:
        """A frame in ``PICTURE``, ``uint8 [27, 48, 3]`` RGB, upright: squeezed, whatever its shape."""
        y, u, v = (_resized(plane, plane.shape[1], *PICTURE) for plane in (cells.y, cells.u, cells.v))
        matrix = "bt709" if self._look.hdr else self._look.matrix
        rgb = rgb_of_yuv(y / 255, (u - 128) / 255, (v - 128) / 255, matrix)
        return np.clip(np.rint(rgb * 255), 0, 255).astype(np.uint8)

    def _shrunk(self, plane: NDArray[Any], width: int, half: bool) -> NDArray[np.float32]:
        rows, columns = (self._rows // 2, self._columns // 2) if half else (self._rows, self._columns)
        return _resized(plane, width, rows, columns)

    def _tones(self, raw: list[Bytes], means: list[NDArray[np.float32]]) -> tuple[Bytes, Bytes, Bytes]:
        if self._look.full_range and not self._look.hdr:
            return raw[0], raw[1], raw[2]
        low, of_luma, of_chroma = (0.0, 255.0, 255.0) if self._look.full_range else (16.0, 219.0, 224.0)
        if not self._look.hdr:
            y, u, v = means
            return _bytes(y, low, of_luma), _bytes(u, 128, of_chroma, 128), _bytes(v, 128, of_chroma, 128)
        y = (means[0] - low) / of_luma
        u, v = (((m - 128) / of_chroma).repeat(2, 0).repeat(2, 1) for m in means[1:])
        rgb = np.clip(rgb_of_yuv(y, u, v, "bt2020"), 0, 1)
        y, u, v = yuv_of_rgb(tone_mapped(rgb, self._look.hdr))
        return (
            _bytes(y),
            _bytes(np.ascontiguousarray(u[::2, ::2]), zero=128),
            _bytes(np.ascontiguousarray(v[::2, ::2]), zero=128),
        )


def _bytes(values: NDArray[np.float32], low: float = 0, extent: float = 1, zero: float = 0) -> Bytes:
    """Values as ``uint8``: ``low`` becomes ``zero``, and ``low + extent`` is 255 above it."""
    return _rounded(values, low, extent, 255, zero)


def _rounded(values: NDArray[np.float32], low: float = 0, extent: float = 1, span: float = 1, zero: float = 0) -> Bytes:
    found = np.empty(values.shape, np.uint8)
    to_bytes(values, np.float32(low), np.float32(extent), np.float32(span), np.float32(zero), found)
    return found


def _resized(plane: NDArray[Any], width: int, rows: int, columns: int) -> NDArray[np.float32]:
    """A plane in means of boxes; cells are repeated where it has fewer pixels."""
    few = np.empty((min(rows, plane.shape[0]), min(columns, width)), np.float32)
    shrink(plane, width, few)
    if few.shape == (rows, columns):
        return few
    across, down = np.arange(columns) * few.shape[1] // columns, np.arange(rows) * few.shape[0] // rows
    return np.asarray(few[down][:, across])
