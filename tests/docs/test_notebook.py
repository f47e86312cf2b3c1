"""examples/notebook.ipynb does what it shows."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat

from tests.conftest import EXAMPLES, Dataset
from tests.docs.notebook import LIVE, NOTEBOOK, execute


def outputs(cell: Any) -> dict[str, str]:
    """MIME type -> what a cell shows at its end."""
    return dict(cell.outputs[-1].data) if cell.get("outputs") else {}


def test_every_cell_runs_and_shows_what_the_file_shows(make_dataset: Callable[..., Dataset], tmp_path: Path) -> None:
    make_dataset(EXAMPLES / "photo" / "sea", name="demo").run("cv2")
    ran = execute(AROT_STORE=str(tmp_path / "store"))
    kept = nbformat.read(NOTEBOOK, as_version=4)
    for now, before in zip(ran.cells, kept.cells, strict=True):
        if now.cell_type == "code":
            assert set(outputs(now)) - {LIVE} == set(outputs(before)), now.source
            assert all(o.output_type == "execute_result" for o in now.outputs), now.outputs
    shown = [outputs(cell) for cell in ran.cells if outputs(cell)]
    galleries = [s["text/html"] for s in shown if "Gallery" in s["text/plain"]]
    assert len(galleries) == 2 and all("data:image/jpeg;base64," in html for html in galleries)
    assert any(LIVE in s for s in shown), "labels are live in a notebook"
    assert "night" in shown[-1]["text/plain"]


def test_the_file_was_run_in_order_and_tells_nothing_of_the_machine() -> None:
    kept = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(kept)
    counts = [cell.execution_count for cell in kept.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    paths = set(re.findall(r"(?<![\w.])/(?:home|root|work|tmp|Users)/[\w./-]*", NOTEBOOK.read_text()))
    assert all(path.startswith("/home/me/arot") for path in paths), paths
    assert NOTEBOOK.stat().st_size < 200_000
