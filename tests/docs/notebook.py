"""Runs examples/notebook.ipynb as a person would, cell by cell.

Belongs here: executing the notebook; ``python -m tests.docs.notebook`` does it over the results of ``make demo`` and writes
what came of it into the file. Does not belong here: what must come of it (``test_notebook.py``).
"""

import os
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

REPOSITORY = Path(__file__).parents[2]
NOTEBOOK = REPOSITORY / "examples" / "notebook.ipynb"
LIVE = "application/vnd.jupyter.widget-view+json"
ANYWHERE = "/home/me/arot"
"""Stands in the file for where the project was when it was run."""


def execute(**environment: str) -> Any:
    """The notebook after all its cells have run in a new kernel; an error of a cell is one of ours."""
    notebook: Any = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(
        notebook, timeout=1800, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOK.parent)}}
    )
    client.execute(env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment})
    return notebook


def write(notebook: Any) -> None:
    """Keep it as the example, without what differs from run to run."""
    for cell in notebook.cells:
        cell.metadata = {}
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(LIVE, None)  # shown by a running kernel only; the page beside it stays
    notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.validate(notebook)
    text = nbformat.writes(notebook).replace(str(REPOSITORY), ANYWHERE)
    NOTEBOOK.write_text(text.rstrip("\n") + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(execute())
