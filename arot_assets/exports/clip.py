"""What loaders read from the header of a clip, and what would make them count or turn it differently.

Belongs here: reading and counting packets with PyAV; nothing is decoded. Does not belong here: cutting and encoding clips.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from arot_assets.exports.rules import RuleName
from arot_assets.media.medium import DecodeError

CODECS, LAYOUT = ("h264",), "yuv420p"
OPTIONS = {"format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"}
"""A text file that names other local files as its parts is no clip."""


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
            return ClipFacts(*facts, faults)
    except av.FFmpegError as error:
        raise DecodeError("corrupt", f"it cannot be read as a clip: {error}") from error
