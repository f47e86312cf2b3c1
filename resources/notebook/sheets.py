"""Contact sheets in HTML: images side by side, each with a line of text, for a notebook or as a file.

Belongs here: thumbnails of many images, and the page that shows them. Does not belong here: choosing labels (``labels.py``).

A sheet contains its images: it can be shown without a network or credentials, and after the files are gone.
"""

import html
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from resources.notebook.formats import parse
from resources.notebook.image_files import thumbnail
from resources.notebook.results import Loaded, load_many
from resources.storage.objects import StorageError, shown

if TYPE_CHECKING:
    from resources.storage.storage import Storage

LIMIT = 1000
SHARPNESS = 2
"""Pixels of a thumbnail per CSS pixel: screens have high densities, and tiles may be wide."""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>:root {{ color-scheme: light dark }} body {{ font-family: system-ui, sans-serif; margin: 1em }}</style></head>
<body>{body}</body></html>
"""


@dataclass(frozen=True)
class Tile:
    """One image of a sheet.

    Attributes:
        uri: where it came from, as ``shown`` writes it; empty for an image passed as pixels.
        label: the text below it.
        image: a JPEG as ``data:`` URI; empty when there is none.
        error: why there is none; empty otherwise.
    """

    uri: str
    label: str
    image: str
    error: str = ""


@dataclass(frozen=True)
class Gallery:
    """A contact sheet; displayed as the last value of a notebook cell.

    Attributes:
        tiles: its images.
        height: of a row, in CSS pixels.
        title: shown above it, and the title of the file.
        left_out: how many more were given than are shown.
    """

    tiles: tuple[Tile, ...]
    height: int
    title: str = ""
    left_out: int = 0

    def _repr_html_(self) -> str:
        figures = "".join(_figure(tile, self.height) for tile in self.tiles)
        head = f"<h3>{html.escape(self.title)}</h3>" if self.title else ""
        more = f"<p>{self.left_out:,} more are not shown</p>" if self.left_out else ""
        return f'{head}<div style="display:flex;flex-wrap:wrap;gap:8px;align-items:flex-end">{figures}</div>{more}'

    def __repr__(self) -> str:
        failed = sum(bool(tile.error) for tile in self.tiles)
        return f"Gallery of {len(self.tiles):,} images" + (f", {failed:,} of which could not be read" if failed else "")

    def page(self) -> str:
        """The whole HTML page, self-contained."""
        return PAGE.format(title=html.escape(self.title or repr(self)), body=self._repr_html_())


def make_tiles(
    images: Iterable[Any],
    labels: Sequence[Any] | None,
    storage: "Storage",
    *,
    height: int,
    limit: int,
    workers: int,
    progress: bool,
) -> tuple[tuple[Tile, ...], int]:
    """Thumbnails of images, read concurrently; for one that cannot be read, the reason is shown in its place.

    Args:
        images: URIs, paths, ``Loaded`` results, PIL images or arrays, in any mixture.
        labels: a text for each; the file names when None.
        storage: reads the URIs.
        height: of a row, in CSS pixels.
        limit: the maximum number shown.
        workers: threads.
        progress: show a bar.

    Returns:
        The tiles, and how many images were left out.

    Raises:
        ValueError: the numbers of labels and images differ.
    """
    given = list(images)
    if labels is not None and len(labels) != len(given):
        raise ValueError(f"{len(given)} images but {len(labels)} labels")
    taken = given[:limit]
    uris = [os.fspath(item) for item in taken if isinstance(item, str | os.PathLike)]

    def small(uri: str) -> str:
        return thumbnail(parse(_bytes(storage, uri), uri, "jpg", None, {}), height * SHARPNESS)[0]

    loaded = iter(load_many(uris, small, workers=workers, progress=progress and bool(uris), title="thumbnails"))
    tiles = []
    for n, item in enumerate(taken):
        found = next(loaded) if isinstance(item, str | os.PathLike) else _given(item, height)
        name = found.uri.split("?")[0].rstrip("/").rsplit("/", 1)[-1] or str(n)
        label = name if labels is None else str(labels[n])
        tiles.append(Tile(shown(found.uri), shown(label), found.value or "", str(found.error) if found.error else ""))
    return tuple(tiles), len(given) - len(taken)


def _given(item: Any, height: int) -> Loaded[str]:
    """A thumbnail of an image in memory."""
    uri = ""
    try:
        if isinstance(item, Loaded):
            uri, item = item.uri, item.unwrap()
        return Loaded(uri, thumbnail(item, height * SHARPNESS)[0])
    except ValueError as error:
        return Loaded(uri, None, StorageError(f"cannot show this {type(item).__name__}: {error}", kind="format"))
    except StorageError as error:
        return Loaded(uri, None, error)


def _bytes(storage: "Storage", uri: str) -> Any:
    import io

    return io.BytesIO(storage.read_bytes(uri))


def _figure(tile: Tile, height: int) -> str:
    title = html.escape(tile.uri or tile.label, quote=True)
    if tile.image:
        content = (
            f'<img src="{tile.image}" alt="{html.escape(tile.label, quote=True)}" '
            f'style="height:{height}px;max-width:100%;object-fit:contain;display:block;margin:0 auto">'
        )
    else:
        content = (
            f'<div style="height:{height}px;width:{height}px;overflow:auto;box-sizing:border-box;padding:6px;'
            f'border:1px dashed #b33;color:#b33;font-size:11px">{html.escape(tile.error)}</div>'
        )
    label = html.escape(tile.label).replace("\n", "<br>")
    return (
        f'<figure title="{title}" style="margin:0;max-width:{height * 3}px">{content}'
        f'<figcaption style="font-size:11px;text-align:center;overflow-wrap:anywhere">{label}</figcaption></figure>'
    )
