"""The sound of a film as models of sound take it: one channel at one rate, on the film's own clock.

Belongs here: frames of sound to such samples, and whether enough of them could be decoded. Does not belong here: levels
(``loudness.py``), the sound of a clip's file (``sound.py``), what a model makes of it. Only workers import this module.

Channels are averaged, as the published pipelines do (libswresample's own mono is 3 dB louder for two equal channels), and then
resampled. What is before the first frame or after the last is no part of the film.
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from arot_assets.media.video.container import opened
from arot_assets.media.video.decode import sound_of_packet, sound_stream
from arot_assets.media.video.sound import DRIFT
from arot_assets.media.wants import SOUND_RATE, DecodingProgress, Part, SoundStretch

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.resampler import AudioResampler

REFUSED = 0.1
"""Share of packets that a decoder may refuse; beyond it the sound counts as damaged."""
BLOCK = 4 * SOUND_RATE
"""Samples that leave together."""
BEAT = 500
"""Packets from one sign of life to the next."""


class Hearing:
    """Makes the samples of one film.

    Args:
        facts: its columns of ``samples``.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        base = Fraction(facts["time_base"])
        first, end = facts.get("first_pts") or 0, facts.get("end_pts")
        self._start = first * base
        self._end = round((end - first) * base * SOUND_RATE) if end is not None else None
        self._planes: AudioResampler | None = None
        self._resampler: AudioResampler | None = None
        self._rate = 0
        self._due: int | None = None
        self._done = 0
        self._waiting: list[SoundStretch] = []
        self._heard, self._refused = 0, 0

    def add(self, frame: "AudioFrame | None") -> None:
        """Take the next frame of sound; None for a packet that was refused."""
        if frame is None:
            self._refused += 1
            return
        self._heard += 1
        for mixed in self._mixed(frame):
            if mixed.sample_rate != self._rate:
                self._flush()
                self._set_up(mixed.sample_rate)
            assert self._resampler is not None
            self._take(self._resampler.resample(mixed))

    def finish(self) -> None:
        """There is no further sound."""
        self._flush()

    def parts(self, whole: bool = True) -> Iterator[SoundStretch]:
        """The samples so far, once there is a block of them; all with ``whole=False``, and then whether they are of use."""
        if self._waiting and (not whole or sum(len(one.samples) for one in self._waiting) >= BLOCK):
            yield from _joined(self._waiting)
            self._waiting = []
        if not whole and self._refused > REFUSED * (self._heard + self._refused):
            said = f"{self._refused} of {self._heard + self._refused} packets" if self._heard else "no packet"
            verb = "could not" if self._heard else "could"
            yield SoundStretch(self._done, np.zeros(0, np.float32), f"corrupt: {said} of its sound {verb} be decoded")

    def _mixed(self, frame: "AudioFrame") -> "Iterator[AudioFrame]":
        """A frame in floating point, the mean of its channels, at its own rate."""
        from av.audio.frame import AudioFrame
        from av.audio.resampler import AudioResampler

        planes = self._planes = self._planes or AudioResampler(format="fltp")
        try:
            found = planes.resample(frame)
        except ValueError:  # its format changed within the film
            planes = self._planes = AudioResampler(format="fltp")
            found = planes.resample(frame)
        for part in found:
            mean = np.asarray(part.to_ndarray(), np.float32).mean(axis=0, keepdims=True)
            mixed = AudioFrame.from_ndarray(np.ascontiguousarray(mean), format="fltp", layout="mono")
            mixed.sample_rate, mixed.pts = part.sample_rate, part.pts
            if part.time_base is not None:
                mixed.time_base = part.time_base
            yield mixed

    def _set_up(self, rate: int) -> None:
        from av.audio.resampler import AudioResampler

        self._rate, self._due = rate, None
        self._resampler = AudioResampler(format="fltp", layout="mono", rate=SOUND_RATE)

    def _flush(self) -> None:
        """What the resampler still holds."""
        if self._resampler is not None:
            self._take(self._resampler.resample(None))
            self._resampler, self._rate = None, 0

    def _take(self, parts: "list[AudioFrame]") -> None:
        """Samples at the place that their time stamp tells, without those that lie outside of the film or were heard."""
        for part in parts:
            samples = np.asarray(part.to_ndarray(), np.float32).reshape(-1)
            place = self._due
            if part.pts is not None and part.time_base is not None:
                told = round((part.pts * part.time_base - self._start) * SOUND_RATE)
                if place is None or abs(told - place) > DRIFT * SOUND_RATE:
                    place = told
            if place is None:
                continue
            self._due = last = place + len(samples)
            first = max(place, self._done)
            last = last if self._end is None else min(last, self._end)
            if first < last:
                self._waiting.append(SoundStretch(first, _finite(samples[first - place : last - place])))
                self._done = last


def _joined(pieces: list[SoundStretch]) -> Iterator[SoundStretch]:
    """The same sound in as few pieces as there are stretches without a gap."""
    start = 0
    for k, (one, after) in enumerate(zip(pieces, [*pieces[1:], None], strict=True)):
        if after is None or one.place + len(one.samples) != after.place:
            yield SoundStretch(pieces[start].place, np.concatenate([p.samples for p in pieces[start : k + 1]]))
            start = k + 1


def _finite(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """A damaged float codec may give anything; a number that is none is silence."""
    return np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0).clip(-8, 8)


def heard_film(path: Path, facts: Mapping[str, Any]) -> Iterator[Part]:
    """All of a film's sound, without decoding a picture.

    Args:
        path: a local film.
        facts: its columns of ``samples``.

    Yields:
        Sound as it comes, and signs of life.

    Raises:
        DecodeError: the film cannot be opened.
    """
    hearing = Hearing(facts)
    with opened(path) as container:
        stream = sound_stream(container)
        if stream is None and container.streams.audio:
            hearing.add(None)
        for count, packet in enumerate(container.demux(stream) if stream is not None else ()):
            for frame in sound_of_packet(packet):
                hearing.add(frame)
            yield from hearing.parts()
            if count % BEAT == 0:
                yield DecodingProgress(0)
    hearing.finish()
    yield from hearing.parts(whole=False)
