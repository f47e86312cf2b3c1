"""Contact sheets and label pages, in a real browser and in a kernel."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from resources import notebook as nb
from resources.notebook.labels import start_labels
from resources.storage import StorageError
from tests.conftest import DATA, EXAMPLES

PHOTOS = sorted((EXAMPLES / "photo").rglob("*.jpg"))[:4]


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page without a network; an error of its scripts fails the test."""
    context = browser.new_context(accept_downloads=True, offline=True)
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    context.close()
    assert not errors


def loaded_images(page: Any) -> int:
    """Images that the browser has decoded."""
    return int(page.evaluate("[...document.images].filter(i => i.complete && i.naturalWidth > 0).length"))


@pytest.mark.slow
def test_a_saved_gallery_shows_its_pictures_alone(page: Any, tmp_path: Path) -> None:
    array = np.full((30, 90, 3), 200, np.uint8)
    given = [*PHOTOS, array, Image.new("RGBA", (10, 10)), DATA / "faults" / "truncated_half.jpg"]
    labels = ["<script>window.evil = 1</script>", *range(1, 7)]
    sheet = nb.gallery(given, labels, title="Photos & more", progress=False, save=tmp_path / "sheet.html")
    assert repr(sheet) == "Gallery of 7 images, 1 of which could not be read"
    page.goto(f"file://{tmp_path / 'sheet.html'}")
    assert loaded_images(page) == 6
    assert page.inner_text("h3") == "Photos & more"
    assert page.locator("figure").count() == 7
    assert "truncated_half.jpg" in page.locator("figure").nth(6).inner_text()
    assert page.locator("figcaption").first.inner_text() == labels[0] and page.evaluate("window.evil") is None
    assert sheet._repr_html_() in sheet.page()


def test_a_gallery_takes_results_tells_what_it_leaves_out_and_wants_a_label_each() -> None:
    loaded = nb.concurrent_loads([PHOTOS[0], DATA / "missing.jpg"], progress=False)
    sheet = nb.gallery([*loaded, *PHOTOS], limit=3, progress=False)
    assert [bool(tile.image) for tile in sheet.tiles] == [True, False, True]
    assert sheet.tiles[0].label == PHOTOS[0].name and "3 more are not shown" in sheet._repr_html_()
    with pytest.raises(ValueError, match="4 images but 1 labels"):
        nb.gallery(PHOTOS, ["one"], progress=False)


def pick(page: Any) -> None:
    """Label the first image with a button, the second by clicks, the third by key; take back the first by key."""
    figures = page.locator("figure")
    figures.nth(0).get_by_role("button", name="good").click()
    figures.nth(1).locator("img").click()
    figures.nth(1).locator("img").click()
    figures.nth(2).focus()
    page.keyboard.press("1")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("0")


@pytest.mark.slow
def test_labels_picked_in_the_page_come_back_as_a_table(page: Any, tmp_path: Path) -> None:
    odd = tmp_path / 'a "quoted", name.jpg'
    odd.write_bytes(PHOTOS[0].read_bytes())
    pictures = [PHOTOS[0], odd, *PHOTOS[1:3]]
    made = nb.label_gallery(pictures, ["good", 'ba"d, <b>'], progress=False, save=tmp_path / "labels.html")
    page.goto(f"file://{tmp_path / 'labels.html'}")
    assert loaded_images(page) == 4
    pick(page)
    assert page.inner_text("[data-role=counts]").startswith("2 of 4 labelled: good 1, ")
    with page.expect_download() as download:
        page.get_by_text("Download CSV").click()
    download.value.save_as(tmp_path / "labels.csv")
    expected = [{"uri": str(odd), "label": 'ba"d, <b>'}, {"uri": str(PHOTOS[1]), "label": "good"}]
    table = nb.read_labels(tmp_path / "labels.csv", as_="arrow")
    assert table.to_pylist() == expected
    assert nb.read_labels((tmp_path / "labels.csv").read_text(), as_="arrow").equals(table)
    again = nb.label_gallery(pictures, made.choices, chosen=nb.read_labels(tmp_path / "labels.csv"), progress=False)
    assert again.chosen == {1: 'ba"d, <b>', 2: "good"}
    with pytest.raises(StorageError, match="read_labels"):
        made.table()


@pytest.mark.slow
def test_the_same_page_works_in_a_frame_without_a_origin_as_notebooks_use(page: Any, tmp_path: Path) -> None:
    made = nb.label_gallery(PHOTOS, ["good", "bad"], progress=False)
    frame = tmp_path / "frame.html"
    frame.write_text(
        f'<iframe sandbox="allow-scripts allow-downloads" width=900 height=700 srcdoc="{escaped(made.page())}"></iframe>'
    )
    page.goto(f"file://{frame}")
    inside = page.frame_locator("iframe")
    inside.locator("figure").nth(0).get_by_role("button", name="bad").click()
    with page.expect_download() as download:
        inside.get_by_text("Download CSV").click()
    assert nb.read_labels(download.value.path(), as_="arrow").to_pylist() == [{"uri": str(PHOTOS[0]), "label": "bad"}]


@pytest.mark.slow
def test_the_widget_tells_python_of_each_pick(page: Any, tmp_path: Path) -> None:
    """The widget's own module and state, in a browser, with a model that does what a notebook's does."""
    made = nb.label_gallery(PHOTOS, ["good", "bad"], live=True, progress=False)
    widget = made.widget()
    state = {"data": widget.data, "chosen": widget.chosen}
    module = json.dumps(str(widget._esm)).replace("<", "\\u003c")
    page.set_content(
        f"""<div id="el"></div><script type="module">
        const state = {json.dumps(state)}; window.saved = [];
        const model = {{ get: (k) => state[k], set: (k, v) => {{ state[k] = v; }},
                         save_changes: () => window.saved.push(state.chosen) }};
        const url = URL.createObjectURL(new Blob([{module}], {{ type: "text/javascript" }}));
        (await import(url)).default.render({{ model, el: document.getElementById("el") }});
        window.ready = true;
        </script>"""
    )
    page.wait_for_function("window.ready")
    pick(page)
    for chosen in page.evaluate("window.saved"):
        widget.set_state({"chosen": chosen})
    assert made.table("arrow").to_pylist() == [
        {"uri": str(PHOTOS[1]), "label": "bad"},
        {"uri": str(PHOTOS[2]), "label": "good"},
    ]
    assert made._repr_mimebundle_() is not None


def test_labels_must_be_choices_and_a_file_must_hold_labels(tmp_path: Path) -> None:
    tiles = nb.gallery(PHOTOS, progress=False).tiles
    with pytest.raises(ValueError, match="not in choices: ugly"):
        start_labels(tiles, ["good"], {str(PHOTOS[0]): "ugly"}, 100, False)
    with pytest.raises(ValueError, match="each only once"):
        start_labels(tiles, ["good", "good"], None, 100, False)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(StorageError, match="contains no labels"):
        nb.read_labels(tmp_path / "other.csv")


def escaped(text: str) -> str:
    """Text for an attribute of HTML."""
    return text.replace("&", "&amp;").replace('"', "&quot;")
