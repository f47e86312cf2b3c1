"""The plug of a medium: which files it takes, and how one is judged, opened for measuring, and shown.

Belongs here: what the rooms know of a medium, whichever it is. Does not belong here: any medium (``image/`` …), fetching
files (``datasets.reach``), what is measured.

The rooms speak to a ``Medium`` only. A dataset's declaration names it (``DatasetDeclaration.medium``); who knows a dataset
by its name alone asks its inventory (``datasets.places``). Every process imports this module: it stays light.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from arot_assets.columns import Column
from arot_assets.media.question import Question

if TYPE_CHECKING:
    from arot_assets.media.image.view import Image

Content = bytes | Path
"""A whole file: its bytes, or where it lies on this machine."""
Pixels = NDArray[np.uint8]
"""``uint8 [H, W, 3]`` RGB, C-contiguous, 0-255."""
Failure = Literal["corrupt", "unsupported"]

MAX_MEGAPIXELS = 250.0
"""Default limit of width x height, in millions of pixels. Above every camera sold (200 MP phones, 150 MP medium format);
at the limit the decoded RGB takes 750 MB. Larger images are refused from their header alone."""


class DecodeError(Exception):
    """A file that its medium can't use.

    Attributes:
        status: ``corrupt`` (the file is broken) or ``unsupported`` (it may be fine, but it is nothing we decode).
        reason: the cause, one line for people.
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
    """What a file may ask for; one that asks for more is refused by its header.

    Attributes:
        megapixels: width x height of one image, in millions of pixels.
    """

    megapixels: float = MAX_MEGAPIXELS

    def __str__(self) -> str:
        """As it stands in the version of samples."""
        return f"{self.megapixels:g}"


class File:
    """One file, as bytes or as a path on this machine, whichever its medium asks for; nothing is fetched before.

    Args:
        uri: where it is; its extension may tell what it claims to be.
        fetch: gives the whole content, proven to be what the sample's row describes; called at most once. What it raises
            comes out of ``fetch``, ``read`` and ``path``.
        facts: the medium's columns of its sample, as a probe found them; empty before it was probed.
    """

    def __init__(self, uri: str, fetch: Callable[[], Content], facts: Mapping[str, Any] | None = None) -> None:
        self.uri = uri
        self.facts = facts or {}
        self._fetch = fetch
        self._content: Content | None = None

    @classmethod
    def of(cls, uri: str, content: Content) -> "File":
        """A file whose content is here already."""
        return cls(uri, lambda: content)

    def fetch(self) -> Content:
        """Have the content here."""
        if self._content is None:
            self._content = self._fetch()
        return self._content

    def read(self) -> bytes:
        """The bytes of the file."""
        content = self.fetch()
        return content if isinstance(content, bytes) else content.read_bytes()

    def path(self) -> Path:
        """Where the file lies on this machine; do not write to it.

        Raises:
            TypeError: it is in memory, since its medium does not say ``by_path``.
        """
        content = self.fetch()
        if isinstance(content, bytes):
            raise TypeError(f"'{self.uri}' was fetched into memory; a medium that opens paths says `by_path = True`")
        return content


@dataclass(frozen=True)
class Want:
    """What a table needs to see of a file. What all tables of a run want of it is one decode.

    Attributes:
        kind: ``image``: still images, upright sRGB, each with its place in the file; an image has exactly one.
            ``frames``: images in motion.
        fps: frames a second of the file's own time; None for all.
        side: longest side in pixels; None for their own size.
    """

    kind: Literal["image", "frames"] = "image"
    fps: float | None = None
    side: int | None = None


STILL = Want()
"""What every image metric and image model takes."""


@dataclass(frozen=True)
class Still:
    """One still image of a file.

    Attributes:
        image: its pixels.
        pts: when it is shown, in ticks of the file's time base; None in a medium without time.
    """

    image: "Image"
    pts: int | None = None


class View(Protocol):
    """A file opened for measuring: a context manager that decodes when it is entered.

    Attributes:
        cost: bytes of memory that it takes at most while it is open, by the facts of the file; known before it is entered.
    """

    cost: int

    def __enter__(self) -> Self:
        """Decode.

        Raises:
            DecodeError: the file can't be used, or not for what is wanted.
        """
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def stills(self) -> Iterator[Still]:
        """The still images that are wanted, in order, each once. May raise ``DecodeError``."""
        ...


@dataclass(frozen=True)
class Probe:
    """What a file is, as far as that shows without decoding it.

    Attributes:
        status: ``ok``, ``corrupt`` (broken) or ``unsupported`` (nothing we decode).
        reason: why it is not ok, None if it is.
        notes: usable, but worth knowing; short names that the medium explains.
        generation: what a generator wrote into the file, None if nothing.
        facts: the medium's columns.
    """

    status: Literal["ok", "corrupt", "unsupported"]
    reason: str | None
    notes: tuple[str, ...]
    generation: Mapping[str, Any] | None
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Published:
    """How the files of a medium appear in a published dataset.

    Attributes:
        feature: the type that the library ``datasets`` gives to such a column: ``Image``, ``Video``. It stores the bytes and
            the name of each file.
        task: the task of the Hub that captioned files are for.
        task_without_text: the same without captions.
        format_column: the medium's column of ``samples`` that tells the format of the content.
        extensions: format -> file extension without the dot, where that is not the format's own name in lower case.
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
    """A kind of files.

    Attributes:
        name: for people and for the store: ``image``, ``video``.
        extensions: of the files that a listing takes, lower case with the dot. Files without one are taken too: their
            content decides.
        columns: its own columns of ``samples``.
        decoder: version of the pixels that ``open`` gives, a part of every ``metric_version``. Empty at first, so that what was
            measured before it was counted stays; raise it when files that could be opened give other pixels than before.
            Files that could not be opened need none: their samples' rows change, by ``samples.CODE_VERSION``.
        by_path: whether it opens files where they lie (``File.path``) instead of reading them into memory. Files of other
            machines are then brought into the cache.
        published: how its files appear in exports.
        questions: what a report asks of its own columns and metrics, besides what it asks of every medium.
    """

    name: str
    extensions: frozenset[str]
    columns: tuple[Column, ...]
    decoder: str
    by_path: bool
    published: Published
    questions: tuple[Question, ...]

    def probe(self, file: File, limits: Limits) -> Probe:
        """Judge a file without decoding it. Raises nothing but what fetching it raises."""
        ...

    def open(self, file: File, wants: frozenset[Want], limits: Limits) -> View:
        """A view of a file for all that is wanted of it, by one decode; nothing is fetched until it is entered."""
        ...

    def poster(self, file: File, side: int) -> Pixels:
        """One image that stands for the file, for sheets and galleries; its longest side is at most ``side`` pixels.

        Raises:
            DecodeError: the file can't be shown.
        """
        ...
