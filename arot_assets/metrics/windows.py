"""The windows of consecutive frames in which a model looks at a film.

Belongs here: from frames as they come to windows, and which of them are worth a look. Does not belong here: the model
(``resources.models.families.shots``), the rows (``file_pass.py``).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from arot_assets.media.wants import Pictures

if TYPE_CHECKING:
    from resources.models.entry import ModelEntry

APART = 25
"""Frames from one picture to the one that it is compared with by the gate: a second of film."""


@dataclass(frozen=True)
class Window:
    """Frames that are judged together.

    Attributes:
        first: ordinal of the first frame that is judged.
        pts: of each frame that is judged.
        frames: ``uint8 [T, H, W, 3]``: they, with context before and after; None where a look is not worth it.
    """

    first: int
    pts: Sequence[int]
    frames: NDArray[np.uint8] | None


class Windows:
    """Cuts the frames of one film into windows which overlap by the context.

    Before the first frame and after the last, these are repeated.

    Args:
        length: frames of a window.
        context: frames at each end of a window that are not judged in it.
        gate: correlation of pictures ``APART`` frames apart below which a window is worth a look; None: every window is.
    """

    def __init__(self, length: int, context: int, gate: float | None = None) -> None:
        self._length, self._context, self._gate = length, context, gate
        self._frames: list[NDArray[np.uint8]] = []
        self._pts: list[int] = []
        self._first = 0

    @classmethod
    def of(cls, entry: "ModelEntry") -> "Windows":
        """Those that a model takes."""
        said = entry.options
        return cls(int(said["window"]), int(said["context"]), said.get("gate"))

    def add(self, pictures: Pictures) -> Iterator[Window]:
        """Take the next frames; gives the windows that are complete."""
        if not self._frames and len(pictures.rgb):
            self._frames += [pictures.rgb[0]] * self._context
        self._frames += list(pictures.rgb)
        self._pts += pictures.pts
        while len(self._frames) >= self._length:
            yield self._next(self._length - 2 * self._context)

    def finish(self) -> Iterator[Window]:
        """The windows of the last frames."""
        while self._pts:
            missing = self._length - len(self._frames)
            self._frames += [self._frames[-1]] * missing
            yield self._next(min(len(self._pts), self._length - 2 * self._context))

    def _next(self, judged: int) -> Window:
        frames = np.stack(self._frames[: self._length])
        window = Window(self._first, self._pts[:judged], frames if self._is_worth(frames) else None)
        del self._frames[:judged], self._pts[:judged]
        self._first += judged
        return window

    def _is_worth(self, frames: NDArray[np.uint8]) -> bool:
        if self._gate is None:
            return True
        flat = frames.reshape(len(frames), -1, 3).astype(np.float32).mean(axis=2)
        centred = flat - flat.mean(axis=1, keepdims=True)
        lengths = np.linalg.norm(centred, axis=1)
        a, b = centred[:-APART], centred[APART:]
        product = lengths[:-APART] * lengths[APART:]
        likeness = np.where(product > 0, (a * b).sum(axis=1) / np.maximum(product, 1e-6), 0)
        plain = (lengths[:-APART] < len(flat[0]) ** 0.5) & (lengths[APART:] < len(flat[0]) ** 0.5)
        return bool((likeness[~plain] < self._gate).any())
