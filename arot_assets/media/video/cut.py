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
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from arot_assets.media.medium import DecodeError, Pixels
from arot_assets.media.video.colour import Look, rgb_of
from arot_assets.media.video.container import opened
from arot_assets.media.video.decode import decoded
from arot_assets.media.video.grid import Grid

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

PROOF_SIDE = 192
"""Longest side, in pixels, of the pictures that are compared for the proof."""
EQUAL = 99.0
"""The margin, in dB, beside frames that cannot be told apart."""


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
    """

    clip_id: str
    start_n: int
    end_n: int
    start_pts: int
    end_pts: int
    crcs: tuple[int, ...]


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
        step: units of the time base from one output frame to the next.
    """

    cut: Cut
    path: Path
    rate: Fraction
    count: int
    step: Fraction
    settings: Settings
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
        if self.last is not None:
            before = self.last
            while self.written < self.count and self._due() - before[1] <= pts - self._due():
                self._write(before)
        self.small[n] = small_luma(picture)
        self._forget()
        self.last = (n, pts, picture)

    def finish(self) -> None:
        """Write what is left, and close the file."""
        while self.last is not None and self.written < self.count:
            self._write(self.last)
        if self.container is not None and self.stream is not None:
            for packet in self.stream.encode(None):
                self.container.mux(packet)
            self.container.close()

    def _due(self) -> Fraction:
        return self.cut.start_pts + self.written * self.step

    def _forget(self) -> None:
        """Keep the small pictures that the proof compares: around the first, the middle and the last frame."""
        newest = max(self.small)
        wanted = {n + d for n in self._places() for d in (-1, 0, 1)} | set(range(newest - 2, newest + 1))
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
                "x264-params": "scenecut=0:open-gop=0",
            }
            context = stream.codec_context
            context.thread_count = 1  # the bytes depend on it; films are cut side by side
            context.color_range, context.colorspace = 1, 1
            context.color_primaries, context.color_trc = 1, 1
            self.stream = stream
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
    look, base = Look.of(facts), Fraction(facts["time_base"])
    waiting = sorted(cuts, key=lambda cut: cut.start_n)
    at_work: list[Writer] = []
    grid: Grid | None = None
    for frame in decoded(path, interlaced=bool(facts.get("interlaced_flag"))):
        if beat is not None:
            beat()
        if grid is None:
            grid = Grid(frame.frame.width, frame.frame.height, look)
        while waiting and waiting[0].start_n <= frame.n:
            at_work.append(_writer(waiting.pop(0), facts, base, settings, folder))
        if at_work:
            picture = framed(rgb_of(frame.frame, look), settings, look)
            crc = grid.cells(frame.frame).crc
            for writer in at_work:
                if frame.n < writer.cut.end_n:
                    writer.take(frame.n, frame.pts, picture, crc)
        for writer in [w for w in at_work if frame.n >= w.cut.end_n - 1]:
            at_work.remove(writer)
            yield _proved(writer)
        if not waiting and not at_work:
            return
    for writer in at_work:
        yield _proved(writer)
    if waiting:
        raise DecodeError("corrupt", f"the film ended before frame {waiting[0].start_n}; run its dataset again")


def _writer(cut: Cut, facts: Mapping[str, Any], base: Fraction, settings: Settings, folder: Path) -> Writer:
    rate = Fraction(settings.fps) if settings.fps else own_rate(facts)
    seconds = (cut.end_pts - cut.start_pts) * base
    # half a frame's thousandth forgives time bases that cannot hold the rate, such as milliseconds
    count = int(seconds * rate + Fraction(1, 20))
    if settings.frames:
        count = min(count, settings.frames)
    count = max(1, count - (count - 1) % settings.frames_step)
    return Writer(cut, folder / f"{cut.clip_id}.mp4", rate, count, 1 / (rate * base), settings)


def own_rate(facts: Mapping[str, Any]) -> Fraction:
    """The frame rate of a film: what its container names if its time stamps agree, otherwise their median."""
    median = float(facts.get("median_fps") or 24.0)
    named = Fraction(facts["r_fps"]) if facts.get("r_fps") else Fraction(0)
    if abs(float(named) - median) <= 0.02 * median:
        return named
    return Fraction(median).limit_denominator(1001)


def framed(picture: Pixels, settings: Settings, look: Look) -> Pixels:
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


def shown_crop(crop: Sequence[int], look: Look) -> tuple[int, int, int, int]:
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


def small_luma(picture: Pixels) -> NDArray[np.float32]:
    """``float32 [h, w]``: a picture for comparing."""
    import cv2

    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    scale = min(1.0, PROOF_SIDE / max(gray.shape))
    size = (max(1, round(gray.shape[1] * scale)), max(1, round(gray.shape[0] * scale)))
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.float32)


def _proved(writer: Writer) -> dict[str, Any]:
    """Finish a clip, decode its file, and compare."""
    writer.finish()
    cut = writer.cut
    row: dict[str, Any] = {
        "clip_id": cut.clip_id,
        "fps": float(writer.rate),
        "frames_planned": writer.count,
        "source_frames": cut.end_n - cut.start_n,
        "source_crc_wrong": writer.wrong,
        "first_n": writer.used[0] if writer.used else None,
        "last_n": writer.used[-1] if writer.used else None,
        "repeated": len(writer.used) - len(set(writer.used)),
        "speed": 1.0,
        "audio": "dropped",
    }
    if writer.container is None:
        return row | {"status": "failed", "reason": "no frame of its span was decoded", "frames_written": 0}
    checked = {0: "first", writer.count // 2: "middle", writer.count - 1: "last"}
    count, size = 0, (0, 0)
    right = True
    for k, picture in _read_back(writer.path):
        count, size = k + 1, (picture.shape[1], picture.shape[0])
        if k in checked and k < len(writer.used):
            own, margin = _compared(small_luma(picture), writer.small, writer.used[k])
            row |= {f"psnr_{checked[k]}": own, f"margin_{checked[k]}": margin}
            right &= margin >= 0
    if count != writer.count:
        reason = f"{count} frames in the file instead of {writer.count}"
    elif writer.wrong:
        reason = f"{writer.wrong} source frames differ from those of the first decode; run the film's dataset again"
    elif not right:
        reason = "a frame of the file resembles another frame of the film more than its own"
    else:
        reason = None
    return row | {
        "status": "ok" if reason is None else "failed",
        "reason": reason,
        "frames_written": count,
        "width": size[0],
        "height": size[1],
        "bytes": writer.path.stat().st_size,
    }


def _read_back(path: Path) -> Iterator[tuple[int, Pixels]]:
    """The frames of a written file, as a player shows them."""
    with opened(path) as container:
        for k, frame in enumerate(container.decode(video=0)):
            yield k, rgb_of(frame, Look(0, False, Fraction(1), "bt709", False, None))


def _compared(shown: NDArray[np.float32], sources: Mapping[int, NDArray[np.float32]], n: int) -> tuple[float, float]:
    """PSNR of a frame to its source in dB, and by how much it exceeds that to the source's neighbours.

    A neighbour that differs from the source by less than the encoder changed it says nothing: the margin is then
        ``EQUAL``.
    """

    def psnr(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
        return float(10 * np.log10(255**2 / max(float(np.mean((a - b) ** 2)), 1e-6)))

    own = psnr(shown, sources[n])
    others = [sources[k] for k in (n - 1, n + 1) if k in sources and psnr(sources[k], sources[n]) < own]
    return own, min((own - psnr(shown, other) for other in others), default=EQUAL)
