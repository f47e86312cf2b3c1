"""`arot run`: all missing work of a dataset, and only that."""

import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from arot_assets.cli.work import Work


@click.command(name="run", short_help="all missing work, and only that")
@click.argument("dataset")
@click.option("--metrics", help="only these metric tables, by comma; classifiers and SQL models are left out")
def command(dataset: str, metrics: str | None) -> None:
    """Bring DATASET up to date: inventory, samples, metrics, classifiers, SQL models.

    Only what is missing is computed: new and changed files, new metrics and versions, new labels, changed SQL. Each step is
    a run of the Dagster instance that `arot ui` shows. Stop it at any time and start it again: finished work stays.

    \b
    Examples:
      arot run demo
      arot run demo --metrics cv2,phash
    """
    from arot_assets.cli.bars import reporter
    from arot_assets.cli.session import open_work
    from arot_assets.datasets.steps import inventory_path
    from arot_assets.progress import reporting

    started = time.monotonic()
    with open_work(dataset) as work, reporting(reporter()):
        declared = work.declared.dataset(dataset)
        wanted = [m.strip() for m in metrics.split(",")] if metrics else None
        for name in wanted or ():
            if name not in declared.metrics:
                raise click.ClickException(
                    f"'{name}' is no metric of '{dataset}'; declared: {', '.join(declared.metrics)}"
                )
        states = work.bring_up_to_date(dataset, wanted)
    for line in work.done:
        click.echo(f"  {line}")
    _show_waterfalls(work)
    seconds = time.monotonic() - started
    if not work.done:
        objects = states[inventory_path(dataset)].rows
        click.echo(f"{dataset}: nothing to do, all {objects:,} objects are up to date ({seconds:.1f} s)")
    else:
        click.echo(f"{dataset}: up to date ({seconds:.1f} s)")
    for key, state in states.items():
        name = key[-1]
        for column, values in state.outside.items():
            click.echo(f"  {values:,} values of {name}.{column} are outside the range that it declares")
        if state.failed:
            lost = f", {state.lost:,} of them had a value of an earlier version" if state.lost else ""
            click.echo(
                f"  {state.failed:,} of {state.rows:,} rows of {name} failed{lost}; `arot status {dataset}` says why"
            )
    work.declared.require_whole(dataset)  # at the end: all else is done


def _show_waterfalls(work: "Work") -> None:
    """What each predicate of the subsets that were just built removes."""
    from arot_assets.subsets.runner import load_result

    for name in work.built_models:
        if name not in work.project.subsets:
            continue
        result = load_result(work.project, name, work.resources.tables)
        if result is None:
            continue
        click.echo(f"\n{click.style(name, bold=True)}: {result.rows:,} samples")
        click.echo(result.waterfall.to_text() if result.waterfall else f"no waterfall: {result.waterfall_problem}")
