"""What a working command needs: declarations, resources, the Dagster instance, opened once and closed again."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import click

from arot_assets.cli.check_results import checks_of
from arot_assets.cli.home import home_folder
from arot_assets.cli.memory import recall, remember
from arot_assets.cli.problems import tell_problem, tell_problems
from arot_assets.cli.runs import Runs
from arot_assets.cli.work import Work
from arot_assets.declarations import load_declarations
from arot_assets.graph import project_graph
from arot_assets.project import sql_folder
from arot_assets.subsets.load import load_project
from resources.defaults import default_resources
from resources.tables.form import require_form

if TYPE_CHECKING:
    import dagster as dg

LEFTOVER_SECONDS = 3600.0
"""Partially written files older than this belong to a process that was killed."""


@contextmanager
def open_work(dataset: str | None = None) -> Iterator[Work]:
    """Everything that ``Work`` needs. Declarations with a fault are reported and left out.

    Args:
        dataset: the one that was requested.

    Raises:
        DeclarationError: it is not declared, or its declaration has a fault.
        HomeError: Dagster's home cannot be used.
        FormError: a newer version wrote the store.
    """
    declared = load_declarations()
    if dataset is not None:
        declared.dataset(dataset)
    declared.check_metrics()
    project = load_project(sql_folder())
    declared.check_subsets(project.subsets, project.broken)
    tell_problems(declared, project)

    @cache
    def definitions():  # type: ignore[no-untyped-def]
        from arot_assets.definitions import build_definitions

        return build_definitions(tell_problem, (declared, project))

    resources = default_resources()
    require_form(resources.tables)
    resources.storage.remove_leftovers(resources.tables.root, LEFTOVER_SECONDS)
    known = recall(home_folder())
    graph = project_graph(declared, project)
    with Runs(_tidy_instance, definitions, known) as runs:
        if known is None:
            runs.instance  # noqa: B018  # opened now: what was killed is told before all else
        yield Work(declared, resources, project, graph, runs)
    if runs.is_open:
        remember(checks_of(graph))


@contextmanager
def _tidy_instance() -> "Iterator[dg.DagsterInstance]":
    """The instance that the UI shows; killed runs are closed and reported."""
    from arot_assets.cli.launch import close_killed_runs, open_instance

    with open_instance() as instance:
        for run_id in close_killed_runs(instance):
            click.echo(f"run {run_id} was killed before it ended; its work is resumed", err=True)
        yield instance
