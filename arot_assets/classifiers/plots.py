"""Learning curves and reliability diagrams, as small PNGs.

Belongs here: what is drawn of a training. Does not belong here: contact sheets and histograms (``arot_assets.drawing``).
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arot_assets.classifiers.calibration import Bin
from arot_assets.drawing import BAR, FAINT, INK, PAPER

WIDE, HIGH, EDGE = 560, 260, 44
SHOWN = 12
"""Curves beyond the best ones would hide each other."""


def learning_curves(curves: Sequence[Mapping[str, Any]]) -> bytes | None:
    """Validation losses of the best heads or of the one model, and training losses paler; None of fewer than two epochs."""
    lines: dict[tuple[Any, ...], list[tuple[float, float, float]]] = {}
    for row in curves:
        key = tuple(row.get(name) for name in ("input", "normalise", "learning_rate", "weight_decay", "weights"))
        lines.setdefault(key, []).append((row["epoch"], row["train_loss"], row["val_loss"]))
    best = sorted(lines.values(), key=lambda line: min(loss for *_, loss in line))[:SHOWN]
    if not best or len(best[0]) < 2:
        return None
    arrays = [np.array(line, np.float64) for line in best]
    finite = np.concatenate([a[:, 1:][np.isfinite(a[:, 1:])] for a in arrays])
    if not len(finite):
        return None
    top = float(np.quantile(finite, 0.98))
    bounds = (
        float(min(a[0, 0] for a in arrays)),
        float(max(a[-1, 0] for a in arrays)),
        float(min(finite.min(), 0)),
        max(top, 1e-9),
    )
    drawn = [(a[:, 0], a[:, 1], FAINT) for a in arrays] + [(a[:, 0], a[:, 2], BAR) for a in arrays]
    return _drawn(drawn, bounds, "epoch; loss of validation (blue) and training samples")


def reliability_diagram(bins: Sequence[Bin]) -> bytes | None:
    """Claimed confidence against the share that is right; the diagonal is perfect. None of fewer than two bins."""
    if len(bins) < 2:
        return None
    claimed, right = np.array([b.confidence for b in bins]), np.array([b.right for b in bins])
    return _drawn(
        [(np.array([0.0, 1.0]), np.array([0.0, 1.0]), FAINT), (claimed, right, BAR)],
        (0.0, 1.0, 0.0, 1.0),
        "claimed confidence; share that is right",
    )


def _drawn(
    lines: Sequence[tuple[NDArray[np.float64], NDArray[np.float64], tuple[int, int, int]]],
    bounds: tuple[float, float, float, float],
    text: str,
) -> bytes:
    """Lines within ``left, right, low, high``, as a palette PNG."""
    from PIL import Image, ImageDraw

    left, right, low, high = bounds
    sheet = Image.new("RGB", (WIDE, HIGH), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.rectangle((EDGE, 8, WIDE - 8, HIGH - EDGE), outline=FAINT)

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - left) / max(right - left, 1e-12)
        up = (min(max(y, low), high) - low) / max(high - low, 1e-12)
        return EDGE + across * (WIDE - 8 - EDGE), HIGH - EDGE - up * (HIGH - EDGE - 8)

    for xs, ys, colour in lines:
        points = [place(x, y) for x, y in zip(xs, ys, strict=True) if np.isfinite(y)]
        if len(points) > 1:
            draw.line(points, fill=colour, width=2)
    for value, y in ((high, 8), (low, HIGH - EDGE - 10)):
        draw.text((4, y), f"{value:.3g}", fill=INK)
    draw.text((EDGE, HIGH - EDGE + 4), f"{left:.3g}", fill=INK)
    draw.text((WIDE - 40, HIGH - EDGE + 4), f"{right:.3g}", fill=INK)
    draw.text((EDGE, HIGH - 20), text, fill=INK)
    buffer = io.BytesIO()
    sheet.quantize(32).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
