"""How a model of sound hears a film: stretch by stretch, on the film's own clock.

Belongs here: from sound as it comes to what a model said of all of it. Does not belong here: the model
(``resources.models.families.voice``), where sound comes from (media), the rows (``file_pass.py``).

Windows lie on the film's clock: the first begins with the first frame, so sound that starts late starts in the middle of one.
Pauses in the stream of a second or less are silence; after a longer one the model begins anew, and the windows without sound
between have the probability 0. So a film with a wrong time stamp costs no more than its sound.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arot_assets.media.wants import SOUND_RATE, SoundStretch
from resources.models.speech import CARRIED, WINDOW

STRETCH = 256 * WINDOW
"""Samples that are heard at a time: 8 seconds."""
PAUSE = SOUND_RATE
"""Samples without sound after which the model begins anew."""

Ask = Callable[[NDArray[np.float32]], Mapping[str, Any]]


class Listening:
    """What a model hears of one film.

    Args:
        ask: the model: one input -> its arrays, with a batch axis of 1.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._carried = np.zeros(CARRIED, np.float32)
        self._waiting: list[NDArray[np.float32]] = []
        self._begin = 0
        self._end = 0
        self._heard = 0
        self._found: list[NDArray[np.float32]] = []

    def add(self, sound: SoundStretch) -> None:
        """Take the next sound."""
        if not len(sound.samples):
            return
        gap = sound.place - self._end
        if gap > PAUSE or not self._heard:
            self._hear(whole=False)
            first = sound.place // WINDOW * WINDOW  # the windows until there are silent
            self._found.append(np.zeros((first - self._begin) // WINDOW, np.float32))
            self._carried[:] = 0
            self._begin = self._end = first
            gap = sound.place - first
        self._waiting += [np.zeros(gap, np.float32), sound.samples]
        self._end = sound.place + len(sound.samples)
        self._heard += len(sound.samples)
        self._hear()

    def finish(self, seconds: float | None) -> Mapping[str, Any]:
        """What the outputs of sound are made of, for a batch of this film: see ``row_of_speech``.

        Args:
            seconds: of the film.
        """
        end = self._end
        self._hear(whole=False)
        said = np.concatenate(self._found).tolist() if self._heard else None
        return {"probability": [said], "samples": [end], "heard": [self._heard], "seconds": [seconds]}

    def _hear(self, whole: bool = True) -> None:
        """Give the model the stretches that are complete; with ``whole=False`` what is left, filled up to a window."""
        while self._end - self._begin >= (STRETCH if whole else 1):
            sound = np.concatenate(self._waiting)
            stretch, left = sound[:STRETCH], sound[STRETCH:]
            windows = -(-len(stretch) // WINDOW)
            stretch = np.pad(stretch, (0, windows * WINDOW - len(stretch)))
            said = self._ask(np.concatenate([self._carried, stretch]))
            self._found.append(np.asarray(said["probability"][0], np.float32))
            self._carried = np.array(said["carried"][0], np.float32)
            self._waiting = [left]
            self._begin += windows * WINDOW
        if not whole:
            self._waiting = []
