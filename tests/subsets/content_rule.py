"""The content rule of cuts a second time, frame by frame in plain Python: what the SQL of the macros is held to.

Belongs here: the rule as docs/video.md tells it, over the stored columns of one film. Does not belong here: SQL.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Frame = Mapping[str, Any]


def content_cuts(frames: Sequence[Frame]) -> dict[int, str]:
    """First frame of the new shot -> ``cut`` or ``partial``.

    Args:
        frames: of one film, in order, each with ``n``, ``d_y``, ``d_u``, ``d_v``, ``similarity``, ``comes_back``, ``changed`` and
            ``worst_block``; what is None satisfies nothing.
    """
    steps = [_step(frame) for frame in frames]
    found: dict[int, str] = {}
    for k, (frame, step) in enumerate(zip(frames, steps, strict=True)):
        around = [steps[i] or 0.0 for i in (k - 2, k - 1, k + 1, k + 2) if 0 <= i < len(steps)]
        beside = [s for s in steps[max(0, k - 2) : k + 3] if s is not None]
        if step is None or step < max(beside):
            continue
        ratio = step / max(sum(around) / 4, 0.5)
        similarity, comes_back = frame["similarity"], frame["comes_back"]
        if comes_back is None or similarity is None:
            continue
        plain = ratio >= 3 and similarity < 0.9
        altogether = ratio >= 2 and similarity < 0.3 and comes_back < 0.3
        if step >= 6 and comes_back <= 0.9 and (plain or altogether):
            found[frame["n"]] = "partial" if similarity >= 0.6 else "cut"
        elif (
            step >= 3
            and comes_back <= 0.96
            and similarity < 0.95
            and ratio >= 6
            and (frame["changed"] or 0) >= 0.15
            and (frame["worst_block"] or 0) >= 60
        ):
            found[frame["n"]] = "partial"
    return found


def breaks(frames: Sequence[Frame], seconds: float, usual: float) -> dict[int, str]:
    """Frame -> ``size_change`` or ``gap``: breaks of the stream.

    Args:
        frames: with ``pts`` and ``resized`` too.
        seconds: of a unit of PTS.
        usual: seconds from one frame to the next, as a rule.
    """
    found: dict[int, str] = {}
    for before, frame in zip([None, *frames], frames, strict=False):
        passed = None if before is None else (frame["pts"] - before["pts"]) * seconds
        if frame["resized"]:
            found[frame["n"]] = "size_change"
        elif passed is not None and (passed <= 0 or passed > max(0.5, 4 * usual)):
            found[frame["n"]] = "gap"
    return found


def damage(frames: Sequence[Frame]) -> list[tuple[int, int]]:
    """The spans of damaged frames, each with the frame after its last."""
    spans: list[tuple[int, int]] = []
    for frame in frames:
        n = frame["n"]
        if frame["damaged"] and spans and spans[-1][1] == n:
            spans[-1] = (spans[-1][0], n + 1)
        elif frame["damaged"]:
            spans.append((n, n + 1))
    return spans


def merged(found: Sequence[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Boundaries that touch are one, of the kind that weighs most."""
    order = ["damage", "size_change", "gap", "cut", "partial"]
    whole: list[tuple[int, int, str]] = []
    for start, end, kind in sorted(found):
        if whole and start <= whole[-1][1]:
            first, last, other = whole[-1]
            whole[-1] = (first, max(last, end), min(kind, other, key=order.index))
        else:
            whole.append((start, end, kind))
    return whole


def _step(frame: Frame) -> float | None:
    parts = frame["d_y"], frame["d_u"], frame["d_v"]
    if any(part is None for part in parts):
        return None
    y, u, v = (float(part) for part in parts)
    return (y + 2 * (u + v)) / 2
