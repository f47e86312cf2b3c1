"""What a command that works needs: declarations, resources, the Dagster instance, opened once and closed again."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import click

from arot_assets.cli.launch import close_killed_runs, open_instance
from arot_assets.cli.work import Work
from arot_assets.declarations import DeclarationError, Declarations, load_declarations
from arot_assets.metrics.registry import get_metric
from arot_assets.subsets.load import load_project
from resources.defaults import default_resources
from resources.tables import PROJECT_ROOT

LEFTOVER_SECONDS = 3600.0
"""Half-written files older than this belong to a process that was killed."""


@contextmanager
def open_work() -> Iterator[Work]:
    """Everything that ``Work`` needs.

    Raises:
        DeclarationError, ProjectError: a declaration, a metric's file or a SQL model is wrong.
    """
    declared = load_declarations()
    check_metrics(declared)
    project = load_project(PROJECT_ROOT / "dbt_like_sql")

    @cache
    def definitions():  # type: ignore[no-untyped-def]
        from arot_assets.definitions import build_definitions

        return build_definitions()

    resources = default_resources()
    resources.storage.remove_leftovers(resources.tables.root, LEFTOVER_SECONDS)
    with open_instance() as instance:
        for run_id in close_killed_runs(instance):
            click.echo(f"run {run_id} was killed before it ended; its work is taken up again", err=True)
        yield Work(declared, resources, project, instance, definitions, click.echo)


def check_metrics(declared: Declarations) -> None:
    """Import the file of every declared metric, so that a slip in one is one error instead of a loader's traceback.

    Raises:
        DeclarationError: a file cannot be imported, or declares no metric of its name; tells file, line and cause.
    """
    for name in sorted({name for dataset in declared.datasets.values() for name in dataset.metrics}):
        try:
            get_metric(name)
        except Exception as error:
            place = _place(error)
            raise DeclarationError(
                f"{place}metric '{name}' cannot be loaded: {type(error).__name__}: {error}"
            ) from error


def _place(error: Exception) -> str:
    """``file:line: `` in the catalogue where loading a metric failed; empty when it did not fail inside a file."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: "
    inside = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).parent.name == "catalogue"]
    return f"{inside[-1].filename}:{inside[-1].lineno}: " if inside else ""
