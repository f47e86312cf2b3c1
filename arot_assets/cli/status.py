"""`arot status`: shards and tables, done, missing, failed by reason."""

import click

REASONS_SHOWN = 10


@click.command(name="status", short_help="shards and tables: done, missing, failed by reason")
@click.argument("dataset", required=False)
def command(dataset: str | None) -> None:
    """What is done and what is missing, of DATASET or of all datasets.

    Reads footers only, so it is quick on millions of rows. Failed rows are listed by reason when a DATASET is named.
    """
    from rich.console import Console
    from rich.table import Table

    from arot_assets.declarations import DeclarationError, load_declarations
    from arot_assets.leftovers import leftover_datasets, leftover_metrics
    from arot_assets.project import sql_folder
    from arot_assets.status import dataset_status, failures_by_reason
    from arot_assets.subsets.leftovers import leftover_models
    from arot_assets.subsets.load import load_project
    from resources.defaults import default_resources
    from resources.tables import ModelRef

    declared = load_declarations()
    declared.check_metrics()
    resources = default_resources()
    console = Console(width=max(Console().width, 110))
    names = [dataset] if dataset else list(declared.datasets)
    if not names and not declared.faults:
        click.echo("no dataset is declared; `arot new image-dataset NAME SOURCE` declares one")
    for name in names:
        status = dataset_status(resources, declared.dataset(name), declared.classifiers)
        objects = ", ".join(f"{count:,} {state}" for state, count in status.objects.items()) or "no inventory yet"
        shown = Table(
            "table", "shards done", "missing", "rows", "failed", title=f"{name}: {objects}", title_justify="left"
        )
        for table in status.tables.values():
            total = len(status.shards)
            shown.add_row(
                table.name, f"{table.done} of {total}", str(len(table.missing)), f"{table.rows:,}", f"{table.failed:,}"
            )
        console.print(shown)
        if dataset:
            for table in status.tables.values():
                if table.failed:
                    for reason, rows in failures_by_reason(resources, name, table.name)[:REASONS_SHOWN]:
                        console.print(f"  {table.name}: {rows:,} x {reason}", markup=False, highlight=False)
        if not status.objects or any(t.missing for t in status.tables.values()):
            click.echo(f"`arot run {name}` does the missing work")
    for name in leftover_models(load_project(sql_folder()), resources.tables):
        click.echo(
            f"models/{name}.parquet is of a SQL model that is declared no more; `arot run` removes it if it was built here, "
            f"`arot rm {resources.tables.uri(ModelRef(name))}` in any case"
        )
    for name in leftover_datasets(declared, resources.tables):
        folder = resources.tables.dataset_folder(name)
        click.echo(
            f"{folder} has the tables of dataset '{name}', which is no longer declared; `arot rm -r {folder}` removes them"
        )
    for ref in leftover_metrics(declared, resources.tables):
        folder = resources.tables.folder(ref)
        click.echo(f"{folder} is a metric that '{ref.dataset}' no longer keeps; `arot rm -r {folder}` removes it")
    if dataset:
        declared.require_whole(dataset)
    elif declared.faults:
        raise DeclarationError("\n".join(f"left out: {line}" for line in declared.problems()))
