"""A walk over the packets of a film, without decoding it.

Belongs here: what the packets tell. Does not belong here: what follows from it (``probe.py``).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from arot_assets.media.video.container import words

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream


PACKETS = 1000
"""Packets from one sign of life to the next."""


@dataclass
class Walk:
    """What the packets of a stream tell.

    Attributes:
        pts: of each frame shown, in order of presentation, units of the time base.
        lasts: the duration of the last frame, same units; 0 if unknown.
        discarded: packets hidden by an edit list.
        size: bytes of all packets.
        keyframes: positions of key frames among the packets.
        goes_back: whether time stamps go back: pieces that were joined.
        error: why the walk ended early, empty if it did not.
        cut_off: whether the last packet is incomplete.
    """

    pts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    lasts: int = 0
    discarded: int = 0
    size: int = 0
    keyframes: list[int] = field(default_factory=list)
    goes_back: bool = False
    error: str = ""
    cut_off: bool = False

    @property
    def packets(self) -> int:
        """All packets with data."""
        return len(self.pts) + self.discarded


def walk_packets(
    container: "InputContainer",
    stream: "VideoStream",
    sound: "AudioStream | None",
    beat: Callable[[], None] | None = None,
) -> "tuple[Walk, tuple[float, float] | None]":
    """Read every packet of a stream, and the first and last times of its sound.

    Returns:
        The walk, and start and end of the sound in seconds; None without sound.
    """
    walk = Walk()
    shown: list[int] = []
    steps: list[int] = []
    last_dts, heard = None, None
    for k, packet in enumerate(_packets(container, [s for s in (stream, sound) if s is not None], walk)):
        if beat is not None and k % PACKETS == 0:
            beat()
        if packet.stream is not stream:
            if packet.pts is not None and packet.time_base:
                start = float(packet.pts * packet.time_base)
                end = start + float((packet.duration or 0) * packet.time_base)
                heard = (start, end) if heard is None else (min(heard[0], start), max(heard[1], end))
            continue
        if packet.is_keyframe:
            walk.keyframes.append(walk.discarded + len(shown))
        walk.size += packet.size
        walk.cut_off = packet.is_corrupt
        when = packet.pts if packet.pts is not None else packet.dts
        if packet.dts is not None:
            walk.goes_back |= last_dts is not None and packet.dts <= last_dts
            last_dts = packet.dts
        if packet.is_discard:
            walk.discarded += 1
            continue
        shown.append(when if when is not None else (shown[-1] + steps[-1] if shown else 0))
        steps.append(packet.duration or 0)
    pts = np.array(shown, np.int64)
    if len(pts):
        walk.lasts = steps[int(pts.argmax())]
    walk.goes_back |= len(np.unique(pts)) < len(pts)
    walk.pts = np.sort(pts)
    return walk, heard


def _packets(container: "InputContainer", streams: list[Any], walk: Walk) -> Iterator[Any]:
    """Packets with data, until the end or an error of the container."""
    try:
        for packet in container.demux(streams):
            if packet.size:
                yield packet
    except (OSError, ValueError) as error:
        walk.error = words(error)
