"""Still images as a medium: the files that are included, their columns, and access to them.

Belongs here: only the implementation of ``Medium``. Does not belong here: how files are read (``probe.py``,
``decode.py``, ``formats/``). Every process imports this module: codecs are imported where they are used.
"""

from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

import pyarrow as pa

from arot_assets.columns import Column
from arot_assets.media.file import DecodeError, File, Limits
from arot_assets.media.image.questions import QUESTIONS
from arot_assets.media.medium import ChildTable, Probe, PublishedForm
from arot_assets.media.question import QualityQuestion
from arot_assets.media.wants import STILL, Pixels, Still, Want, WantKind

if TYPE_CHECKING:
    from arot_assets.media.image.view import Image

EXTENSIONS = frozenset(
    ".jpg .jpeg .jpe .jfif .png .apng .webp .gif .bmp .dib .tif .tiff .avif .avifs .heic .heif .jxl .jp2 .j2k .svg .ico "
    ".tga .ppm .pgm .pbm .pnm .psd .exr .hdr .dng .cr2 .nef .arw".split()
)
"""Objects that are included. Formats that cannot be decoded are included too: they become rows that say so."""

COLUMNS = (
    Column("format", pa.string(), "what the content is: JPEG, PNG, WEBP …"),
    Column("mode", pa.string(), "pixel layout in the file, Pillow's names: RGB, L, P, CMYK, RGBA …"),
    Column("width", pa.int64(), "pixels, after the EXIF orientation"),
    Column("height", pa.int64(), "pixels, after the EXIF orientation"),
    Column("n_frames", pa.int32(), "frames or pages in the file"),
    Column("has_alpha", pa.bool_(), "whether the file has transparency"),
    Column("icc_profile", pa.string(), "description of the embedded colour profile, null if there is none"),
    Column(
        "pixels_only",
        pa.bool_(),
        "whether it is a JPEG or PNG without EXIF, XMP, profile, text, comment or further bytes; null if it was read before "
        "this was looked at",
    ),
)

BYTES_PER_PIXEL = 9
"""The maximum memory of an image, in bytes per pixel: a progressive JPEG without subsampling while it is decoded (6 for
its coefficients, 3 for its pixels). PNG takes up to 8; pixels, gray levels and the working rows of the metrics take
4.3."""


PUBLISHED = PublishedForm(
    feature="Image",
    task="text-to-image",
    task_without_text="unconditional-image-generation",
    format_column="format",
    extensions={"JPEG": "jpg"},
)


class ImageView:
    """One decoded image.

    Args:
        file: the image.
        limits: for its header.
        wants: what is wanted of it.

    Attributes:
        cost: upper bound of its memory, in bytes.
    """

    def __init__(self, file: File, wants: frozenset[Want], limits: Limits) -> None:
        self._file, self._wants, self._limits = file, wants, limits
        self.cost = BYTES_PER_PIXEL * (file.facts.get("width") or 0) * (file.facts.get("height") or 0)
        self._image: Image | None = None

    def __enter__(self) -> Self:
        from arot_assets.media.image import decode
        from arot_assets.media.image.view import Image

        if any(want.kind != "image" for want in self._wants):
            raise DecodeError("unsupported", "an image has no frames in time")
        self._image = Image(decode.decode(self._file.read(), max_megapixels=self._limits.megapixels))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._image = None

    def stills(self) -> Iterator[Still]:
        """The image."""
        if self._image is None:
            raise ValueError(f"'{self._file.uri}' is not open: enter the view first")
        yield Still(self._image)


class ImageMedium:
    """Still images; the first frame of an animation."""

    name = "image"
    extensions = EXTENSIONS
    columns: tuple[Column, ...] = COLUMNS
    gives: frozenset[WantKind] = frozenset({"image"})
    decoder = ""
    by_path = False
    published = PUBLISHED
    questions: tuple[QualityQuestion, ...] = QUESTIONS
    tables: tuple[ChildTable, ...] = ()

    def probe(self, file: File, limits: Limits) -> Probe:
        """Examine the file's bytes."""
        from arot_assets.media.image.probe import probe

        found = probe(file.read(), file.uri, max_megapixels=limits.megapixels)
        facts = {column.name: getattr(found, column.name) for column in COLUMNS}
        return Probe(found.status, found.reason, found.notes, found.generation, facts)

    def open(self, file: File, wants: frozenset[Want], limits: Limits) -> ImageView:
        """The image, decoded on entry."""
        return ImageView(file, wants, limits)

    def moments(self, file: File, most: int, fps: float | None = None) -> list[Pixels]:
        """The image."""
        with self.open(file, frozenset({STILL}), Limits()) as view:
            return [still.image.rgb for still in view.stills()]

    def poster(self, file: File, side: int) -> Pixels:
        """A small version of the image."""
        from arot_assets.media.image.decode import thumbnail

        return thumbnail(file.read(), side)

    def preview(self, file: File, side: int) -> bytes | None:
        """See ``Medium.preview``: an image does not move."""
        return None


IMAGE = ImageMedium()
