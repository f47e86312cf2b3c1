"""Contact sheets and label galleries of a notebook.

Belongs here: the functions that a notebook calls to show many images, and to label them. Does not belong here: the pages
themselves (``sheets.py``, ``labels.py``).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from resources.notebook import labels as label_pages
from resources.notebook import sheets
from resources.notebook.environment import Address, address_text, default_storage
from resources.notebook.frames import as_arrow, convert, default_library
from resources.storage.storage import Storage


def gallery(
    images: Iterable[Any],
    labels: Sequence[Any] | None = None,
    *,
    height: int = 160,
    limit: int = sheets.LIMIT,
    title: str = "",
    workers: int = 16,
    progress: bool = True,
    save: Address | None = None,
    storage: Storage | None = None,
) -> sheets.Gallery:
    """A contact sheet, displayed as the last value of a cell. It contains its images, so it can be kept.

    Args:
        images: URIs, results of ``concurrent_loads``, PIL images or ``uint8`` arrays, in any mixture. For one that
            cannot be read, the reason is shown in its place.
        labels: a text for each image; file names by default.
        height: of a row, in pixels.
        limit: the maximum number shown; a line says how many are left out.
        title: shown above the images.
        workers: threads that read.
        progress: show a progress bar.
        save: also write the sheet to this HTML file.
        storage: reads and writes; configured from the environment by default.

    Raises:
        ValueError: the numbers of labels and images differ.
        StorageError: the file cannot be written.
    """
    using = storage or default_storage()
    shown, left_out = sheets.make_tiles(
        images, labels, using, height=height, limit=limit, workers=workers, progress=progress
    )
    made = sheets.Gallery(shown, height, title, left_out)
    if save is not None:
        using.write(address_text(save), made.page().encode())
    return made


def label_gallery(
    images: Iterable[Any],
    choices: Sequence[str] = ("selected",),
    *,
    labels: Sequence[Any] | None = None,
    chosen: Any = None,
    height: int = 160,
    limit: int = sheets.LIMIT,
    live: bool | None = None,
    workers: int = 16,
    progress: bool = True,
    save: Address | None = None,
    storage: Storage | None = None,
) -> label_pages.LabelGallery:
    """Images to label with the mouse or the keys 1 to 9, displayed as the last value of a cell.

    With ``anywidget`` (the ``notebook`` extra) the labels are available in Python immediately: ``.table()``. Without
    it, and in a saved file, the page offers a CSV to download or copy, which ``read_labels`` reads.

    Args:
        images: see ``gallery``.
        choices: the labels to choose from.
        labels: a text below each image; file names by default.
        chosen: labels chosen earlier, to continue with: what ``read_labels`` or ``.table()`` returned, or URI -> label.
        height: of a row, in pixels.
        limit: the maximum number shown.
        live: True for the widget, False for the page; by default the widget where it is possible.
        workers: threads that read.
        progress: show a progress bar.
        save: also write the page to this HTML file.
        storage: reads and writes; configured from the environment by default.

    Raises:
        ValueError: no choices or a duplicate one, the numbers of texts and images differ, or an unknown label.
        StorageError: the file cannot be written, or ``live`` is set but ``anywidget`` is not installed.
    """
    using = storage or default_storage()
    shown, _ = sheets.make_tiles(images, labels, using, height=height, limit=limit, workers=workers, progress=progress)
    if chosen is not None and not isinstance(chosen, Mapping):
        rows = as_arrow(chosen, index=False).to_pylist()
        chosen = {row["uri"]: row["label"] for row in rows}
    made = label_pages.start_labels(shown, choices, chosen, height, live)
    if save is not None:
        using.write(address_text(save), made.page().encode())
    return made


def read_labels(source: Address, *, as_: str | None = None, storage: Storage | None = None) -> Any:
    """The labels chosen on a page of ``label_gallery``: columns ``uri`` and ``label``.

    Args:
        source: the downloaded CSV (a path or URI), or its text as copied.
        as_: ``pandas`` (default), ``polars`` or ``arrow``.
        storage: reads the file; configured from the environment by default.

    Raises:
        StorageError: the file is missing, or contains no labels.
    """
    where = address_text(source)
    if where.lstrip("\ufeff").startswith("uri,label"):
        table = label_pages.read_rows(where, "this text")
    else:
        table = label_pages.read_rows(
            (storage or default_storage()).read_bytes(where).decode("utf-8-sig"), f"'{where}'"
        )
    return convert(table, as_ or default_library())
