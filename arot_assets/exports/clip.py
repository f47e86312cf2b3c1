"""What loaders read from the header of a clip, what would make them count or turn it differently, and its metadata.

Belongs here: reading, counting and copying packets with PyAV; nothing is decoded. Does not belong here: cutting and encoding
clips.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.prepare import PreparedFile
from arot_assets.exports.rules import RuleName
from arot_assets.media.file import DecodeError
from resources.scratch import WorkingFolder

CODECS, LAYOUT = ("h264",), "yuv420p"
OPTIONS = {"format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"}
"""A text file that names other local files as its parts is no clip."""
OF_THE_FORMAT = (
    "major_brand",
    "minor_version",
    "compatible_brands",
    "encoder",
    "language",
    "handler_name",
    "vendor_id",
    "duration",
)
"""Entries that every muxer writes; all others, such as place, time and device of a recording, are metadata."""
TRAINED = ("video", "audio")


@dataclass(frozen=True)
class ClipFacts:
    """One clip.

    Attributes:
        width: pixels.
        height: pixels.
        frames: pictures that it has.
        fps: frames a second.
        faults: rule -> what breaks it.
    """

    width: int
    height: int
    frames: int
    fps: float
    faults: Mapping[RuleName, str]


def clip_facts(data: bytes) -> ClipFacts:
    """Read a clip.

    Raises:
        DecodeError: it is no clip.
    """
    import av

    try:
        with av.open(io.BytesIO(data), mode="r", options=OPTIONS) as container:
            if not container.streams.video:
                raise DecodeError("unsupported", "it has no video stream")
            stream = container.streams.video[0]
            times = sorted(p.pts for p in container.demux(stream) if p.pts is not None)
            context = stream.codec_context
            rate = float(stream.average_rate or 0)
            facts = (context.width, context.height, len(times), rate)
            faults: dict[RuleName, str] = {}
            if container.format.name.split(",")[0] != "mov" or context.name not in CODECS or context.pix_fmt != LAYOUT:
                faults["format"] = f"{context.name} {context.pix_fmt} in {container.format.name}"
            if stream.frames != len(times):
                faults["frames"] = f"the header says {stream.frames} frames, it has {len(times)}"
            steps = {b - a for a, b in pairwise(times)}
            if len(steps) > 1:
                faults["fps"] = "its frames are not evenly spaced"
            told = _told(container)
            if told:
                faults["metadata"] = ", ".join(told)
            return ClipFacts(*facts, faults)
    except av.FFmpegError as error:
        raise DecodeError("corrupt", f"it cannot be read as a clip: {error}") from error


def prepare_clip(data: bytes, extension: str, width: int, height: int, declaration: ExportDeclaration) -> PreparedFile:
    """A clip as a declaration wants it: as it is, or without its metadata, with the same packets.

    Args:
        data: the original.
        extension: of its file, without the dot.
        width: pixels.
        height: pixels.
        declaration: whether ``metadata`` is to be mended.

    Raises:
        DecodeError: it is no clip.
    """
    import av

    try:
        with av.open(io.BytesIO(data), mode="r", options=OPTIONS) as container:
            told = _told(container)
        if not told:
            return PreparedFile(None, extension, width, height, ())
        mended = declaration.action("metadata") == "mend"
        made = _without_metadata(data, extension) if mended else None
    except av.FFmpegError as error:
        raise DecodeError("corrupt", f"it cannot be read as a clip: {error}") from error
    return PreparedFile(made, extension, width, height, ("metadata",))


def _told(container: Any) -> list[str]:
    """Names of what a file tells besides its pictures and sound: entries, and streams such as a camera's positions."""
    entries = [container.metadata, *(stream.metadata for stream in container.streams)]
    names = {name.lower() for some in entries for name in some} - set(OF_THE_FORMAT)
    return [*sorted(names), *(f"a stream of {s.type}" for s in container.streams if s.type not in TRAINED)]


def _without_metadata(data: bytes, extension: str) -> bytes:
    import av

    with WorkingFolder("clip", len(data)) as folder:
        path = folder / f"clip.{extension}"
        with (
            av.open(io.BytesIO(data), mode="r", options=OPTIONS) as source,
            av.open(str(path), "w", options={"movflags": "+faststart"}) as target,
        ):
            _copy(source, target)
        return path.read_bytes()


def _copy(source: Any, target: Any) -> None:
    """The packets of pictures and sound, from one container into another."""
    kept = [stream for stream in source.streams if stream.type in TRAINED]
    copies = {stream.index: target.add_stream_from_template(stream) for stream in kept}
    for packet in source.demux(kept):
        if packet.dts is not None:  # the last one of each stream is empty
            packet.stream = copies[packet.stream.index]
            target.mux(packet)
