"""Small images for display: contact sheets and histograms, as bytes and as data URIs.

Belongs here: drawing. Does not belong here: selecting what is shown (each room's ``report.py``). Images are stored in
Dagster's event records, so they are kept small: JPEG or palette PNG, a few tens of kilobytes.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

INK = (38, 38, 46)
FAINT = (222, 222, 228)
BAR = (72, 104, 176)
PAPER = (255, 255, 255)
MARK, MARKED = (196, 60, 48), (246, 214, 170)
GAP = 4
TEXT = 11


def data_uri(picture: bytes) -> str:
    """JPEG, PNG or WebP bytes as a ``data:`` URI."""
    kind = "png" if picture.startswith(b"\x89PNG") else "webp" if picture.startswith(b"RIFF") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


def contact_sheet(
    images: Sequence[NDArray[np.uint8]],
    labels: Sequence[str] | None = None,
    *,
    columns: int = 8,
    tile: int = 96,
    quality: int = 70,
) -> bytes:
    """Images in rows of equal square tiles, each scaled to fit, with a line of text below.

    Args:
        images: ``uint8 [H, W, 3]`` RGB each, any size.
        labels: one text per image, truncated to the tile's width; None for none. Lines are split at ``\
        ``.
        columns: tiles in a row.
        tile: side of a tile in pixels.
        quality: JPEG quality, 1-95.

    Returns:
        A JPEG.

    Raises:
        ValueError: there are no images, or the numbers of labels and images differ.
    """
    from PIL import Image, ImageDraw

    if not images:
        raise ValueError("a contact sheet needs at least one image")
    texts = list(labels) if labels is not None else [""] * len(images)
    if len(texts) != len(images):
        raise ValueError(f"{len(images)} images but {len(texts)} labels")
    lines = max(text.count("\n") + 1 if text else 0 for text in texts)
    font = _font(TEXT)
    width, height = tile + GAP, tile + GAP + lines * (TEXT + 3)
    used = min(columns, len(images))
    sheet = Image.new("RGB", (used * width + GAP, -(-len(images) // used) * height + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    for n, (pixels, text) in enumerate(zip(images, texts, strict=True)):
        left, top = GAP + n % used * width, GAP + n // used * height
        small = Image.fromarray(pixels)
        small.thumbnail((tile, tile), Image.Resampling.BILINEAR, reducing_gap=2.0)
        draw.rectangle((left, top, left + tile - 1, top + tile - 1), fill=(244, 244, 247))
        sheet.paste(small, (left + (tile - small.width) // 2, top + (tile - small.height) // 2))
        for k, line in enumerate(text.split("\n") if text else ()):
            draw.text((left, top + tile + 1 + k * (TEXT + 3)), _cut(line, tile, font), fill=INK, font=font)
    return _encoded(sheet, "JPEG", quality=quality, optimize=True)


def histograms(values: Mapping[str, NDArray[np.float64]], *, bins: int = 40, columns: int = 4) -> bytes:
    """One small histogram per series: its name, its minimum, median and maximum, and bars.

    Args:
        values: name -> numbers; NaN and infinities are ignored.
        bins: bars of each histogram.
        columns: histograms in a row.

    Returns:
        A PNG.

    Raises:
        ValueError: there are no series.
    """
    from PIL import Image, ImageDraw

    if not values:
        raise ValueError("no series to draw")
    wide, high, head, foot = 190, 70, 16, 16
    used = min(columns, len(values))
    rows = -(-len(values) // used)
    sheet = Image.new("RGB", (used * (wide + 12) + 12, rows * (high + head + foot + 12) + 12), PAPER)
    draw = ImageDraw.Draw(sheet)
    font = _font(TEXT)
    for n, (name, series) in enumerate(values.items()):
        left, top = 12 + n % used * (wide + 12), 12 + n // used * (high + head + foot + 12)
        draw.text((left, top), _cut(name, wide, font), fill=INK, font=font)
        finite = series[np.isfinite(series)]
        floor = top + head + high
        draw.line((left, floor, left + wide, floor), fill=FAINT)
        if not len(finite):
            draw.text((left, floor + 3), "no value", fill=INK, font=font)
            continue
        counts, _ = np.histogram(finite, bins=bins)
        step = wide / bins
        for k, count in enumerate(counts):
            if count:
                tall = max(1, round(high * float(count) / float(counts.max())))
                draw.rectangle((left + k * step, floor - tall, left + (k + 1) * step - 1, floor - 1), fill=BAR)
        low, middle, large = (f"{v:.4g}" for v in (finite.min(), np.median(finite), finite.max()))
        draw.text((left, floor + 3), low, fill=INK, font=font)
        _centred(draw, left + wide / 2, floor + 3, f"median {middle}", font)
        draw.text((left + wide - draw.textlength(large, font=font), floor + 3), large, fill=INK, font=font)
    return _encoded(sheet.quantize(32), "PNG", optimize=True)


def timeline(
    values: NDArray[np.float64], marks: Sequence[tuple[int, int, str]] = (), *, wide: int = 900, high: int = 90
) -> bytes:
    """Values over time, with marked places.

    Args:
        values: one number each, not negative; the largest of those that share a column of pixels is drawn.
        marks: first, and the one after the last value of a place, and its kind. A place without values is a line.
        wide: pixels.
        high: pixels.

    Returns:
        A PNG.

    Raises:
        ValueError: there are no values.
    """
    from PIL import Image, ImageDraw

    if not len(values):
        raise ValueError("no values to draw")
    head, scale = 14, wide / len(values)
    sheet = Image.new("RGB", (wide, high + head), PAPER)
    draw = ImageDraw.Draw(sheet)
    font = _font(TEXT)
    for start, end, _ in marks:
        if end > start:
            draw.rectangle((start * scale, head, max(start * scale, end * scale - 1), head + high), fill=MARKED)
    top = max(float(np.max(values)), 1e-9)
    columns = np.minimum((np.arange(len(values)) * scale).astype(int), wide - 1)
    peaks = np.zeros(wide)
    np.maximum.at(peaks, columns, values)
    step = max(1, round(scale))
    for column in np.flatnonzero(peaks).tolist():
        tall = max(1, round(high * float(peaks[column]) / top))
        draw.rectangle((column, head + high - tall, min(wide, column + step) - 1, head + high), fill=BAR)
    for start, end, _ in marks:
        if end <= start:  # over the bar, which is tall there
            draw.line((start * scale, head, start * scale, head + high), fill=MARK)
    draw.text((0, 0), f"{top:.3g}", fill=INK, font=font)
    return _encoded(sheet.quantize(16), "PNG", optimize=True)


def _font(size: int) -> "FreeTypeFont | ImageFont":
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _centred(draw: Any, middle: float, top: float, text: str, font: Any) -> None:
    draw.text((middle - draw.textlength(text, font=font) / 2, top), text, fill=INK, font=font)


def _cut(text: str, width: int, font: Any) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def _encoded(image: Any, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
