"""The file of one clip while it is written: which source frame each output frame shows, and encoding it.

Belongs here: one file. Does not belong here: decoding the film (``cut.py``), comparing the file with it (``proof.py``).
Only workers import this module.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
from numpy.typing import NDArray

from arot_assets.media.video.sound import Sound, add_sound, write_sound
from arot_assets.media.wants import Pixels

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

PROOF_SIDE = 192
"""Longest side, in pixels, of the pictures that are compared for the proof."""


@dataclass(frozen=True)
class Cut:
    """One clip to cut.

    Attributes:
        clip_id: names the file.
        start_n: its first frame.
        end_n: the frame after its last.
        start_pts: when it starts, in units of the film's time base.
        end_pts: when it ends.
        crcs: of its frames, as stored by the first decode.
        changes: by how much each frame differs from the one before (``frames.d_y``); empty if that is not known.
    """

    clip_id: str
    start_n: int
    end_n: int
    start_pts: int
    end_pts: int
    crcs: tuple[int, ...]
    changes: tuple[float, ...] = ()


@dataclass(frozen=True)
class Settings:
    """How clips are written; all of it is kept with the files.

    Attributes:
        fps: frames per second of the files, as a fraction; empty for the film's own.
        width: pixels; 0 for the film's own.
        height: pixels; 0 for the film's own.
        multiple: sides are cut to a multiple of this.
        frames: at most so many frames; 0 for all.
        frames_step: frames are 1 plus a multiple of this; 1 for any number.
        timing: ``nearest``: each output frame shows the source frame nearest in time; ``retime``: every frame is shown once,
            and the clip becomes a little slower or faster.
        repeats: ``drop``: frames that repeat the one before are left out first, as far as the others are enough for the
            rate.
        audio: ``keep`` the sound, encoded again, or ``drop`` it.
        crop: top, bottom, left, right bars of the film as stored, cut away first.
        codec: FFmpeg's encoder.
        crf: its quality; less is better and larger.
        preset: its speed.
    """

    fps: str = ""
    width: int = 0
    height: int = 0
    multiple: int = 2
    frames: int = 0
    frames_step: int = 1
    timing: Literal["nearest", "retime"] = "nearest"
    repeats: Literal["drop", "keep"] = "drop"
    audio: Literal["drop", "keep"] = "drop"
    crop: tuple[int, int, int, int] = (0, 0, 0, 0)
    codec: str = "libx264"
    crf: float = 17.0
    preset: str = "veryfast"


@dataclass
class Writer:
    """A clip that is being written.

    Attributes:
        cut: which.
        path: the file.
        rate: frames per second.
        count: frames that are planned.
        step: units of the time base from one output frame to the next; None where every frame is shown once.
        skip: frames that are left out, because they repeat the one before.
        speed: how much faster than the film it plays.
        sound: to be written with it.
    """

    cut: Cut
    path: Path
    rate: Fraction
    count: int
    step: Fraction | None
    settings: Settings
    skip: frozenset[int] = frozenset()
    speed: Fraction = Fraction(1)
    sound: Sound | None = None
    container: "OutputContainer | None" = None
    stream: "VideoStream | None" = None
    written: int = 0
    used: list[int] = field(default_factory=list)  # source frame of each output frame
    small: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    last: "tuple[int, int, Pixels] | None" = None  # n, pts, picture
    wrong: int = 0

    def take(self, n: int, pts: int, picture: Pixels, crc: int) -> None:
        """The next frame of the span."""
        expected = self.cut.crcs[n - self.cut.start_n] if n - self.cut.start_n < len(self.cut.crcs) else None
        self.wrong += crc != expected
        self.small[n] = small_luma(picture)
        if n not in self.skip:
            before = self.last
            if self.step is None:
                if self.written < self.count:
                    self._write((n, pts, picture))
            elif before is not None:
                while self.written < self.count and self._due() - before[1] <= pts - self._due():
                    self._write(before)
            self.last = (n, pts, picture)
        self._forget()

    def finish(self) -> None:
        """Write what is left, and close the file."""
        while self.step is not None and self.last is not None and self.written < self.count:
            self._write(self.last)
        if self.container is not None and self.stream is not None:
            for packet in self.stream.encode(None):
                self.container.mux(packet)
            self.container.close()

    def _due(self) -> Fraction:
        return self.cut.start_pts + self.written * (self.step or Fraction(0))

    def _forget(self) -> None:
        """Keep the small pictures that the proof compares: around the first, the middle and the last frame."""
        newest = max(self.small)
        oldest = newest - 2 if self.last is None else min(newest, self.last[0]) - 2  # the last may still be written
        wanted = {n + d for n in self._places() for d in (-1, 0, 1)} | set(range(oldest, newest + 1))
        for n in [n for n in self.small if n not in wanted]:
            del self.small[n]

    def _places(self) -> list[int]:
        middle = self.used[self.count // 2] if len(self.used) > self.count // 2 else None
        return [n for n in (*self.used[:1], middle, *self.used[-1:]) if n is not None]

    def _write(self, source: tuple[int, int, Pixels]) -> None:
        import av
        from av.video.frame import VideoFrame
        from av.video.reformatter import ColorRange, Colorspace

        picture = source[2]
        if self.container is None:
            self.container = av.open(str(self.path), "w", options={"movflags": "+faststart"})
            stream = cast("VideoStream", self.container.add_stream(self.settings.codec, rate=self.rate))
            stream.width, stream.height, stream.pix_fmt = picture.shape[1], picture.shape[0], "yuv420p"
            gop = max(1, round(self.rate))
            stream.options = {
                "crf": f"{self.settings.crf:g}",
                "preset": self.settings.preset,
                "bf": "0",
                "g": str(gop),
                # without mbtree, which gives small pictures other bytes from time to time (x264 core 165)
                "x264-params": "scenecut=0:open-gop=0:mbtree=0",
            }
            context = stream.codec_context
            context.thread_count = 1  # the bytes depend on it; films are cut side by side
            context.color_range, context.colorspace = 1, 1
            context.color_primaries, context.color_trc = 1, 1
            self.stream = stream
            if self.sound is not None:
                heard = add_sound(self.container, self.sound)
                write_sound(self.container, heard, self.sound)
        assert self.stream is not None and self.container is not None
        frame = VideoFrame.from_ndarray(picture, format="rgb24").reformat(
            format="yuv420p",
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            dst_colorspace=Colorspace.ITU709,
        )
        frame.pts, frame.time_base = self.written, 1 / self.rate
        for packet in self.stream.encode(frame):
            self.container.mux(packet)
        self.used.append(source[0])
        self.written += 1


def small_luma(picture: Pixels) -> NDArray[np.float32]:
    """``float32 [h, w]``: a picture for comparing."""
    import cv2

    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    scale = min(1.0, PROOF_SIDE / max(gray.shape))
    size = (max(1, round(gray.shape[1] * scale)), max(1, round(gray.shape[0] * scale)))
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.float32)
