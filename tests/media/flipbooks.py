"""A second medium, in two files' worth of code: animations as flipbooks, to prove that the rooms know none by name."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import numpy as np
from PIL import Image as Pillow

from arot_assets.columns import Column
from arot_assets.datasets.declaration import DatasetDeclaration
from arot_assets.datasets.inventory import take_inventory
from arot_assets.datasets.samples import build_samples
from arot_assets.media.file import DecodeError, File, Limits
from arot_assets.media.image.view import Image
from arot_assets.media.medium import Medium, Probe, PublishedForm
from arot_assets.media.question import QualityQuestion
from arot_assets.media.wants import STILL, Pixels, Still, Want
from arot_assets.metrics.build import build_metrics
from arot_assets.metrics.registry import get_metric
from resources.defaults import Resources
from resources.tables import TableRef
from tests.conftest import DATA, EXAMPLES


class FlipbookView:
    """The middle frame of an animation."""

    def __init__(self, file: File) -> None:
        self._file = file
        self.cost = 3 * (file.facts["width"] or 0) * (file.facts["height"] or 0) * (file.facts["frames"] or 0)

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            try:
                self._book = opened.enter_context(Pillow.open(self._file.path()))
                self._book.seek(self._book.n_frames // 2)  # type: ignore[attr-defined]
                self._rgb = np.asarray(self._book.convert("RGB"))
            except OSError as error:
                raise DecodeError("corrupt", f"frame is damaged: {error}") from error
            opened.pop_all()  # stays open until the view is left
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._book.close()

    def stills(self) -> Iterator[Still]:
        yield Still(Image(self._rgb), pts=self._book.tell() * 40)


class Flipbooks:
    """Animations that are opened where they lie, as films are."""

    name = "flipbook"
    extensions = frozenset({".gif", ".flip"})
    columns: tuple[Column, ...] = (
        Column("width", int, "pixels"),
        Column("height", int, "pixels"),
        Column("frames", int, "images of the animation"),
        Column("kind", str, "what it is"),
    )
    decoder = "pencil 1"
    by_path = True
    published = PublishedForm("Video", "text-to-video", "unconditional-image-generation", "kind", {"animation": "gif"})
    tables = ()
    questions = (
        QualityQuestion("short", "{medium}s of a single frame", "frames < 2", "frames", "frames", "look for the rest"),
    )

    def probe(self, file: File, limits: Limits) -> Probe:
        try:
            with Pillow.open(file.path()) as book:
                facts = {"width": book.width, "height": book.height, "frames": book.n_frames}  # type: ignore[attr-defined]
                facts["kind"] = "animation"
                return Probe("ok", None, ("flip",), {"tool": "pencil"}, facts)
        except OSError as error:
            return Probe("corrupt", f"no animation: {type(error).__name__}", (), None, {})

    def open(self, file: File, wants: frozenset[Want], limits: Limits) -> FlipbookView:
        return FlipbookView(file)

    def preview(self, file: File, side: int) -> bytes | None:
        """See ``Medium``."""
        return None

    def moments(self, file: File, most: int, fps: float | None = None) -> list[Pixels]:
        """The first pages."""
        with self.open(file, frozenset({STILL}), Limits()) as view:
            return [still.image.rgb for still in view.stills()][:most]

    def poster(self, file: File, side: int) -> Pixels:
        with Pillow.open(file.path()) as book:
            first = book.convert("RGB")
        first.thumbnail((side, side))
        return np.asarray(first)


FLIPBOOKS: Medium = Flipbooks()


class FlipbookDataset(DatasetDeclaration):
    medium: ClassVar[Medium] = FLIPBOOKS


class Books:
    """A dataset of animations, worked on as any other."""

    def __init__(self, resources: Resources, source: str, **fields: object) -> None:
        self.resources = resources
        self.declaration = FlipbookDataset.model_validate(
            {"name": "books", "source": source, "settle_seconds": 0, **fields}
        )

    def run(self, *metrics: str) -> list[dict[str, object]]:
        """Gives the rows of the samples."""
        r, d = self.resources, self.declaration
        take_inventory(r.storage, r.tables, d, datetime.now(UTC))
        build_samples(r.storage, r.tables, d, "00000")
        build_metrics(r.storage, r.warehouse, r.models, d, "00000", [get_metric(name) for name in metrics])
        return self.rows("samples")

    def rows(self, table: str) -> list[dict[str, object]]:
        tables = self.resources.tables
        shards = tables.shards("books", table)
        return [row for shard in shards for row in tables.read(TableRef("books", table, shard)).to_pylist()]


def make_animations(folder: Path) -> Path:
    """Two animations of five photos each, one of them broken off, an image, and a caption."""
    folder.mkdir()
    photos = [Pillow.open(p).convert("RGB").resize((96, 64)) for p in sorted(EXAMPLES.glob("photo/*/*.jpg"))[:10]]
    for name, part in (("a", photos[:5]), ("b", photos[5:])):
        part[0].save(folder / f"{name}.gif", save_all=True, append_images=part[1:], duration=40)
    (folder / "broken.flip").write_bytes(b"GIF89a")
    (folder / "a.txt").write_text("a walk through five places")
    shutil.copyfile(DATA / "faults" / "progressive.jpg", folder / "still.jpg")
    return folder
