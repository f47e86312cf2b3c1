"""`arot status`: what is current and what is missing, failed rows by reason."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from arot_assets.steps import Graph, Look, State

REASONS_SHOWN = 10
DAMAGED = "damaged"


@click.command(name="status", short_help="what is current and what is missing; failed rows by reason")
@click.argument("dataset", required=False)
def command(dataset: str | None) -> None:
    """Show what is done and what is missing, for DATASET and everything built from it, or for all datasets.

    The checks are the same as in `arot run`, except that sources are not listed. It reads footers and few rows, so it
    is fast even with millions of rows. With a DATASET, failed rows are listed by reason. Runs that are under way, of the
    UI too, are told with how far they are.
    """
    from rich.console import Console

    from arot_assets.cli.under_way import runs_under_way
    from arot_assets.declarations import DeclarationError, load_declarations
    from arot_assets.graph import project_graph
    from arot_assets.leftovers import leftover_datasets, leftover_metrics, leftover_rows
    from arot_assets.project import sql_folder
    from arot_assets.status import failures_by_reason
    from arot_assets.steps import Look
    from arot_assets.subsets.leftovers import leftover_models
    from arot_assets.subsets.load import load_project
    from resources.defaults import default_resources
    from resources.tables import ModelRef

    declared = load_declarations()
    declared.check_metrics()
    project = load_project(sql_folder())
    declared.check_subsets(project.subsets, project.broken)
    resources = default_resources()
    console = Console(width=max(Console().width, 110))
    graph = project_graph(declared, project)
    names = [declared.dataset(dataset).name] if dataset else list(declared.datasets)
    if not names and not declared.faults:
        click.echo("no dataset is declared; `arot new image-dataset NAME SOURCE` declares one")
    with Look(resources) as look:
        for name in names:
            _show_dataset(console, graph, look, name)
        asked = graph.of_dataset(dataset) if dataset else graph
        _show_others(console, asked, look, set(declared.datasets))
        faults = dict.fromkeys(fault for step in asked if not step.by_hand and (fault := look.of(step).fault))
        for step in graph if dataset else ():
            if step.dataset == dataset and not look.of(step).fault:
                for reason, rows in failures_by_reason(look, dataset, step.table)[:REASONS_SHOWN]:
                    console.print(f"  {step.table}: {rows:,} x {reason}", markup=False, highlight=False, soft_wrap=True)
    for line in runs_under_way({key for step in asked for key in step.keys}):
        click.echo(line)
    for name in leftover_models(project, resources.tables):
        click.echo(
            f"models/{name}.parquet belongs to a SQL model that is no longer declared; `arot run` removes it if it was built "
            f"here, `arot rm {resources.tables.uri(ModelRef(name))}` in any case"
        )
    for name in leftover_datasets(declared, resources.tables):
        folder = resources.tables.dataset_folder(name)
        click.echo(
            f"{folder} contains the tables of dataset '{name}', which is no longer declared; `arot rm -r {folder}` removes them"
        )
    for name, folder in leftover_rows(declared, resources.tables):
        click.echo(
            f"{folder} contains finished rows of unfinished shards of dataset '{name}', which is no longer declared; "
            f"`arot rm -r {folder}` removes them, unless the dataset is declared again"
        )
    for ref in leftover_metrics(declared, resources.tables):
        folder = resources.tables.folder(ref)
        click.echo(f"{folder} belongs to a metric that '{ref.dataset}' no longer has; `arot rm -r {folder}` removes it")
    if faults:
        raise click.ClickException("\n".join(faults))
    if dataset:
        declared.require_whole(dataset)
        project.require_whole()
    lines = dict.fromkeys([*declared.problems(), *project.problems()])
    if lines and not dataset:
        raise DeclarationError("\n".join(f"left out: {line}" for line in lines))


def _show_dataset(console: "Console", graph: "Graph", look: "Look", dataset: str) -> None:
    """The tables of one dataset, shard by shard."""
    from rich.table import Table

    own = [(step, look.of(step)) for step in graph if step.keys[0][0] == dataset]
    counts = [f"{number:,} {what}" for _, state in own for what, number in state.counts.items()]
    title = f"{dataset}: {', '.join(counts) or 'no inventory yet'}"
    shown = Table("table", "shards done", "missing", "rows", "failed", title=title, title_justify="left")
    for step, state in own:
        if step.dataset:
            name = ", ".join(key[-1] for key in step.keys)
            if state.fault:
                shown.add_row(name, DAMAGED, "", "", "")
                continue
            done = f"{len(state.shards) - len(state.missing)} of {len(state.shards)}"
            done += f"; waits for {', '.join(state.waits)}" if state.waits else ""
            rows = f"{state.rows:,}" + (f" ({step.table})" if len(step.keys) > 1 else "")
            shown.add_row(name, done, str(len(state.missing)), rows, f"{state.failed:,}")
    console.print(shown)
    if any(not state.current for _, state in own):
        click.echo(f"`arot run {dataset}` does the missing work")


def _show_others(console: "Console", graph: "Graph", look: "Look", datasets: set[str]) -> None:
    """What is built from the tables of datasets, without shards."""
    from rich.table import Table

    shown = Table("built from them", "state", "rows")
    for step in graph:
        if step.keys[0][0] not in datasets and not step.by_hand:
            state = look.of(step)
            shown.add_row(step.name, _in_words(state), f"{state.rows:,}" if state.rows else "")
    if shown.rows:
        console.print(shown)


def _in_words(state: "State") -> str:
    if state.fault:
        return DAMAGED
    if state.waits:
        return f"waits for {', '.join(state.waits)}"
    if state.note:
        return f"to be built: {state.note}"
    return "current" if state.current else "to be built"
