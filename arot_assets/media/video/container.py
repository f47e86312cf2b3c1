"""Opening the container of a film: only as a film, only this file, and only the stream that is meant.

Belongs here: the options of every open, the choice of the stream, FFmpeg's messages in words. Does not belong here:
facts (``probe.py``), pixels (``decode.py``).

FFmpeg decides by content what a file is. A text that begins like a playlist or a list of files to join would make it
read other files of this machine, whatever its name is, so only containers of films may be opened, and only through the
local file system. FFmpeg's log level is never set through PyAV: with a level, error messages of decoder threads wait
for the GIL while the thread that frees the decoder holds it and waits for them, for ever.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from arot_assets.media.file import DecodeError
from arot_assets.media.video.columns import CONTAINERS

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

OPTIONS = {"format_whitelist": ",".join(CONTAINERS), "protocol_whitelist": "file"}
ATTACHED_PICTURE = 0x400
"""FFmpeg's AV_DISPOSITION_ATTACHED_PIC."""
DEFAULT = 0x1
"""FFmpeg's AV_DISPOSITION_DEFAULT."""


@contextmanager
def opened(path: Path) -> "Iterator[InputContainer]":
    """The container of a local film.

    Raises:
        DecodeError: it cannot be opened.
    """
    import av

    try:
        if path.stat().st_size == 0:
            raise DecodeError("corrupt", "cannot be opened: the file is empty")
        container = av.open(str(path), options=dict(OPTIONS), metadata_errors="replace")
    except (OSError, ValueError) as error:  # FFmpeg's errors are one or the other
        raise DecodeError("corrupt", f"cannot be opened: {words(error)}") from error
    try:
        yield container
    finally:
        container.close()


def video_streams(container: "InputContainer") -> "list[VideoStream]":
    """The video streams without cover pictures: the one that is meant first."""
    streams = [s for s in container.streams.video if not s.disposition & ATTACHED_PICTURE]

    def rank(stream: "VideoStream") -> tuple[bool, int, int]:
        context = stream.codec_context
        area = context.width * context.height if context is not None else 0
        return (not stream.disposition & DEFAULT, -area, stream.index)

    return sorted(streams, key=rank)


def chosen(container: "InputContainer") -> "VideoStream":
    """The stream that is the film: the default one, otherwise the largest.

    Raises:
        DecodeError: there is none, or no decoder for it.
    """
    streams = video_streams(container)
    if not streams:
        raise DecodeError("unsupported", "no video stream")
    if streams[0].codec_context is None:
        raise DecodeError("unsupported", "no decoder for its video stream")
    return streams[0]


def words(error: Exception) -> str:
    """The cause that FFmpeg tells, without its number, its function and the path."""
    said = getattr(error, "strerror", None) or str(error)
    return str(said).split("; last error log")[0].strip().rstrip(".").lower() or type(error).__name__
