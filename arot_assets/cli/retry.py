"""`arot retry`: failed rows only."""

import click


@click.command(name="retry", short_help="compute failed rows again")
@click.argument("dataset")
@click.option("--reason", default="", help="only rows whose status or reason contains this text, e.g. unreadable")
def command(dataset: str, reason: str) -> None:
    """Compute the failed rows of DATASET again: objects that could not be read, measurements that failed.

    All other rows are kept. `arot status DATASET` shows the reasons.

    \b
    Examples:
      arot retry demo
      arot retry demo --reason "changed since"
    """
    from arot_assets.cli.bars import showing
    from arot_assets.cli.session import open_work
    from arot_assets.steps import Look

    with open_work(dataset) as work, showing():
        work.declared.dataset(dataset)
        graph = work.graph.of_dataset(dataset)
        with Look(work.resources) as look:
            before = sum(look.of(step).failed for step in graph if step.dataset == dataset)
        states = work.walk(graph, retry=reason, sources=False)
        after = sum(states[step.keys[0]].failed for step in graph if step.dataset == dataset)
    click.echo(f"{dataset}: {before:,} failed rows before, {after:,} now")
    work.raise_failures()
    work.declared.require_whole(dataset)
    work.project.require_whole()
