"""The protocol of a medium: which files it includes, and how one is probed, opened for measuring, and shown.

Belongs here: what the rooms know about a medium, whichever it is. Does not belong here: any particular medium
(``image/`` …), fetching files (``datasets.reach``), what is measured.

The rooms use only ``Medium``. A dataset's declaration names it (``DatasetDeclaration.medium``); code that knows a
dataset only by name asks its inventory (``datasets.places``). Every process imports this module, so it stays light.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Protocol, Self

from arot_assets.columns import Column
from arot_assets.media.file import File, Limits
from arot_assets.media.question import QualityQuestion
from arot_assets.media.wants import Part, Pixels, Still, Want, WantKind


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
