"""What a table wants of a file, and the parts in which one decode gives it: stills, pictures, sound, rows.

Belongs here: wants and parts, as data. Does not belong here: the decode (``Medium.open``, in the folder of each medium), what is
measured of the parts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from arot_assets.media.image.view import Image

Pixels = NDArray[np.uint8]
"""``uint8 [H, W, 3]`` RGB, C-contiguous, 0-255."""
WantKind = Literal["image", "frames", "sound", "tables"]


@dataclass(frozen=True)
class Want:
    """What a table needs of a file. The wants of all tables of a run are served by one decode.

    Attributes:
        kind: ``image``: still images, upright sRGB, each with its position in the file; an image has exactly one.
            ``frames``: images in motion. ``sound``: all of the sound. ``tables``: the rows of the medium's own tables
            (``Medium.tables``).
        fps: frames per second of the file's own time; None for all.
        side: longest side in pixels; None for the original size.
    """

    kind: WantKind = "image"
    fps: float | None = None
    side: int | None = None


STILL = Want()
"""What every image metric and image model requires."""
TABLES = Want("tables")
"""What the tables of a medium require."""
FRAMES = Want("frames", side=48)
"""What models of frames in time require: every frame, squeezed to ``PICTURE``."""
SOUND = Want("sound")
"""What models of sound require: all of it, at ``SOUND_RATE``, in one channel."""
SOUND_RATE = 16_000
"""Samples a second of ``SOUND``."""
SOUND_IS = "mean of channels, 16000 Hz by libswresample, from the first frame to the end of the last"
"""What the samples of ``SOUND`` are: part of the version of every metric of sound."""
PICTURE = (27, 48)
"""Height and width of the pictures of ``FRAMES``, whatever the shape of the film."""


@dataclass(frozen=True)
class Still:
    """One still image of a file.

    Attributes:
        image: its pixels.
        pts: when it is shown, in units of the file's time base; None in a medium without time.
        n: its ordinal among the frames of the file; None in a medium without time.
    """

    image: "Image"
    pts: int | None = None
    n: int | None = None


@dataclass(frozen=True)
class Pictures:
    """Consecutive frames of a file.

    Attributes:
        pts: when each is shown, in units of the file's time base.
        rgb: ``uint8 [N, 27, 48, 3]``, upright.
    """

    pts: Sequence[int]
    rgb: Pixels


@dataclass(frozen=True)
class SoundStretch:
    """Sound of a file, in order of time and without overlaps; where there is none, the file has no sound.

    Attributes:
        place: of the first sample, in samples after the start of the first frame shown.
        samples: ``float32 [N]``, one channel at ``SOUND_RATE``, mostly within -1 to 1.
        fault: why the sound is of no use; empty if it is. Told last.
    """

    place: int
    samples: "NDArray[np.float32]"
    fault: str = ""


@dataclass(frozen=True)
class ChildRows:
    """Some rows that a file gives a table of its medium, in order.

    Attributes:
        table: a name among ``Medium.tables``.
        rows: column -> value each.
    """

    table: str
    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class DecodingProgress:
    """How far the decoding of a file is.

    Attributes:
        frames: decoded so far.
    """

    frames: int


Part = Still | Pictures | SoundStretch | ChildRows | DecodingProgress
