"""Cutting clips out of a film: exactly the frames that are meant, encoded again, and proved.

Belongs here: one film's clips, in one decode. Does not belong here: which clips, and where the files go
(``clips/cutting.py``). Only workers import this module.

A clip is a span of PTS, and its frames are known by their ordinals in ``frames``. An output frame shows the source
frame whose PTS is nearest to its time (the earlier of two that are as near), so no frame of a neighbouring shot is ever
used, and a film with a variable rate becomes one with a constant rate. Where the film has fewer frames than the rate,
one is shown twice, and counted.

The proof: the CRC of the working grid of each source frame that is used is the one that the first decode stored, so the
frames are the right ones; and the file, decoded again, has the planned number of frames, of which the first, the middle
and the last are closer to their own source frame than to its neighbours.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from arot_assets.media.file import DecodeError
from arot_assets.media.video.cadence import Repeats
from arot_assets.media.video.clip_file import Cut, Settings, Writer
from arot_assets.media.video.colour import FrameAppearance, rgb_of
from arot_assets.media.video.decode import decoded
from arot_assets.media.video.grid import Grid
from arot_assets.media.video.proof import proved
from arot_assets.media.video.sound import sound_of
from arot_assets.media.wants import Pixels

MOST_RETIMED = Fraction(5, 100)
"""By how much ``retime`` may change the speed: more is seen."""
ENOUGH = 0.95
"""Share of the wanted rate that different frames must reach for repeated ones to be left out."""


def cut_film(
    path: Path,
    facts: Mapping[str, Any],
    cuts: Sequence[Cut],
    settings: Settings,
    folder: Path,
    beat: Callable[[], None] | None = None,
) -> Iterator[dict[str, Any]]:
    """Write the clips of a film, in one decode of it.

    Args:
        path: a local film.
        facts: its columns of ``samples``.
        cuts: in any order; they may overlap.
        settings: of the files.
        folder: gets a file ``<clip_id>.mp4`` for each clip.
        beat: called now and then, as a sign of life.

    Yields:
        One row a clip: the columns of ``clips/cutting.py``.

    Raises:
        DecodeError: the film cannot be decoded.
    """
    look, base = FrameAppearance.of(facts), Fraction(facts["time_base"])
    waiting = sorted(cuts, key=lambda cut: cut.start_n)
    at_work: list[Writer] = []
    grid: Grid | None = None
    for frame in decoded(path, interlaced=bool(facts.get("interlaced_flag"))):
        if beat is not None:
            beat()
        if grid is None:
            grid = Grid(frame.frame.width, frame.frame.height, look)
        while waiting and waiting[0].start_n <= frame.n:
            at_work.append(_writer(waiting.pop(0), path, facts, base, settings, folder))
        if at_work:
            picture = framed(rgb_of(frame.frame, look), settings, look)
            crc = grid.cells(frame.frame).crc
            for writer in at_work:
                if frame.n < writer.cut.end_n:
                    writer.take(frame.n, frame.pts, picture, crc)
        for writer in [w for w in at_work if frame.n >= w.cut.end_n - 1]:
            at_work.remove(writer)
            yield proved(writer)
        if not waiting and not at_work:
            return
    for writer in at_work:
        yield proved(writer)
    if waiting:
        raise DecodeError("corrupt", f"the film ended before frame {waiting[0].start_n}; run its dataset again")


def _writer(cut: Cut, path: Path, facts: Mapping[str, Any], base: Fraction, settings: Settings, folder: Path) -> Writer:
    rate = Fraction(settings.fps) if settings.fps else own_rate(facts)
    seconds = (cut.end_pts - cut.start_pts) * base
    skip = _repeated(cut, settings, rate, seconds)
    shown = cut.end_n - cut.start_n - len(skip)
    speed = rate * seconds / shown if settings.timing == "retime" and seconds > 0 else Fraction(1)
    # a twentieth of a frame forgives time bases that cannot hold the rate, such as milliseconds
    count = shown if settings.timing == "retime" else int(seconds * rate + Fraction(1, 20))
    if settings.frames:
        count = min(count, settings.frames)
    count = max(1, count - (count - 1) % settings.frames_step)
    step = None if settings.timing == "retime" else 1 / (rate * base)
    target = folder / f"{cut.clip_id}.mp4"
    if abs(speed - 1) > MOST_RETIMED:
        return Writer(cut, target, rate, 0, step, settings, skip, speed)
    sound = sound_of(path, cut.start_pts * base, count / rate * speed, speed) if settings.audio == "keep" else None
    return Writer(cut, target, rate, count, step, settings, skip, speed, sound)


def _repeated(cut: Cut, settings: Settings, rate: Fraction, seconds: Fraction) -> frozenset[int]:
    """The frames of a span to leave out, because they repeat the one before: none if the others are too few for the
    rate, as in a still picture."""
    if settings.repeats == "keep" or not settings.fps:
        return frozenset()
    repeats = Repeats()
    found = [n for n, change in enumerate(cut.changes[1:], cut.start_n + 1) if repeats.take(change)]
    enough = cut.end_n - cut.start_n - len(found) >= ENOUGH * rate * seconds
    return frozenset(found) if enough else frozenset()


def own_rate(facts: Mapping[str, Any]) -> Fraction:
    """The frame rate of a film: what its container names if its time stamps agree, otherwise their median."""
    median = float(facts.get("median_fps") or 24.0)
    named = Fraction(facts["r_fps"]) if facts.get("r_fps") else Fraction(0)
    if abs(float(named) - median) <= 0.02 * median:
        return named
    return Fraction(median).limit_denominator(1001)


def framed(picture: Pixels, settings: Settings, look: FrameAppearance) -> Pixels:
    """A picture without bars, scaled to cover the wanted size, and cut to it around the centre.

    Args:
        picture: ``uint8 [H, W, 3]``, as shown.
        settings: of the files.
        look: of the film; bars are those of frames as stored.
    """
    import cv2

    top, bottom, left, right = shown_crop(settings.crop, look)
    picture = picture[top : picture.shape[0] - bottom, left : picture.shape[1] - right]
    height, width = picture.shape[:2]
    wanted_w = settings.width or width // settings.multiple * settings.multiple
    wanted_h = settings.height or height // settings.multiple * settings.multiple
    scale = max(wanted_w / width, wanted_h / height)
    if scale != 1 and (settings.width or settings.height):
        size = (max(wanted_w, round(width * scale)), max(wanted_h, round(height * scale)))
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        picture = np.asarray(cv2.resize(picture, size, interpolation=way), np.uint8)
        height, width = picture.shape[:2]
    y, x = (height - wanted_h) // 2, (width - wanted_w) // 2
    return np.ascontiguousarray(picture[y : y + wanted_h, x : x + wanted_w])


def shown_crop(crop: Sequence[int], look: FrameAppearance) -> tuple[int, int, int, int]:
    """Top, bottom, left, right of the picture as shown, from those of frames as stored."""
    top, bottom, left, right = crop
    if look.sar > 1:
        left, right = (math.ceil(side * look.sar) for side in (left, right))
    elif look.sar < 1:
        top, bottom = (math.ceil(side / look.sar) for side in (top, bottom))
    if look.mirrored:
        left, right = right, left
    for _ in range(look.rotation // 90):  # a quarter counter-clockwise: the right side becomes the top
        top, bottom, left, right = right, left, top, bottom
    return top, bottom, left, right
