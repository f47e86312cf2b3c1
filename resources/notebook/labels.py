"""Labels chosen in the browser, and read back as a table.

Belongs here: the page of ``label_gallery``, in its two forms, and reading what it saves. The page itself is
``labels.js``.

In a notebook whose kernel has ``anywidget`` (the ``notebook`` extra), the labels are available in Python as they are
chosen: Jupyter, VS Code and Colab support its protocol. The same page also works standalone, as the output of a cell or
as a file: it produces a CSV to download or copy, which ``read_labels`` reads. No server is involved.
"""

import importlib.util
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resources.notebook.frames import convert, default_library
from resources.notebook.sheets import PAGE, Tile
from resources.storage.objects import StorageError, shown

if TYPE_CHECKING:
    import pyarrow as pa

SCRIPT = Path(__file__).with_name("labels.js")


@dataclass(repr=False)
class LabelGallery:
    """Images and the labels chosen for them; displayed as the last value of a notebook cell.

    Attributes:
        tiles: the images.
        choices: the labels to choose from.
        chosen: number of a tile -> label, as chosen so far (in a live widget) or as given initially.
        height: of a row, in CSS pixels.
        file: the file name under which the browser saves the CSV.
        live: whether choices reach Python immediately.
    """

    tiles: tuple[Tile, ...]
    choices: tuple[str, ...]
    chosen: dict[int, str]
    height: int
    file: str = "labels.csv"
    live: bool = False
    _widget: Any = field(default=None)

    def table(self, as_: str | None = None) -> Any:
        """The labels chosen so far: columns ``uri`` and ``label``, one row per labelled image.

        Args:
            as_: ``pandas`` (default), ``polars`` or ``arrow``.

        Raises:
            StorageError: this page is not connected to Python.
        """
        if not self.live:
            raise StorageError(
                "these labels are in the browser; download or copy the CSV there and read it with read_labels(). With "
                "anywidget installed ('arot[notebook]') they are available in the notebook directly"
            )
        chosen = self._current()
        rows = [(self.tiles[n].uri, chosen[n]) for n in sorted(chosen)]
        return convert(_labels_table(rows), as_ or default_library())

    def page(self) -> str:
        """The page as self-contained HTML, including the labels chosen so far."""
        return PAGE.format(title="labels", body=self._repr_html_())

    def widget(self) -> Any:
        """The live widget, created on the first call.

        Raises:
            StorageError: ``anywidget`` is not installed.
        """
        if self._widget is None:
            self._widget = _make_widget(self._data())
        return self._widget

    def _repr_html_(self) -> str:
        name = f"labels-{uuid.uuid4().hex[:12]}"  # a page may contain the same gallery twice
        data = json.dumps(self._data()).replace("<", "\\u003c")
        script = SCRIPT.read_text(encoding="utf-8")
        call = f"mount(document.getElementById({json.dumps(name)}), {data}, () => {{}});"
        return f'<div id="{name}"></div><script>(() => {{\n{script}\n{call}\n}})();</script>'

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """The live widget for front ends that can show it; the page, from ``_repr_html_``, for others."""
        if not self.live:
            return {}
        made = self.widget()._repr_mimebundle_(**options)
        data = made[0] if isinstance(made, tuple) else made
        return {**(data or {}), "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"LabelGallery of {len(self.tiles):,} images, {len(self._current()):,} labelled"

    def _current(self) -> dict[int, str]:
        return {int(n): label for n, label in self._widget.chosen.items()} if self._widget is not None else self.chosen

    def _data(self) -> dict[str, Any]:
        tiles = [{"uri": t.uri, "label": t.label, "image": t.image, "error": t.error} for t in self.tiles]
        chosen = {str(n): label for n, label in self._current().items()}
        return {
            "tiles": tiles,
            "choices": list(self.choices),
            "chosen": chosen,
            "height": self.height,
            "file": self.file,
        }


def can_be_live() -> bool:
    """Whether a live widget can be shown: ``anywidget`` is installed, and this runs in a notebook kernel."""
    if any(importlib.util.find_spec(name) is None for name in ("anywidget", "IPython")):
        return False
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


def start_labels(
    tiles: tuple[Tile, ...], choices: Sequence[str], chosen: Mapping[str, str] | None, height: int, live: bool | None
) -> LabelGallery:
    """A page for these images.

    Args:
        tiles: the images; either all have a URI or none has.
        choices: the labels to choose from: at least one, each once.
        chosen: URI -> label chosen earlier.
        height: of a row, in CSS pixels.
        live: a widget whose choices reach Python immediately; None uses it where possible.

    Raises:
        ValueError: no choices, a duplicate one, or a label that is not among them.
        StorageError: ``live`` is set but ``anywidget`` is not installed.
    """
    names = tuple(str(c) for c in choices)
    if not names or len(set(names)) != len(names):
        raise ValueError("choices: pass at least one label, and each only once")
    wrong = sorted(set((chosen or {}).values()) - set(names))
    if wrong:
        raise ValueError(f"chosen contains labels that are not in choices: {', '.join(wrong)}")
    named = tuple(t if t.uri else Tile(str(n), t.label, t.image, t.error) for n, t in enumerate(tiles))
    known = {shown(uri): label for uri, label in (chosen or {}).items()}
    before = {n: known[t.uri] for n, t in enumerate(named) if t.uri in known}
    made = LabelGallery(named, names, before, height, live=can_be_live() if live is None else live)
    if made.live:
        made.widget()
    return made


def read_rows(text: str, source: str) -> "pa.Table":
    """The CSV of the page as a table of ``uri`` and ``label``.

    Raises:
        StorageError: it is not such a CSV.
    """
    import csv
    import io

    rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    if not rows or rows[0] != ["uri", "label"] or any(len(row) not in (0, 2) for row in rows):
        raise StorageError(
            f"{source} contains no labels: its columns must be uri,label; save it from label_gallery", kind="format"
        )
    return _labels_table([(row[0], row[1]) for row in rows[1:] if row])


def _labels_table(rows: Sequence[tuple[str, str]]) -> "pa.Table":
    import pyarrow as pa

    return pa.table(
        {"uri": pa.array([r[0] for r in rows], pa.string()), "label": pa.array([r[1] for r in rows], pa.string())}
    )


def _make_widget(data: Mapping[str, Any]) -> Any:
    try:
        import anywidget
        import traitlets
    except ImportError as error:
        raise StorageError("live labels need anywidget; pip install 'arot[notebook]', or pass live=False") from error

    class LabelWidget(anywidget.AnyWidget):
        """The page as a widget; ``chosen`` is kept in sync with the choices."""

        _esm = SCRIPT.read_text(encoding="utf-8") + (
            "export default { render({ model, el }) {\n"
            '  const data = Object.assign({}, model.get("data"), { chosen: model.get("chosen") });\n'
            '  mount(el, data, (chosen) => { model.set("chosen", chosen); model.save_changes(); });\n'
            "} };\n"
        )
        data = traitlets.Dict().tag(sync=True)
        chosen = traitlets.Dict().tag(sync=True)

    return LabelWidget(data=dict(data), chosen=dict(data["chosen"]))
