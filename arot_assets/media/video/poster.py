"""One picture that stands for a film.

Belongs here: choosing and decoding it. Does not belong here: pictures of clips, which are exact (``cut``). Only workers
import this module.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arot_assets.media.medium import DecodeError, Limits, Pixels
from arot_assets.media.video.colour import Look, rgb_of
from arot_assets.media.video.container import chosen, opened
from arot_assets.media.video.probe import probe_film

PLACE = 0.3
"""The picture is that of the key frame before this share of the film: beginnings are often black."""


def poster_of(path: Path, facts: Mapping[str, Any], side: int) -> Pixels:
    """A picture, its longest side at most ``side`` pixels.

    Args:
        path: a local film.
        facts: its columns of ``samples``; empty if they are not known.
        side: in pixels.

    Raises:
        DecodeError: it cannot be decoded.
    """
    if not facts.get("time_base"):
        facts = probe_film(path, path.name, Limits()).facts
    look = Look.of(facts)
    with opened(path) as container:
        stream = chosen(container)
        first, last = facts.get("first_pts"), facts.get("last_pts")
        if first is not None and last is not None and last > first:
            try:
                container.seek(round(first + PLACE * (last - first)), stream=stream)
            except OSError:  # no index: the beginning will do
                container.seek(0)
        for packet in container.demux(stream):
            try:
                for frame in packet.decode():
                    return rgb_of(frame, look, side)
            except (OSError, ValueError):
                continue  # a damaged packet; the next key frame will do
    raise DecodeError("corrupt", "no frame can be decoded")
