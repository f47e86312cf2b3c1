"""Films as a medium: the files that are included, their columns and tables, and access to them.

Belongs here: only the implementation of ``Medium``. Does not belong here: how films are read (``probe.py``,
``film.py``). Every process imports this module: FFmpeg is loaded only in processes of its own (``isolated.py``).
"""

from collections.abc import Iterator
from types import TracebackType
from typing import Self

from arot_assets.columns import Column
from arot_assets.media.file import DecodeError, File, Limits
from arot_assets.media.medium import ChildTable, Probe, PublishedForm
from arot_assets.media.question import QualityQuestion
from arot_assets.media.video import isolated
from arot_assets.media.video.columns import COLUMNS, EXTENSIONS
from arot_assets.media.video.questions import QUESTIONS
from arot_assets.media.video.tables import TABLES as TABLES_OF_FILMS
from arot_assets.media.wants import FRAMES, SOUND, TABLES, Part, Pixels, Still, Want, WantKind

BYTES_PER_PIXEL = 48
"""The memory of an open film, in bytes per pixel of a frame: the reference frames of the decoder, those that are looked
at together, and a still in RGB on its way."""

PUBLISHED = PublishedForm(
    feature="Video",
    task="text-to-video",
    task_without_text="unconditional-image-generation",
    format_column="container",
    extensions={"mov": "mp4", "matroska": "mkv", "mpegts": "ts", "mpegvideo": "mpg", "asf": "wmv", "ogg": "ogv"},
)


class VideoView:
    """A film that is decoded once, in a process of its own.

    Args:
        file: the film.
        wants: what is wanted of it.
        threads: of the decoder.

    Attributes:
        cost: upper bound of its memory, in bytes.
    """

    def __init__(self, file: File, wants: frozenset[Want], threads: int = 1) -> None:
        self._file, self._wants, self._threads = file, wants, threads
        self.cost = BYTES_PER_PIXEL * (file.facts.get("width") or 0) * (file.facts.get("height") or 0)

    def __enter__(self) -> Self:
        if any(want.kind == "frames" and want != FRAMES for want in self._wants):
            raise DecodeError("unsupported", "of frames in time, only all of them in 48 x 27 are read from films")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def parts(self) -> Iterator[Part]:
        """See ``ViewOfParts``."""
        images = [want for want in self._wants if want.kind == "image"]
        sides = {want.side for want in images}
        yield from isolated.measured(
            self._file.path(),
            self._file.facts,
            tables=TABLES in self._wants,
            stills=bool(images),
            pictures=FRAMES in self._wants,
            sound=SOUND in self._wants,
            side=None if None in sides else max((side for side in sides if side is not None), default=None),
            threads=self._threads,
        )

    def stills(self) -> Iterator[Still]:
        """Two a second."""
        yield from (part for part in self.parts() if isinstance(part, Still))


class VideoMedium:
    """Films of any container that FFmpeg reads from one file."""

    name = "video"
    extensions = EXTENSIONS
    columns: tuple[Column, ...] = COLUMNS
    gives: frozenset[WantKind] = frozenset({"image", "frames", "sound", "tables"})
    decoder = "1"
    by_path = True
    published = PUBLISHED
    questions: tuple[QualityQuestion, ...] = QUESTIONS
    tables: tuple[ChildTable, ...] = TABLES_OF_FILMS

    def probe(self, file: File, limits: Limits) -> Probe:
        """Examine the film's header and packets, and one frame."""
        return isolated.probe(file.path(), file.uri, limits)

    def open(self, file: File, wants: frozenset[Want], limits: Limits) -> VideoView:
        """The film, decoded as its parts are taken."""
        return VideoView(file, wants)

    def moments(self, file: File, most: int, fps: float | None = None) -> list[Pixels]:
        """Evenly spaced pictures, from the middles of equal parts: what is left of a neighbouring shot is at the ends."""
        return isolated.moments(file.path(), file.facts, most, fps)

    def poster(self, file: File, side: int) -> Pixels:
        """The first, middle and last picture in a strip."""
        return isolated.poster(file.path(), file.facts, side)

    def preview(self, file: File, side: int) -> bytes | None:
        """See ``Medium.preview``."""
        return isolated.preview(file.path(), file.facts, side)


VIDEO = VideoMedium()
