"""`arot retry`: failed rows only."""

import click


@click.command(name="retry", short_help="compute failed rows again")
@click.argument("dataset")
@click.option("--reason", default="", help="only rows whose status or reason contains this text, e.g. unreadable")
def command(dataset: str, reason: str) -> None:
    """Try the failed rows of DATASET again: objects that could not be read, measurements that failed.

    Rows that are fine are kept. `arot status DATASET` shows the reasons.

    \b
    Examples:
      arot retry demo
      arot retry demo --reason "changed since"
    """
    from arot_assets.cli.bars import reporter
    from arot_assets.cli.session import open_work
    from arot_assets.progress import reporting

    with open_work(dataset) as work, reporting(reporter()):
        declared = work.declared.dataset(dataset)
        before = _failed(work.status(declared))
        work.fill_shards(declared, reason)
        work.fill_shards(declared, None)
        work.train_and_score(declared)
        work.build_models()
        after = _failed(work.status(declared))
    click.echo(f"{dataset}: {before:,} failed rows before, {after:,} now")
    work.declared.require_whole(dataset)


def _failed(status) -> int:  # type: ignore[no-untyped-def]
    return sum(table.failed for table in status.tables.values())
