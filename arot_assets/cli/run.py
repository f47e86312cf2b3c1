"""`arot run`: all missing work of a dataset, and only that."""

import time

import click


@click.command(name="run", short_help="all missing work, and only that")
@click.argument("dataset")
@click.option("--metrics", help="only these metric tables, comma-separated; classifiers and SQL models are skipped")
def command(dataset: str, metrics: str | None) -> None:
    """Bring DATASET up to date: inventory, samples, metrics, classifiers, SQL models.

    Only what is missing is computed: new and changed files, new metrics and versions, new labels, changed SQL. Each step is
    a Dagster run that `arot ui` shows. You can stop it at any time and start it again: finished work is kept.

    \b
    Examples:
      arot run demo
      arot run demo --metrics cv2,phash
    """
    from arot_assets.cli.bars import showing
    from arot_assets.cli.session import open_work
    from arot_assets.datasets.steps import inventory_path

    started = time.monotonic()
    with open_work(dataset) as work, showing():
        declared = work.declared.dataset(dataset)
        wanted = [m.strip() for m in metrics.split(",")] if metrics else None
        for name in wanted or ():
            there = (*declared.metrics, *declared.scored_by)
            if name not in there:
                raise click.ClickException(f"'{name}' is not a metric of '{dataset}'; declared: {', '.join(there)}")
        states = work.bring_up_to_date(dataset, wanted)
    awaited = [f"{'/'.join(key)} waits for {', '.join(state.waits)}" for key, state in states.items() if state.waits]
    if wanted:  # what was asked for by name
        work.failures += awaited
    for line in work.done:
        click.echo(f"  {line}")
    for line in work.totals:
        click.echo(f"  {line}")
    for text in [step.shown(work.resources) for step in work.made if step.shown]:
        click.echo(f"\n{text}")
    seconds = time.monotonic() - started
    if work.failures:
        click.echo(f"{dataset}: not everything could be built ({seconds:.1f} s)")
    elif work.done:
        click.echo(f"{dataset}: up to date ({seconds:.1f} s)")
    else:
        objects = states[inventory_path(dataset)].counts.get("present", 0)
        click.echo(f"{dataset}: nothing to do, all {objects:,} objects at the source are up to date ({seconds:.1f} s)")
    for line in awaited if not wanted else ():
        click.echo(f"  {line}")
    tables = {step.keys[0]: step.table for step in work.graph}
    owners = {step.keys[0]: step.dataset for step in work.graph}
    for key, state in states.items():
        name = tables.get(key, key[-1])
        for column, values in state.outside.items():
            click.echo(f"  {values:,} values of {name}.{column} are outside its declared range")
        if state.failed:
            lost = f", {state.lost:,} of which had a value from an earlier version" if state.lost else ""
            owner = owners.get(key) or dataset  # it may be another one, which this is made from
            of = name if owner == dataset else f"{owner}.{name}"
            click.echo(
                f"  {state.failed:,} of {state.rows:,} rows of {of} failed{lost}; `arot status {owner}` says why"
            )
    work.raise_failures()
    work.declared.require_whole(dataset)
    if not wanted:
        work.project.require_whole()
