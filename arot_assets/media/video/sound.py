"""The sound of a clip: cut out of a film by samples, and encoded again.

Belongs here: finding the samples of a span, and writing them into a clip's file. Does not belong here: pictures
(``cut.py``), how loud a film is. Only workers import this module.

Packets of sound are never copied: they do not end where a clip ends. A span that the film's sound does not cover is
silent there.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from arot_assets.media.video.container import opened

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer

CODEC = "aac"
RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
"""Samples per second that every player of AAC takes; sound at other rates is resampled to the last of them."""
BITS = 96_000
"""Bits per second of a channel."""
BEFORE = Fraction(1)
"""Seconds that are decoded before a span: the first frame after a jump may refer to what was before."""
DRIFT = 0.02
"""Seconds by which a time stamp may differ from the samples so far; containers round. Beyond, there is a gap."""


@dataclass(frozen=True)
class Sound:
    """The sound of a span.

    Attributes:
        samples: ``float32 [channels, n]``, one or two channels.
        rate: samples per second.
        silent: share of the span for which the film has no sound.
    """

    samples: NDArray[np.float32]
    rate: int
    silent: float

    @property
    def loudness(self) -> float | None:
        """Root mean square of the samples, in dB of full scale; None in silence."""
        power = float(np.mean(np.square(self.samples, dtype=np.float64))) if self.samples.size else 0.0
        return 10 * float(np.log10(power)) if power > 0 else None


def sound_of(path: Path, start: Fraction, seconds: Fraction, speed: Fraction = Fraction(1)) -> Sound | None:
    """The sound of a film from ``start`` on, for so many seconds; None if it has none.

    Args:
        path: a local film.
        start: in seconds of the film's own clock.
        seconds: of the film.
        speed: how much faster it is to be played, at the same pitch.

    Raises:
        DecodeError: the film cannot be opened.
    """
    with opened(path) as container:
        streams = [s for s in container.streams.audio if s.codec_context is not None]
        if not streams:
            return None
        stream = streams[0]
        own = stream.codec_context.sample_rate
        rate = own if own in RATES else RATES[-1]
        channels = min(2, max(1, stream.codec_context.channels))
        count = round(seconds * rate)
        samples = np.zeros((channels, count), np.float32)
        heard = np.zeros(count, bool)
        for place, found in _pieces(container, stream, start, rate, channels):
            if place >= count:
                break
            first, last = max(0, place), min(count, place + found.shape[1])
            if last > first:
                samples[:, first:last] = found[:, first - place : last - place]
                heard[first:last] = True
    silent = 1 - float(heard.mean()) if count else 1.0
    return Sound(_faster(samples, rate, speed), rate, silent)


def _pieces(
    container: "InputContainer", stream: "AudioStream", start: Fraction, rate: int, channels: int
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Samples, each piece with the place of its first one after ``start``, in order."""
    from av.audio.resampler import AudioResampler

    resampler = AudioResampler(format="fltp", layout="stereo" if channels == 2 else "mono", rate=rate)
    due: int | None = None
    for frame in _from(container, stream, start - BEFORE):
        for part in resampler.resample(frame):
            place = due
            if part.pts is not None and part.time_base is not None:
                told = round((part.pts * part.time_base - start) * rate)
                if due is None or abs(told - due) > DRIFT * rate:
                    place = told
            if place is None:
                continue
            found = np.asarray(part.to_ndarray(), np.float32).reshape(channels, -1)
            yield place, found
            due = place + found.shape[1]


def _from(container: "InputContainer", stream: "AudioStream", start: Fraction) -> "Iterator[AudioFrame]":
    """Frames from a time on; all of them where a container cannot be entered there."""
    frames, base = _decoded(container, stream), stream.time_base or Fraction(1, 1000)
    with suppress(OSError, ValueError):  # no index: it is read from where it stands, its beginning
        container.seek(max(0, round(start / base)), stream=stream)
    first = next(frames, None)
    if first is None or first.pts is None or first.pts * base > start + BEFORE:
        container.seek(0)
        frames = _decoded(container, stream)
        first = next(frames, None)
    if first is not None:
        yield first
    yield from frames


def _decoded(container: "InputContainer", stream: "AudioStream") -> "Iterator[AudioFrame]":
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except (OSError, ValueError):
            continue  # a damaged packet is a gap


def _faster(samples: NDArray[np.float32], rate: int, speed: Fraction) -> NDArray[np.float32]:
    """The same at another speed, exactly as long as that takes."""
    if speed == 1 or not samples.shape[1]:
        return samples
    import av
    from av.audio.frame import AudioFrame
    from av.filter import Graph

    layout = "stereo" if samples.shape[0] == 2 else "mono"
    graph = Graph()
    source = graph.add_abuffer(sample_rate=rate, format="fltp", layout=layout, time_base=Fraction(1, rate))
    tempo = graph.add("atempo", f"{float(speed):.9f}")
    planes = graph.add("aformat", "sample_fmts=fltp")
    sink = graph.add("abuffersink")
    source.link_to(tempo)
    tempo.link_to(planes)
    planes.link_to(sink)
    graph.configure()
    frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    graph.push(frame)
    graph.push(None)
    found = []
    while True:
        try:
            found.append(np.asarray(graph.pull().to_ndarray(), np.float32))
        except (av.EOFError, av.BlockingIOError):
            break
    out = np.zeros((samples.shape[0], round(samples.shape[1] / speed)), np.float32)
    joined = np.concatenate(found, axis=1)[:, : out.shape[1]] if found else out[:, :0]
    out[:, : joined.shape[1]] = joined
    return out


def add_sound(container: "OutputContainer", sound: Sound) -> "AudioStream":
    """A stream for a sound, in a file of which nothing is written yet."""
    channels = sound.samples.shape[0]
    stream = cast("AudioStream", container.add_stream(CODEC, rate=sound.rate))
    stream.codec_context.layout = "stereo" if channels == 2 else "mono"
    stream.codec_context.bit_rate = BITS * channels
    return stream


def write_sound(container: "OutputContainer", stream: "AudioStream", sound: Sound) -> None:
    """Encode all samples into the stream; the container sorts its packets among those of the pictures."""
    from av.audio.frame import AudioFrame

    layout = stream.codec_context.layout.name
    size = stream.codec_context.frame_size or 1024
    for start in range(0, sound.samples.shape[1], size):
        part = np.ascontiguousarray(sound.samples[:, start : start + size])
        frame = AudioFrame.from_ndarray(part, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = sound.rate, start, Fraction(1, sound.rate)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def heard_seconds(path: Path) -> float | None:
    """How long the sound of a written file is, decoded again; None without any."""
    with opened(path) as container:
        if not container.streams.audio:
            return None
        stream = container.streams.audio[0]
        ends = [
            float((frame.pts or 0) * (frame.time_base or 0)) + frame.samples / frame.sample_rate
            for frame in _decoded(container, stream)
        ]
        return max(ends, default=0.0)
