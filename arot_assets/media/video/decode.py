"""Decoding a film, frame by frame, in the order in which frames are shown.

Belongs here: packets to frames, what happens at packets that a decoder refuses, and fields woven into frames. Does not
belong here: colour and orientation (``colour.py``), what is measured (``film.py``). Only workers import this module.

A decoder that meets a damaged packet goes on with wrong pixels until the next key frame, and does not say so: every
frame from there to that key frame is marked.

Interlaced film is often not marked as such. So the first frames are looked at before any is passed on: lines that
differ more from their neighbours than from the lines after those belong to two fields.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from arot_assets.media.file import DecodeError
from arot_assets.media.video.container import chosen, opened, words
from arot_assets.media.video.kernels import combing

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.filter import Graph
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

PLANAR = frozenset(
    f"{family}{layout}{depth}"
    for family, depths in (("yuv", ("p", "p10le", "p12le")), ("yuvj", ("p",)))
    for layout in ("420", "422", "444")
    for depth in depths
)
"""Formats whose planes are used as they are; others are converted first."""


LOOK_FRAMES, LOOK_BYTES = 12, 40_000_000
"""Frames at the beginning that are looked at together, and the memory that they may take."""
COMBED = 1.2
"""Energy from line to line over that to the second line above which a frame is woven of two fields. Progressive film
has 0.3-0.6, interlaced film 2 and more."""
COMBED_SHARE = 0.25
"""Share of the first frames that must be combed: fields of a still picture are not."""


@dataclass(frozen=True)
class Frame:
    """One decoded frame.

    Attributes:
        n: ordinal among the frames shown, from 0.
        pts: in units of the stream's time base.
        key: whether decoding can start here.
        damaged: whether its pixels may be wrong.
        resized: whether its size differs from that of the frame before.
        woven: whether it is made of the two fields of an interlaced frame.
        frame: the pixels.
    """

    n: int
    pts: int
    key: bool
    damaged: bool
    resized: bool
    woven: bool
    frame: "VideoFrame"


def decoded(
    path: Path, *, interlaced: bool = False, threads: int = 1, hear: "Callable[[AudioFrame | None], None] | None" = None
) -> Iterator[Frame]:
    """Every frame that the decoder shows; interlaced ones with two fields turned into one frame by motion (FFmpeg's
    bwdif).

    Args:
        path: a local film.
        interlaced: whether it says that it is.
        threads: of the decoder.
        hear: given the frames of the first sound, as they pass; None for each packet of it that is refused.

    Raises:
        DecodeError: the film cannot be opened.
    """
    with opened(path) as container:
        stream = chosen(container)
        context = stream.codec_context
        context.thread_count = threads
        context.thread_type = "FRAME" if threads > 1 else "NONE"
        frames = frames_of(container, stream, hear)
        if not interlaced:
            first = _first(frames)
            interlaced = _is_combed([frame for frame, _ in first])
            frames = chain(first, frames)
        yield from _numbered(woven(frames, stream) if interlaced else frames, interlaced)


def _first(frames: "Iterator[tuple[VideoFrame, bool]]") -> "list[tuple[VideoFrame, bool]]":
    found: list[tuple[VideoFrame, bool]] = []
    size = 0
    for frame in frames:
        found.append(frame)
        size += sum(plane.buffer_size for plane in frame[0].planes)
        if len(found) >= LOOK_FRAMES or size >= LOOK_BYTES:
            break
    return found


def _is_combed(frames: "list[VideoFrame]") -> bool:
    combs = [combing(*planes(frame)[0]) > COMBED for frame in frames]
    return bool(combs) and sum(combs) >= COMBED_SHARE * len(combs)


def frames_of(
    container: "InputContainer", stream: "VideoStream", hear: "Callable[[AudioFrame | None], None] | None" = None
) -> "Iterator[tuple[VideoFrame, bool]]":
    """Frames from where a container stands, and whether they follow a refused packet.

    Args:
        container: of the film.
        stream: its pictures.
        hear: see ``decoded``.
    """
    sound = sound_stream(container) if hear is not None else None
    if hear is not None and sound is None and container.streams.audio:
        hear(None)
    damaged = False
    for packet in container.demux(stream, *([sound] if sound is not None else [])):
        if hear is not None and packet.stream.type == "audio":
            for heard in sound_of_packet(cast("Packet[AudioStream]", packet)):
                hear(heard)
            continue
        try:
            found = cast("Packet[VideoStream]", packet).decode()
        except (OSError, ValueError):
            damaged |= packet.size > 0  # frames that are still to come may be shown before it, and refer to it
            continue
        for frame in found:
            if frame.key_frame:
                damaged = False
            yield frame, damaged or bool(frame.is_corrupt)


def sound_stream(container: "InputContainer") -> "AudioStream | None":
    """The sound that counts: the first for which there is a decoder."""
    return next((s for s in container.streams.audio if s.codec_context is not None), None)


def sound_of_packet(packet: "Packet[AudioStream]") -> "Sequence[AudioFrame | None]":
    """The sound of a packet; a damaged one is a gap, and None stands for it."""
    try:
        return packet.decode()
    except (OSError, ValueError):
        return [None] if packet.size else []


def woven(frames: "Iterator[tuple[VideoFrame, bool]]", stream: "VideoStream") -> "Iterator[tuple[VideoFrame, bool]]":
    """The same frames without combs: as many, at the same times."""
    graph: Graph | None = None
    size: tuple[int, int, str] | None = None
    waiting: deque[tuple[int | None, bool]] = deque()

    def out(graph: "Graph") -> "Iterator[tuple[VideoFrame, bool]]":
        import av

        while waiting:
            try:
                frame = graph.vpull()
            except (av.BlockingIOError, av.EOFError):
                return
            pts, damaged = waiting.popleft()
            frame.pts = pts
            yield frame, damaged

    for frame, damaged in frames:
        shape = (frame.width, frame.height, frame.format.name)
        if graph is None or shape != size:
            if graph is not None:
                graph.vpush(None)
                yield from out(graph)
            graph, size = _bwdif(frame, stream), shape
        waiting.append((frame.pts, damaged))
        graph.vpush(frame)
        yield from out(graph)
    if graph is not None:
        graph.vpush(None)
        yield from out(graph)


def _bwdif(frame: "VideoFrame", stream: "VideoStream") -> "Graph":
    from av.filter import Graph

    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=stream.time_base)
    weave = graph.add("bwdif", "mode=send_frame:parity=auto:deint=all")
    sink = graph.add("buffersink")
    source.link_to(weave)
    weave.link_to(sink)
    graph.configure()
    return graph


def _numbered(frames: "Iterator[tuple[VideoFrame, bool]]", interlaced: bool) -> Iterator[Frame]:
    size: tuple[int, int] | None = None
    last: int | None = None
    for n, (frame, damaged) in enumerate(frames):
        now = (frame.width, frame.height)
        # a frame without a time of its own follows the one before
        pts = frame.pts if frame.pts is not None else (last or 0) + (frame.duration or 1 if last is not None else 0)
        yield Frame(n, pts, bool(frame.key_frame), damaged, size is not None and size != now, interlaced, frame)
        size, last = now, pts


def planes(frame: "VideoFrame") -> list[tuple[NDArray[Any], int]]:
    """Luma and the two chroma planes of a frame: arrays ``uint8 | uint16 [H, line size]`` that live as long as it, and
    their widths.

    Formats without such planes are converted to 8 bits 4:2:0 first.

    Raises:
        DecodeError: the format cannot be converted.
    """
    if frame.format.name not in PLANAR:
        try:
            frame = frame.reformat(format="yuv420p")
        except (OSError, ValueError) as error:
            raise DecodeError("unsupported", f"pixel format {frame.format.name}: {words(error)}") from error
    kind: np.dtype[Any] = np.dtype(np.uint8) if frame.format.components[0].bits == 8 else np.dtype("<u2")
    return [
        (np.frombuffer(memoryview(plane), kind).reshape(plane.height, plane.line_size // kind.itemsize), plane.width)
        for plane in frame.planes
    ]
