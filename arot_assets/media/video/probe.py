"""What a film is: its header, what its packets tell, and one decoded frame.

Belongs here: the facts of one film, without decoding it. Does not belong here: the walk over the packets
(``packets.py``), pixels (``decode.py``), a decoder that hangs (``isolated.py``).

The walk counts what a decoder shows: packets that hold data and that no edit list discards. Headers are wrong where it
matters: the count of MP4 includes what an edit list hides, Matroska and MPEG-TS promise none, and the average rate of
Matroska is made up. One frame is decoded, because rotation, interlacing and some colour tags are told with frames.
"""

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from arot_assets.media.file import DecodeError, Limits
from arot_assets.media.medium import Probe
from arot_assets.media.video import columns as c
from arot_assets.media.video.container import ATTACHED_PICTURE, chosen, opened, video_streams, words
from arot_assets.media.video.packets import Walk, walk_packets
from arot_assets.media.video.tags import (
    FULL_RANGE,
    HDR_TRANSFERS,
    MATRICES,
    PRIMARIES,
    TRANSFERS,
    orientation,
)

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

VFR_SHARE, VFR_TOLERANCE, VFR_SECONDS = 0.02, 0.1, 0.002
GAP_SECONDS, GAP_STEPS = 0.5, 4
"""A gap is a step longer than both: half a second, and four times the median."""
TRANSPORT_PACKETS = (188, 192, 204)
"""Bytes of a packet of MPEG-TS: plain, with times (M2TS), with error correction."""
TRIES = 300
"""Packets after which a stream of which nothing could be decoded counts as damaged."""


def probe_film(path: Path, uri: str, limits: Limits, beat: Callable[[], None] | None = None) -> Probe:
    """Examine a film without decoding it.

    Args:
        path: a local file.
        uri: its address; the extension says what it claims to be.
        limits: of its header.
        beat: called now and then, as a sign of life.
    """
    notes: list[str] = []
    facts: dict[str, Any] = {}
    try:
        with opened(path) as container:
            kind = container.format.name.split(",")[0]
            facts["container"] = kind
            extension = Path(uri).suffix.lower()
            if extension and extension not in c.CONTAINERS[kind].split():
                notes.append(c.EXTENSION_MISMATCH)
            facts |= _streams(container, notes)
            stream = chosen(container)
            facts |= _header(stream)
            _refuse(container, stream, limits)
            sound = container.streams.audio[0] if container.streams.audio else None
            walk, audio = walk_packets(container, stream, sound, beat)
            walk.cut_off |= kind == "mpegts" and all(path.stat().st_size % size for size in TRANSPORT_PACKETS)
            facts |= _times(walk, stream, notes) | _sound(audio, sound, walk, stream)
            _require_all(walk, stream, limits, notes)
        facts |= _first_frame(path, notes)
    except DecodeError as error:
        return Probe(error.status, error.reason, tuple(dict.fromkeys(notes)), None, facts)
    return Probe("ok", None, tuple(dict.fromkeys(notes)), None, facts)


def _streams(container: "InputContainer", notes: list[str]) -> dict[str, Any]:
    streams = video_streams(container)
    cover = any(s.disposition & ATTACHED_PICTURE for s in container.streams.video)
    if len(streams) > 1:
        notes.append(c.SEVERAL_STREAMS)
    if cover:
        notes.append(c.COVER)
    return {"n_video_streams": len(streams), "has_cover": cover}


def _header(stream: "VideoStream") -> dict[str, Any]:
    context = stream.codec_context
    shape = context.format
    rate = stream.base_rate or stream.guessed_rate
    return {
        "codec": context.codec.canonical_name,
        "pix_fmt": shape.name if shape is not None else None,
        "bit_depth": shape.components[0].bits if shape is not None else None,
        "coded_width": context.width,
        "coded_height": context.height,
        "time_base": str(stream.time_base),
        "frames_header": stream.frames or None,
        "r_fps": str(rate) if rate else None,
    }


def _refuse(container: "InputContainer", stream: "VideoStream", limits: Limits) -> None:
    """Refuse from the header what would take too long or too much memory.

    Raises:
        DecodeError: a limit is exceeded, or there is no size.
    """
    width, height = stream.codec_context.width, stream.codec_context.height
    megapixels = width * height / 1e6
    if megapixels > limits.megapixels:
        raise DecodeError(
            "unsupported", f"{width} x {height} is over the limit of {limits.megapixels:g} megapixels (max_megapixels)"
        )
    hours = (container.duration or 0) / 3.6e9
    if hours > limits.hours:
        raise DecodeError("unsupported", f"{hours:.1f} hours are over the limit of {limits.hours:g} hours (max_hours)")
    if stream.frames > limits.hours * 3600 * 1000:
        raise DecodeError(
            "unsupported",
            f"a header that promises {stream.frames:,} frames is over 1000 a second for {limits.hours:g} hours",
        )


def _times(walk: Walk, stream: "VideoStream", notes: list[str]) -> dict[str, Any]:
    base = stream.time_base or Fraction(1, 1000)
    pts, count = walk.pts, len(walk.pts)
    steps = np.diff(pts).astype(float) * float(base)
    median = float(np.median(steps)) if count > 1 else walk.lasts * float(base)
    lasts = walk.lasts or round(median / float(base))
    off = np.abs(steps - median)
    is_vfr = bool(
        count > 1 and np.mean((off > VFR_TOLERANCE * median) & (off > VFR_SECONDS)) > VFR_SHARE and not walk.goes_back
    )
    largest = float(steps.max()) if count > 1 else 0.0
    seconds = float((pts[-1] + lasts - pts[0]) * base) if count else 0.0
    if is_vfr:
        notes.append(c.VFR)
    if largest > max(GAP_SECONDS, GAP_STEPS * median):
        notes.append(c.GAP)
    if walk.discarded:
        notes.append(c.EDIT_LIST)
    if walk.goes_back:
        notes.append(c.PTS_GOES_BACK)
    starts = [*walk.keyframes, walk.packets]
    return {
        "first_pts": int(pts[0]) if count else None,
        "last_pts": int(pts[-1]) if count else None,
        "end_pts": int(pts[-1]) + lasts if count else None,
        "seconds": seconds,
        "frames_expected": count,
        "discarded": walk.discarded,
        "avg_fps": count / seconds if seconds else None,
        "median_fps": 1 / median if median else None,
        "is_vfr": is_vfr,
        "largest_gap_s": largest,
        "keyframes": len(walk.keyframes),
        "max_gop": max((b - a for a, b in pairwise(starts)), default=None),
        "bit_rate": 8 * walk.size / seconds if seconds else None,
    }


def _sound(
    heard: tuple[float, float] | None, sound: "AudioStream | None", walk: Walk, stream: "VideoStream"
) -> dict[str, Any]:
    if sound is None or sound.codec_context is None:
        return {}
    context = sound.codec_context
    facts = {
        "audio_codec": context.codec.canonical_name,
        "audio_rate": context.sample_rate,
        "audio_channels": context.layout.nb_channels,
    }
    if heard is None or not len(walk.pts):
        return facts
    first = float(walk.pts[0] * (stream.time_base or 0))
    return facts | {"audio_start_s": heard[0] - first, "audio_seconds": heard[1] - heard[0]}


def _require_all(walk: Walk, stream: "VideoStream", limits: Limits, notes: list[str]) -> None:
    """A film whose own index promises more than there is counts as damaged, unless what is there is to be used.

    Raises:
        DecodeError: data are missing.
    """
    if walk.packets == 0:
        raise DecodeError("corrupt", f"holds no frame: {walk.error or 'its video stream is empty'}")
    promised = stream.frames if stream.container.format.name.startswith("mov") else 0
    if walk.packets < promised or walk.error:
        notes.append(c.TRUNCATED)
        if not limits.salvage:
            of = f" of {promised}" if promised else f": {walk.error}"
            raise DecodeError(
                "corrupt", f"data end after {walk.packets}{of} frames; `salvage: true` uses what is there"
            )
    elif walk.cut_off:
        notes.append(c.TRUNCATED)


def _first_frame(path: Path, notes: list[str]) -> dict[str, Any]:
    """The facts that are told with frames.

    Raises:
        DecodeError: no frame can be decoded.
    """
    frame, sar = _decoded(path)
    side: Any = frame.side_data.get("DISPLAYMATRIX")
    matrix = bytes(side) if side is not None else None
    degrees, mirrored = orientation(matrix)
    width, height = shown_size(frame.width, frame.height, sar, degrees)
    transfer = TRANSFERS.get(int(frame.color_trc))
    matrix_name = MATRICES.get(int(frame.colorspace))
    hdr = HDR_TRANSFERS.get(transfer or "")
    if matrix_name is None and not frame.format.is_rgb:
        notes.append(c.COLOUR_UNTAGGED)
    if hdr:
        notes.append(c.HDR)
    if frame.interlaced_frame:
        notes.append(c.INTERLACED)
    return {
        "pix_fmt": frame.format.name,
        "bit_depth": frame.format.components[0].bits,
        "width": width,
        "height": height,
        "coded_width": frame.width,
        "coded_height": frame.height,
        "rotation": degrees,
        "mirrored": mirrored,
        "sar": f"{sar.numerator}:{sar.denominator}",
        "full_range": int(frame.color_range) == FULL_RANGE or frame.format.name.startswith("yuvj"),
        "colour_primaries": PRIMARIES.get(int(frame.color_primaries)),
        "colour_transfer": transfer,
        "colour_matrix": matrix_name,
        "hdr": hdr,
        "interlaced_flag": bool(frame.interlaced_frame),
    }


def shown_size(width: int, height: int, sar: Fraction, degrees: int) -> tuple[int, int]:
    """Width and height of stored frames as shown, in square pixels; never smaller than stored.

    Args:
        width: stored.
        height: stored.
        sar: width / height of a stored pixel.
        degrees: of the rotation.
    """
    if sar > 1:
        width = round(width * sar)
    elif sar < 1:
        height = round(height / sar)
    return (height, width) if degrees % 180 else (width, height)


def pixel_shape(stream: "VideoStream") -> Fraction:
    """Width / height of a stored pixel; 1 where nothing sensible is told."""
    ratio = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    return ratio if ratio and Fraction(1, 8) < ratio < 8 else Fraction(1)


def _decoded(path: Path) -> "tuple[VideoFrame, Fraction]":
    """The first frame that can be decoded, and the shape of its pixels."""
    error: Exception | None = None
    with opened(path) as container:
        stream = chosen(container)
        stream.codec_context.thread_count = 1
        for k, packet in enumerate(container.demux(stream)):
            try:
                for frame in packet.decode():
                    return frame, pixel_shape(stream)
            except (OSError, ValueError) as failed:
                error = failed
            if k > TRIES:
                break
    raise DecodeError("corrupt", f"no frame can be decoded: {words(error) if error else 'the decoder returns none'}")
