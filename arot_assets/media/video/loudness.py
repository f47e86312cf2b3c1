"""How loud a film is, tenth by tenth of a second: the rows of ``sound``.

Belongs here: levels of the sound while a film is decoded. Does not belong here: the sound of a clip's file (``sound.py``),
loudness of a clip (an aggregate of these rows). Only workers import this module.

Levels are of the sound as a clip gets it, mono or stereo. Loudness is that of ITU-R BS.1770-4 before its gates: the sound
passes a filter that stands for the head, and one that stands for the ear, and the mean squares of the channels are added.
The analogue prototypes of the two filters, from which they follow at any rate, are those of libebur128 and FFmpeg's ebur128.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from arot_assets.media.video.kernels import filtered
from arot_assets.media.video.sound import DRIFT

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.resampler import AudioResampler

PARTS = 10
"""Rows a second."""
OFFSET = -0.691
"""LUFS of a mean square of 1: BS.1770-4 makes a sine of 997 Hz and full scale in one channel -3.01."""
SHELF = (1681.974450955533, 3.999843853973347, 0.7071752369554196)
"""Hz, dB and quality of the filter that stands for the head."""
LOW_CUT = (38.13547087602444, 0.5003270373238773)
"""Hz and quality of the filter that stands for the ear."""
STEPS = 16.0
"""Levels are kept in steps of 1/16 dB, so that they take little room."""


@dataclass
class _Part:
    """A tenth of a second.

    Attributes:
        heard: samples that it has.
        square: sum of squares of all channels.
        weighted: the same behind the filters.
        peak: largest absolute sample.
    """

    heard: int = 0
    square: float = 0.0
    weighted: float = 0.0
    peak: float = 0.0


class Loudness:
    """Makes the rows of ``sound`` of one film.

    Args:
        start: of its first frame, in seconds of the film's own clock.
    """

    def __init__(self, start: Fraction) -> None:
        self._start = start
        self._resampler: AudioResampler | None = None
        self._rate, self._channels = 0, 1
        self._due: int | None = None
        self._current, self._part = 0, _Part()
        self._done: list[dict[str, Any]] = []

    def add(self, frame: "AudioFrame") -> None:
        """Take the next frame of sound."""
        for part in self._planes(frame):
            samples = np.ascontiguousarray(part.to_ndarray(), np.float32).reshape(self._channels, -1)
            place = self._due
            if part.pts is not None and part.time_base is not None:
                told = round((part.pts * part.time_base - self._start) * self._rate)
                if place is None or abs(told - place) > DRIFT * self._rate:
                    place = told
            if place is None:
                continue
            self._due = place + samples.shape[1]
            weighted = np.empty_like(samples)
            filtered(samples, self._filters, self._state, weighted)
            self._share_out(place, samples, weighted)

    def rows(self) -> list[dict[str, Any]]:
        """The rows that are complete and were not given yet."""
        done, self._done = self._done, []
        return done

    def finish(self) -> None:
        """There is no further sound."""
        self._close()

    def _planes(self, frame: "AudioFrame") -> "list[AudioFrame]":
        """A frame in floating point, in one or two channels, at its own rate."""
        if self._resampler is None:
            self._set_up(frame)
        assert self._resampler is not None
        try:
            return list(self._resampler.resample(frame))
        except ValueError:  # its format changed within the film
            self._set_up(frame)
            return list(self._resampler.resample(frame))

    def _set_up(self, frame: "AudioFrame") -> None:
        from av.audio.resampler import AudioResampler

        rate, channels = frame.sample_rate, 2 if frame.layout.nb_channels > 1 else 1
        if self._rate and (rate, channels) != (self._rate, self._channels):
            self._close()
            self._due = None
        self._rate, self._channels = rate, channels
        self._filters = filters(rate)
        self._state = np.zeros((channels, 2, 2))
        self._resampler = AudioResampler(format="fltp", layout="stereo" if channels == 2 else "mono", rate=rate)

    def _share_out(self, place: int, samples: NDArray[np.float32], weighted: NDArray[np.float32]) -> None:
        """Add samples to the tenths of a second that they belong to; what is before the first frame, or before what was
        heard already, belongs to none."""
        first = max(place, self._first_of(self._current))
        last = place + samples.shape[1]
        while first < last:
            number = first * PARTS // self._rate
            if number != self._current:
                self._close()
                self._current = number
            end = min(last, self._first_of(number + 1))
            own = samples[:, first - place : end - place]
            behind = weighted[:, first - place : end - place]
            self._part.heard += end - first
            self._part.square += float(np.vdot(own, own))
            self._part.weighted += float(np.vdot(behind, behind))
            self._part.peak = max(self._part.peak, float(np.abs(own).max()))
            first = end

    def _first_of(self, number: int) -> int:
        """The first sample of a tenth of a second."""
        return -(-number * self._rate // PARTS)

    def _close(self) -> None:
        """The tenth of a second is over."""
        part, self._part = self._part, _Part()
        if not part.heard:
            return
        whole = self._first_of(self._current + 1) - self._first_of(self._current)
        self._done.append(
            {
                "n": self._current,
                "heard": min(1.0, part.heard / whole),
                "rms_db": _decibels(part.square / (part.heard * self._channels)),
                "peak_db": _decibels(part.peak**2),
                "loudness": _decibels(part.weighted / part.heard, OFFSET),
            }
        )
        self._current += 1


def filters(rate: int) -> NDArray[np.float64]:
    """The two filters at a rate: ``float64 [2, 5]``, b0, b1, b2, a1, a2 each."""
    hertz, gain, quality = SHELF
    k = math.tan(math.pi * min(hertz / rate, 0.49))
    high, band = 10 ** (gain / 20), 10 ** (gain / 20 * 0.4996667741545416)
    a0 = 1 + k / quality + k * k
    head = [
        (high + band * k / quality + k * k) / a0,
        2 * (k * k - high) / a0,
        (high - band * k / quality + k * k) / a0,
        2 * (k * k - 1) / a0,
        (1 - k / quality + k * k) / a0,
    ]
    hertz, quality = LOW_CUT
    k = math.tan(math.pi * hertz / rate)
    a0 = 1 + k / quality + k * k
    ear = [1.0, -2.0, 1.0, 2 * (k * k - 1) / a0, (1 - k / quality + k * k) / a0]
    return np.array([head, ear])


def _decibels(power: float, offset: float = 0.0) -> float | None:
    """A mean square in dB; None for nothing."""
    return round((10 * math.log10(power) + offset) * STEPS) / STEPS if power > 1e-20 else None
