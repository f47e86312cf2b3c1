"""What a command that works needs: declarations, resources, the Dagster instance, opened once and closed again."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import click

from arot_assets.cli.launch import close_killed_runs, open_instance
from arot_assets.cli.metric_files import check_metrics
from arot_assets.cli.work import Work
from arot_assets.declarations import load_declarations
from arot_assets.project import sql_folder
from arot_assets.subsets.load import load_project
from resources.defaults import default_resources

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
    project = load_project(sql_folder())
    declared.check_subsets(project.subsets)

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
