"""What stands for a film or a clip: its first, middle and last picture in a strip, and a moving preview.

Belongs here: choosing, decoding and joining these pictures. Does not belong here: pictures of clips, which are exact
(``cut``). Only workers import this module.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from arot_assets.media.file import DecodeError, Limits
from arot_assets.media.video.colour import FrameAppearance, rgb_of
from arot_assets.media.video.container import chosen, opened
from arot_assets.media.video.decode import COMBED, decoded, frames_of, planes, woven
from arot_assets.media.video.kernels import combing
from arot_assets.media.video.probe import probe_film
from arot_assets.media.wants import Pixels

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

CLIP = (0.0, 0.5, 1.0)
"""Where the pictures of a strip are, as shares of the time: leftovers of a neighbouring shot are at the ends."""
FILM = (0.05, 0.5, 0.95)
"""The same of something long: films often begin and end black."""
LONG_SECONDS = 30.0
MOST_DECODED = 60
"""Frames that are decoded for one picture; beyond, one that is a little early will do."""
GAP = 2
"""Pixels between the pictures of a strip."""
PREVIEW_FRAMES, PREVIEW_FPS, PREVIEW_SECONDS = 24, 8, 3.0
PREVIEW_QUALITY = 40


def poster_of(path: Path, facts: Mapping[str, Any], side: int) -> Pixels:
    """The first, the middle and the last picture, one above the other or side by side, whichever shows more of them.

    Args:
        path: a local film.
        facts: its columns of ``samples``; empty if they are not known.
        side: longest side of the whole, in pixels.

    Raises:
        DecodeError: it cannot be decoded.
    """
    facts = _known(path, facts)
    look, fields = FrameAppearance.of(facts), bool(facts.get("interlaced_flag"))
    places = FILM if (facts.get("seconds") or 0) > LONG_SECONDS else CLIP
    with opened(path) as container:
        stream = chosen(container)
        frames = [_at(container, stream, pts, fields) for pts in _times(facts, places)]
        pictures = [rgb_of(frame, look, side) for frame in frames if frame is not None]
    if not pictures:
        raise DecodeError("corrupt", "no frame can be decoded")
    return _strip(pictures, side)


def moments_of(path: Path, facts: Mapping[str, Any], most: int, fps: float | None) -> Iterator[Pixels]:
    """Pictures from the middles of equal parts of the time, in order, of their shown size; one decode of a clip.

    Args:
        path: a local film.
        facts: its columns of ``samples``; empty if they are not known.
        most: how many; fewer if it has fewer frames.
        fps: per second of the film, ``most`` at most and at least one; None for ``most``.

    Raises:
        DecodeError: it cannot be decoded.
    """
    facts = _known(path, facts)
    look, seconds = FrameAppearance.of(facts), facts.get("seconds") or 0.0
    count = most if fps is None else max(1, min(most, round(seconds * fps)))
    times = _times(facts, [(n + 0.5) / count for n in range(count)])
    # seeking is cheaper than decoding all of a long film
    frames = _each_at(path, facts, times) if seconds > LONG_SECONDS else _in_one_pass(path, facts, times)
    last: int | None = None
    is_empty = True
    for frame in frames:
        if is_empty or frame.pts is None or frame.pts != last:
            yield rgb_of(frame, look)
        last, is_empty = frame.pts, False
    if is_empty:
        raise DecodeError("corrupt", "no frame can be decoded")


def _each_at(path: Path, facts: Mapping[str, Any], times: Sequence[int | None]) -> "Iterator[VideoFrame]":
    """The frame that is shown at each of these times."""
    with opened(path) as container:
        stream = chosen(container)
        for pts in times:
            frame = _at(container, stream, pts, bool(facts.get("interlaced_flag")))
            if frame is not None:
                yield frame


def _in_one_pass(path: Path, facts: Mapping[str, Any], times: Sequence[int | None]) -> "Iterator[VideoFrame]":
    """The first frame at or after each of these times, each once."""
    left = list(times)
    for frame in decoded(path, interlaced=bool(facts.get("interlaced_flag"))):
        due = [pts for pts in left if pts is None or frame.pts >= pts]
        if due:
            yield frame.frame
            left = left[len(due) :]
        if not left:
            return
    raise DecodeError("corrupt", f"{len(left)} of {len(times)} pictures cannot be decoded")


def preview_of(path: Path, facts: Mapping[str, Any], side: int) -> bytes:
    """An animated WebP: the first seconds of a clip, or of the middle of a film, without sound.

    Args:
        path: a local film.
        facts: its columns of ``samples``; empty if they are not known.
        side: longest side, in pixels.

    Raises:
        DecodeError: it cannot be decoded.
    """
    from PIL import Image

    facts = _known(path, facts)
    look, base = FrameAppearance.of(facts), Fraction(facts["time_base"])
    is_long = (facts.get("seconds") or 0) > LONG_SECONDS
    (start,) = _times(facts, (0.5,) if is_long else (0.0,))
    pictures: list[Pixels] = []
    with opened(path) as container:
        stream = chosen(container)
        first: int | None = None
        for frame in _decoded_from(container, stream, start, bool(facts.get("interlaced_flag"))):
            if frame.pts is None:
                continue
            first = frame.pts if first is None else first
            passed = (frame.pts - first) * base
            if passed > PREVIEW_SECONDS or len(pictures) >= PREVIEW_FRAMES:
                break
            if passed * PREVIEW_FPS >= len(pictures):
                pictures.append(rgb_of(frame, look, side))
    if not pictures:
        raise DecodeError("corrupt", "no frame can be decoded")
    images = [Image.fromarray(picture) for picture in pictures]
    buffer = io.BytesIO()
    images[0].save(
        buffer,
        "WEBP",
        save_all=True,
        append_images=images[1:],
        duration=round(1000 / PREVIEW_FPS),
        loop=0,
        quality=PREVIEW_QUALITY,
        method=2,
    )
    return buffer.getvalue()


def _known(path: Path, facts: Mapping[str, Any]) -> Mapping[str, Any]:
    if facts.get("time_base"):
        return facts
    found = probe_film(path, path.name, Limits())
    if found.status != "ok":
        raise DecodeError(found.status, found.reason or "")
    return found.facts


def _times(facts: Mapping[str, Any], places: Sequence[float]) -> list[int | None]:
    """PTS of some shares of the time; None for the beginning of a film whose times are not known."""
    first, last = facts.get("first_pts"), facts.get("last_pts")
    if first is None or last is None or last <= first:
        return [None]
    return [round(first + place * (last - first)) for place in places]


def _at(container: "InputContainer", stream: "VideoStream", pts: int | None, fields: bool) -> "VideoFrame | None":
    """The frame that is shown at a time, or one a little before; None if nothing can be decoded from there on. One that turns
    out to be of two fields is decoded again, as film of fields."""
    best: VideoFrame | None = None
    for n, frame in enumerate(_from_before(container, stream, pts, fields)):
        if best is not None and pts is not None and frame.pts is not None and frame.pts > pts:
            break
        best = frame
        if pts is None or n >= MOST_DECODED or (frame.pts is not None and frame.pts >= pts):
            break
    if best is not None and not fields and combing(*planes(best)[0]) > COMBED:
        return _at(container, stream, pts, True)
    return best


def _from_before(
    container: "InputContainer", stream: "VideoStream", pts: int | None, fields: bool
) -> "Iterator[VideoFrame]":
    """Frames from one on that is not later than a time, if there is one: frames that are shown before the key frame of an open
    group cannot be decoded from it, only from the key frame before."""
    earliest = stream.start_time or 0
    back = round(1 / (stream.time_base or Fraction(1, 1000)))
    start = pts
    while True:
        frames = _decoded_from(container, stream, start, fields)
        first = next(frames, None)
        if first is None:
            return
        if pts is None or start is None or first.pts is None or first.pts <= pts or start <= earliest:
            yield first
            yield from frames
            return
        start, back = max(earliest, start - back), 2 * back


def _decoded_from(
    container: "InputContainer", stream: "VideoStream", pts: int | None, fields: bool
) -> "Iterator[VideoFrame]":
    """Frames from the key frame before a time on; fields are made into frames."""
    try:
        container.seek(pts or 0, stream=stream)
    except OSError:  # no index: the beginning will do
        container.seek(0)
    frames = frames_of(container, stream)
    yield from (frame for frame, _ in (woven(frames, stream) if fields else frames))


def _strip(pictures: Sequence[Pixels], side: int) -> Pixels:
    """Pictures joined, each of the size of the first, so that they are as large as ``side`` allows."""
    from PIL import Image

    height, width = pictures[0].shape[:2]
    count = len(pictures)
    above = width >= height  # wide pictures stand above each other
    along, across = (height, width) if above else (width, height)
    scale = min((side - GAP * (count - 1)) / (count * along), side / across, 1.0)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = [np.asarray(Image.fromarray(p).resize(size, Image.Resampling.BILINEAR), np.uint8) for p in pictures]
    gap = np.full((GAP, size[0], 3) if above else (size[1], GAP, 3), 255, np.uint8)
    parts = [part for picture in small for part in (gap, picture)][1:]
    return np.ascontiguousarray(np.concatenate(parts, axis=0 if above else 1))
