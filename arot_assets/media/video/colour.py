"""From a decoded frame to the picture that a viewer sees: matrix and range by tag, high dynamic range tone-mapped,
upright, square.

Belongs here: colour and orientation of frames. Does not belong here: decoding them (``decode.py``), the working grid
(``grid.py``). Only workers import this module.

High dynamic range: the signal is linearised (SMPTE ST 2084, or ITU-R BT.2100 HLG for a display of 1,000 cd/m²), scaled
so that 203 cd/m² (graphics white of ITU-R BT.2408) is 1, converted to BT.709 primaries, rolled off above ``KNEE`` and
encoded with the gamma of BT.1886.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from arot_assets.media.video.probe import shown_size

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

Floats = NDArray[np.float32]

WHITE = 203.0
KNEE = 0.8
GAMMA = 2.4
HD_LINES = 720
"""Untagged films of at least so many lines have the matrix of BT.709, smaller ones that of BT.601."""
LEVELS = 4096
BT2020_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
"""ITU-R BT.2087, annex 2."""
LUMA = {"bt709": (0.2126, 0.0722), "bt601": (0.299, 0.114), "bt2020": (0.2627, 0.0593)}
"""Weights of red and blue in luma."""


@dataclass(frozen=True)
class FrameAppearance:
    """How the frames of a film are shown, from the facts of its probe.

    Attributes:
        rotation: degrees counter-clockwise.
        mirrored: left to right, before the rotation.
        sar: width / height of a stored pixel.
        matrix: ``bt709``, ``bt601`` or ``bt2020``.
        full_range: whether luma covers 0-255.
        hdr: ``pq``, ``hlg`` or None.
    """

    rotation: int
    mirrored: bool
    sar: Fraction
    matrix: str
    full_range: bool
    hdr: str | None

    @classmethod
    def of(cls, facts: Any) -> "FrameAppearance":
        """The look of a film from its columns of ``samples``."""
        tagged = facts.get("colour_matrix")
        lines = facts.get("coded_height") or 0
        known = {"bt709": "bt709", "bt2020nc": "bt2020", "bt2020c": "bt2020"}
        matrix = known.get(tagged, "bt601") if tagged else ("bt709" if lines >= HD_LINES else "bt601")
        width, height = (int(part) for part in (facts.get("sar") or "1:1").split(":"))
        return cls(
            rotation=facts.get("rotation") or 0,
            mirrored=bool(facts.get("mirrored")),
            sar=Fraction(width, height),
            matrix=matrix,
            full_range=bool(facts.get("full_range")),
            hdr=facts.get("hdr"),
        )


def rgb_of(frame: "VideoFrame", look: FrameAppearance, side: int | None = None) -> NDArray[np.uint8]:
    """The picture of a frame as it is shown.

    Args:
        frame: as decoded.
        look: of its film.
        side: longest side in pixels; None for the size that is shown.

    Returns:
        ``uint8 [H, W, 3]`` RGB, sRGB, C-contiguous.
    """
    from av.video.reformatter import ColorRange, Colorspace, Interpolation

    width, height = shown_size(frame.width, frame.height, look.sar, 0)
    if side is not None and max(width, height) > side:
        scale = side / max(width, height)
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
    matrix = {"bt709": Colorspace.ITU709, "bt601": Colorspace.ITU601, "bt2020": 9}[look.matrix]
    shown = frame.reformat(
        width=width,
        height=height,
        format="rgb48le" if look.hdr else "rgb24",
        src_colorspace=None if frame.format.is_rgb else matrix,
        dst_colorspace=None if frame.format.is_rgb else matrix,
        src_color_range=ColorRange.JPEG if look.full_range or frame.format.is_rgb else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        interpolation=Interpolation.AREA if side is not None else Interpolation.BICUBIC,
    )
    pixels = shown.to_ndarray()
    if look.hdr:
        pixels = tone_mapped(pixels.astype(np.float32) / np.float32(65535), look.hdr)
        pixels = np.rint(pixels * 255).astype(np.uint8)
    return np.ascontiguousarray(upright(pixels, look))


def upright(pixels: NDArray[Any], look: FrameAppearance) -> NDArray[Any]:
    """An array ``[H, W, …]`` of stored pixels as it is shown; a view where that is possible."""
    if look.mirrored:
        pixels = pixels[:, ::-1]
    return np.rot90(pixels, look.rotation // 90) if look.rotation else pixels


def tone_mapped(signal: NDArray[np.floating], hdr: str) -> Floats:
    """Standard dynamic range for a picture of high dynamic range.

    Args:
        signal: ``float32 [..., 3]``, R'G'B' of BT.2020, 0-1.
        hdr: ``pq`` or ``hlg``.

    Returns:
        ``float32 [..., 3]``, R'G'B' of BT.709, 0-1.
    """
    table = _linear(hdr)
    linear = table[np.clip(np.rint(signal * (LEVELS - 1)), 0, LEVELS - 1).astype(np.int32)]
    if hdr == "hlg":  # the system gamma of BT.2100 for 1,000 cd/m²
        luminance = linear @ np.array([0.2627, 0.6780, 0.0593], np.float32)
        linear = linear * (1000 / WHITE) * np.maximum(luminance, 1e-6)[..., None] ** 0.2
    light = linear @ BT2020_TO_BT709.T
    rolled = KNEE + (1 - KNEE) * (1 - np.exp(-(np.maximum(light, KNEE) - KNEE) / (1 - KNEE)))
    light = np.where(light > KNEE, rolled, np.maximum(light, 0))
    found: Floats = np.power(light, 1 / GAMMA, dtype=np.float32)
    return found


@cache
def _linear(hdr: str) -> Floats:
    """Light for each of ``LEVELS`` signal levels: relative to ``WHITE`` for PQ, to the scene's peak for HLG."""
    signal = np.linspace(0, 1, LEVELS)
    if hdr == "pq":  # SMPTE ST 2084
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 4096 * 128, 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
        root = signal ** (1 / m2)
        light = 10000 / WHITE * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)
    else:  # ITU-R BT.2100, the inverse of the HLG OETF
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    return light.astype(np.float32)


def rgb_of_yuv(y: NDArray[np.floating], u: NDArray[np.floating], v: NDArray[np.floating], matrix: str) -> Floats:
    """R'G'B' ``float32 [H, W, 3]``, 0-1, of luma 0-1 and chroma -0.5 to 0.5."""
    red, blue = LUMA[matrix]
    r = y + 2 * (1 - red) * v
    b = y + 2 * (1 - blue) * u
    g = (y - red * r - blue * b) / (1 - red - blue)
    return np.stack([r, g, b], axis=-1).astype(np.float32)


def yuv_of_rgb(rgb: Floats, matrix: str = "bt709") -> tuple[Floats, Floats, Floats]:
    """Luma 0-1 and chroma -0.5 to 0.5 of R'G'B' ``float32 [H, W, 3]``."""
    red, blue = LUMA[matrix]
    y = rgb @ np.array([red, 1 - red - blue, blue], np.float32)
    return y, (rgb[..., 2] - y) / (2 * (1 - blue)), (rgb[..., 0] - y) / (2 * (1 - red))
