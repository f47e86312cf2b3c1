"""One decode of a film: every frame passes once, and fills ``frames``, ``steps``, ``stills``, ``sound`` and ``decoded``.

Belongs here: what is done with each frame, and what is told about the film at its end. Does not belong here: each
measurement (``statistics.py``, ``motion.py``, ``loudness.py`` …), the process that this runs in (``isolated.py``). Only
workers import this module.

Memory does not grow with the film: rows leave in blocks, and one still at a time is in memory.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from arot_assets.media.file import DecodeError
from arot_assets.media.image.view import Image
from arot_assets.media.video.bars import Bars
from arot_assets.media.video.cadence import Cadence
from arot_assets.media.video.colour import FrameAppearance, rgb_of
from arot_assets.media.video.columns import DAMAGED, INTERLACED, TEXT_IN_BAR
from arot_assets.media.video.decode import Frame, decoded, planes
from arot_assets.media.video.grid import Cells, Grid
from arot_assets.media.video.hearing import Hearing, heard_film
from arot_assets.media.video.kernels import block_steps, blurring, combing, filtered
from arot_assets.media.video.loudness import Loudness, filters
from arot_assets.media.video.motion import Motion
from arot_assets.media.video.statistics import FrameStatistics
from arot_assets.media.wants import ChildRows, DecodingProgress, Part, Pictures, Still

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

STILL_SECONDS = 0.5
"""Seconds from one still to the next: two a second, so that every clip of half a second has one."""
BLOCK = 512
"""Rows that leave together."""
BEAT = 24
"""Frames from one sign of life to the next."""


def measured_film(
    path: Path,
    facts: Mapping[str, Any],
    *,
    tables: bool,
    stills: bool,
    side: int | None = None,
    threads: int = 1,
    pictures: bool = False,
    sound: bool = False,
) -> Iterator[Part]:
    """Decode a film once; only its sound, if nothing else is wanted.

    Args:
        path: a local film.
        facts: its columns of ``samples``.
        tables: make the rows of the tables.
        stills: give the pixels of stills.
        side: longest side of stills in pixels; None for the size that is shown.
        threads: of the decoder.
        pictures: give every frame in 48 x 27.
        sound: give its sound in one channel.

    Yields:
        Stills as they pass, pictures, sound and rows in blocks, the row of ``decoded`` last.

    Raises:
        DecodeError: it cannot be decoded.
    """
    if sound and not (tables or stills or pictures):
        yield from heard_film(path, facts)
        return
    look, base = FrameAppearance.of(facts), Fraction(facts["time_base"])
    measures = Measures(look, base, facts) if tables else None
    hearing = Hearing(facts) if sound else None
    hear = _listeners(
        measures.loudness.add if measures is not None else None, hearing.add if hearing is not None else None
    )
    due, count = -1.0, 0
    first: int | None = None
    grid: Grid | None = None
    seen: list[tuple[int, NDArray[np.uint8]]] = []
    for frame in decoded(path, interlaced=bool(facts.get("interlaced_flag")), threads=threads, hear=hear):
        first = frame.pts if first is None else first
        seconds = float((frame.pts - first) * base)
        is_still = seconds >= due or seconds < due - 2 * STILL_SECONDS
        if is_still:
            due = (seconds // STILL_SECONDS + 1) * STILL_SECONDS
        if tables or pictures:
            grid = grid or Grid(frame.frame.width, frame.frame.height, look)
            cells = grid.cells(frame.frame)
            if measures is not None:
                measures.add(frame, cells, seconds, is_still)
                yield from measures.blocks()
            if pictures:
                seen.append((frame.pts, grid.picture(cells)))
                if len(seen) >= BLOCK:
                    yield _pictures(seen)
        if hearing is not None:
            yield from hearing.parts()
        if is_still and stills:
            yield Still(Image(rgb_of(frame.frame, look, side)), frame.pts, frame.n)
        count += 1
        if count % BEAT == 0:
            yield DecodingProgress(count)
    if count == 0:
        raise DecodeError("corrupt", "no frame can be decoded")
    if seen:
        yield _pictures(seen)
    if hearing is not None:
        hearing.finish()
        yield from hearing.parts(whole=False)
    if measures is not None:
        measures.finish()
        yield from measures.blocks(whole=False)
        yield ChildRows("decoded", [measures.told(count)])


def _listeners(
    level: "Callable[[AudioFrame], None] | None", hearing: "Callable[[AudioFrame | None], None] | None"
) -> "Callable[[AudioFrame | None], None] | None":
    """Who is given the sound as it passes; nobody, so that it is not decoded."""
    if level is None:
        return hearing

    def hear(frame: "AudioFrame | None") -> None:
        if frame is not None:
            level(frame)
        if hearing is not None:
            hearing(frame)

    return hear


def _pictures(seen: list[tuple[int, NDArray[np.uint8]]]) -> Pictures:
    found = Pictures([pts for pts, _ in seen], np.stack([rgb for _, rgb in seen]))
    seen.clear()
    return found


def warm_up() -> Iterator[None]:
    """Load and compile what films are measured with, on a picture of its own; yields after each piece.

    On a busy machine this takes minutes once, until the compiled code is on disk, and no decoder is at fault.
    """
    from av.video.frame import VideoFrame

    look = FrameAppearance(0, False, Fraction(1), "bt709", False, None)
    picture = VideoFrame(64, 48, "yuv420p")
    frame = Frame(0, 0, True, False, False, False, picture)
    grid, statistics, motion = Grid(64, 48, look), FrameStatistics(), Motion()
    luma, width = planes(picture)[0]
    cells = grid.cells(picture)
    yield
    statistics.add(frame, cells)
    yield
    statistics.add(frame, cells)
    yield
    motion.add(0, 0.0, cells.y)
    motion.add(1, 1.0, cells.y)
    yield
    combing(luma, width)
    yield
    blurring(luma, width)
    yield
    block_steps(luma, width)
    yield
    silence = np.zeros((1, 1), np.float32)
    filtered(silence, filters(48_000), np.zeros((1, 2, 2)), silence)
    yield
    Bars().add(luma, width, False, 8)


class Measures:
    """Everything that is measured of a film but its stills' pixels.

    Args:
        look: how it is shown.
        base: seconds of a unit of PTS.
        facts: its columns of ``samples``.

    Attributes:
        loudness: takes its sound.
    """

    def __init__(self, look: FrameAppearance, base: Fraction, facts: Mapping[str, Any]) -> None:
        self._look, self._base, self._codec = look, base, facts.get("codec")
        self.loudness = Loudness((facts.get("first_pts") or 0) * base)
        self._statistics, self._motion, self._bars, self._cadence = FrameStatistics(), Motion(), Bars(), Cadence()
        self._rows: dict[str, list[dict[str, Any]]] = {"frames": [], "steps": [], "stills": [], "sound": []}
        self._chain = hashlib.sha256()
        self._combs: list[float] = []
        self._damage: list[tuple[int, int]] = []
        self._resized = 0
        self._woven = False

    def add(self, frame: Frame, cells: Cells, seconds: float, is_still: bool) -> None:
        """Take the next frame, and what is on its grid."""
        self._chain.update(cells.crc.to_bytes(4, "little"))
        self._rows["frames"] += self._counted(self._statistics.add(frame, cells))
        step = self._motion.add(frame.n, seconds, cells.y, fresh=frame.resized)
        if step is not None:
            self._rows["steps"].append(step)
        if is_still:
            self._rows["stills"].append(self._still(frame, cells))
        self._resized += frame.resized
        self._woven |= frame.woven
        if frame.damaged:
            if self._damage and self._damage[-1][1] == frame.n - 1:
                self._damage[-1] = (self._damage[-1][0], frame.n)
            else:
                self._damage.append((frame.n, frame.n))

    def finish(self) -> None:
        """There is no further frame."""
        self._rows["frames"] += self._counted(self._statistics.finish())
        self.loudness.finish()

    def blocks(self, whole: bool = True) -> Iterator[ChildRows]:
        """The rows so far, of each table that has a block of them; all with ``whole=False``."""
        self._rows["sound"] += self.loudness.rows()
        for table, rows in self._rows.items():
            if rows and (not whole or len(rows) >= BLOCK):
                yield ChildRows(table, rows[:])
                rows.clear()

    def told(self, count: int) -> dict[str, Any]:
        """The row of ``decoded``."""
        import av

        version = ".".join(map(str, av.library_versions["libavcodec"]))
        top, bottom, left, right = self._bars.crop()
        notes = {DAMAGED: bool(self._damage), INTERLACED: self._woven, TEXT_IN_BAR: self._bars.hold_text()}
        return {
            "frames_decoded": count,
            "damaged_from": [a for a, _ in self._damage],
            "damaged_to": [b for _, b in self._damage],
            "size_changes": self._resized,
            "crop_top": top,
            "crop_bottom": bottom,
            "crop_left": left,
            "crop_right": right,
            "comb": float(np.median(self._combs)) if self._combs else 0.0,
            "is_interlaced": self._woven,
            **self._cadence.told(self._base),
            "notes": [note for note, holds in notes.items() if holds],
            "content_hash": self._chain.hexdigest()[:32],
            "decoder": f"{self._codec} (libavcodec {version})",
        }

    def _counted(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for row in rows:
            self._cadence.add(row)
        return rows

    def _still(self, frame: Frame, cells: Cells) -> dict[str, Any]:
        luma, width = planes(frame.frame)[0]
        depth = 8 if luma.dtype == np.uint8 else frame.frame.format.components[0].bits
        self._bars.add(luma, width, self._look.full_range, depth)
        comb = combing(luma, width)
        self._combs.append(comb)
        return {
            "n": frame.n,
            "pts": frame.pts,
            "blur": blurring(luma, width) / (1 << (depth - 8)),
            "comb": comb,
            "blockiness": block_steps(luma, width) / (1 << (depth - 8)),
            "phash": hash_of(cells.y),
            "phash_mirrored": hash_of(np.ascontiguousarray(cells.y[:, ::-1])),
        }


def hash_of(luma: NDArray[np.uint8]) -> int:
    """A perceptual hash: the signs of 63 low frequencies of a picture around their median, and one bit 0.

    Args:
        luma: ``uint8 [h, w]``.

    Source: pHash's DCT hash (Zauner 2010): 32 x 32, an 8 x 8 corner of the DCT.
    """
    import cv2

    small = cv2.resize(luma, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:8, :8].ravel()[1:]
    bits = low > np.median(low)
    return int(sum(1 << k for k, bit in enumerate(bits) if bit))
