"""The protocol of a medium: which files it includes, and how one is probed, opened for measuring, and shown.

Belongs here: what the rooms know about a medium, whichever it is. Does not belong here: any particular medium
(``image/`` …), fetching files (``datasets.reach``), what is measured.

The rooms use only ``Medium``. A dataset's declaration names it (``DatasetDeclaration.medium``); code that knows a
dataset only by name asks its inventory (``datasets.places``). Every process imports this module, so it stays light.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from arot_assets.columns import Column
from arot_assets.media.question import QualityQuestion

if TYPE_CHECKING:
    from arot_assets.media.image.view import Image

Content = bytes | Path
"""A whole file: its bytes, or its local path."""
Pixels = NDArray[np.uint8]
"""``uint8 [H, W, 3]`` RGB, C-contiguous, 0-255."""
Failure = Literal["corrupt", "unsupported"]

MAX_MEGAPIXELS = 250.0
"""Default limit of width x height, in millions of pixels. Above every camera sold (200 MP phones, 150 MP medium format);
at the limit the decoded RGB takes 750 MB. Larger images are refused from their header alone."""
MAX_HOURS = 12.0
"""Default limit of a film's length."""


class DecodeError(Exception):
    """A file that its medium cannot use.

    Attributes:
        status: ``corrupt`` (the file is damaged) or ``unsupported`` (it may be fine, but cannot be decoded here).
        reason: the cause, in one line.
    """

    def __init__(self, status: Failure, reason: str) -> None:
        super().__init__(f"{status}: {reason}")
        self.status: Failure = status
        self.reason = reason

    def __reduce__(self) -> "tuple[type[DecodeError], tuple[Failure, str]]":
        """Rebuild from both arguments, so that the error crosses process borders."""
        return type(self), (self.status, self.reason)


@dataclass(frozen=True)
class Limits:
    """The limits for a file; one that exceeds them is refused based on its header.

    Attributes:
        megapixels: width x height of one image, in millions of pixels.
        hours: length of a file that takes time.
        salvage: use what is there of a file that ends too early.
    """

    megapixels: float = MAX_MEGAPIXELS
    hours: float = MAX_HOURS
    salvage: bool = False

    def __str__(self) -> str:
        """The text that is part of the version of samples."""
        hours = "" if self.hours == MAX_HOURS else f"/{self.hours:g} h"
        return f"{self.megapixels:g}{hours}{'/salvage' if self.salvage else ''}"


class File:
    """One file, as bytes or as a local path, whichever its medium requires; it is not fetched before it is needed.

    Args:
        uri: its address; the extension may say what it claims to be.
        fetch: returns the whole content, verified to be what the sample's row describes; called at most once. Its
            exceptions are passed on by ``fetch``, ``read`` and ``path``.
        facts: the medium's columns of its sample, as determined by a probe; empty before.
    """

    def __init__(self, uri: str, fetch: Callable[[], Content], facts: Mapping[str, Any] | None = None) -> None:
        self.uri = uri
        self.facts = facts or {}
        self._fetch = fetch
        self._content: Content | None = None

    @classmethod
    def of(cls, uri: str, content: Content) -> "File":
        """A file whose content has been fetched already."""
        return cls(uri, lambda: content)

    def fetch(self) -> Content:
        """Fetch the content, unless it has been fetched."""
        if self._content is None:
            self._content = self._fetch()
        return self._content

    def read(self) -> bytes:
        """The bytes of the file."""
        content = self.fetch()
        return content if isinstance(content, bytes) else content.read_bytes()

    def path(self) -> Path:
        """The local path of the file; do not write to it.

        Raises:
            TypeError: it is in memory, because its medium does not set ``by_path``.
        """
        content = self.fetch()
        if isinstance(content, bytes):
            raise TypeError(
                f"'{self.uri}' was fetched into memory; a medium that opens paths must set `by_path = True`"
            )
        return content


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


@dataclass(frozen=True)
class ChildTable:
    """A table that one decode of a file fills, with any number of rows for it.

    Attributes:
        name: the table: ``<dataset>.<name>``.
        grain: what a row is: ``frame``, ``step``, ``still``; ``sample`` for one row a file.
        description: one or two sentences for users.
        columns: of a row, besides those of every metric table.
        version: of the code. Change it when values change.
    """

    name: str
    grain: str
    description: str
    columns: tuple[Column, ...]
    version: str = "1"


class View(Protocol):
    """A file opened for measuring: a context manager that decodes on entry.

    Attributes:
        cost: upper bound of its memory in bytes while it is open, based on the facts of the file; known before entry.
    """

    cost: int

    def __enter__(self) -> Self:
        """Decode.

        Raises:
            DecodeError: the file cannot be used, or not for what is wanted.
        """
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def stills(self) -> Iterator[Still]:
        """The wanted still images, in order, each once. May raise ``DecodeError``."""
        ...


KILLED = "killed"
"""``StorageError.kind`` of a decoder that was killed from outside, by the kernel for its memory, say: the file may be sound."""


class ViewOfParts(View, Protocol):
    """A view of a medium with tables of its own."""

    def parts(self) -> Iterator[Part]:
        """The wanted stills and the rows of the medium's tables, as one decode gives them.

        The rows of a file count only when all have come: what comes before an error is void.

        Raises:
            DecodeError: the file cannot be used.
            StorageError: its decoder stalled or crashed.
        """
        ...


@dataclass(frozen=True)
class Probe:
    """What a file is, as far as can be determined without decoding it.

    Attributes:
        status: ``ok``, ``corrupt`` (damaged) or ``unsupported`` (cannot be decoded here).
        reason: why it is not ok, None if it is.
        notes: usable, but worth knowing; short names that the medium explains.
        generation: what an image generator wrote into the file, None if nothing.
        facts: the medium's columns.
    """

    status: Literal["ok", "corrupt", "unsupported"]
    reason: str | None
    notes: tuple[str, ...]
    generation: Mapping[str, Any] | None
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class PublishedForm:
    """How the files of a medium appear in a published dataset.

    Attributes:
        feature: the type of such a column in the ``datasets`` library: ``Image``, ``Video``. It stores the bytes and the
            name of each file.
        task: the Hub's task for captioned files.
        task_without_text: the Hub's task for files without captions.
        format_column: the medium's column of ``samples`` with the format of the content.
        extensions: format -> file extension without the dot, where it is not simply the format's name in lower case.
    """

    feature: str
    task: str
    task_without_text: str
    format_column: str
    extensions: Mapping[str, str] = field(default_factory=dict)

    def file_name(self, sample_id: str, kind: str) -> str:
        """The name of a file: from its content, never from the source.

        Args:
            sample_id: 32 hex digits.
            kind: the format of the content.
        """
        return f"{sample_id}.{self.extensions.get(kind, kind.lower())}"


class Medium(Protocol):
    """A kind of file.

    Attributes:
        name: for users and in the store: ``image``, ``video``.
        extensions: of the files that a listing includes, in lower case with the dot. Files without an extension are
            included too: their content decides.
        columns: its own columns of ``samples``.
        gives: the kinds of ``Want`` that its files serve.
        decoder: version of the pixels that ``open`` returns, part of every ``metric_version``. Initially empty, so that
            earlier measurements remain valid; raise it when files that could be opened return other pixels than before.
            Files that could not be opened do not need it: their samples' rows change, by ``samples.CODE_VERSION``.
        by_path: whether it opens local files (``File.path``) instead of reading them into memory. Remote files are then
            downloaded to the cache.
        published: how its files appear in exports.
        questions: what a report asks about its own columns and metrics, besides what it asks about every medium.
        tables: what one decode of a file fills besides metrics; the last has one row a file, and is written last. Empty for a
            medium whose files have one still: then a metric's table has one row a file, otherwise one a still. Views of a medium
            with tables are a ``ViewOfParts``.
    """

    name: str
    extensions: frozenset[str]
    columns: tuple[Column, ...]
    gives: frozenset[WantKind]
    decoder: str
    by_path: bool
    published: PublishedForm
    questions: tuple[QualityQuestion, ...]
    tables: tuple[ChildTable, ...]

    def probe(self, file: File, limits: Limits) -> Probe:
        """Examine a file without decoding it. Raises only what fetching it raises."""
        ...

    def open(self, file: File, wants: frozenset[Want], limits: Limits) -> View:
        """A view of a file that serves all wants with one decode; nothing is fetched before it is entered."""
        ...

    def poster(self, file: File, side: int) -> Pixels:
        """One image that represents the file, for sheets and galleries; its longest side is at most ``side`` pixels.

        Raises:
            DecodeError: the file cannot be shown.
        """
        ...

    def moments(self, file: File, most: int, fps: float | None = None) -> list[Pixels]:
        """Pictures of a file in order of time, upright and of their shown size; of an image the image.

        Args:
            file: of this medium.
            most: how many, each from the middle of one of as many equal parts of the time; fewer if it has fewer frames.
            fps: pictures per second of the file, ``most`` at most and at least one; None for ``most``.

        Raises:
            DecodeError: the file cannot be decoded.
            StorageError: its decoder stalled or crashed.
        """
        ...

    def preview(self, file: File, side: int) -> bytes | None:
        """A small animated WebP of a file that moves, its longest side at most ``side`` pixels; None of one that does not.

        Raises:
            DecodeError: the file cannot be shown.
        """
        ...
