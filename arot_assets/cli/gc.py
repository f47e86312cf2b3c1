"""`arot gc`: what lies in the store and nothing refers to; removes it only when told to."""

import click


@click.command(name="gc", short_help="list what nothing in the store refers to, and remove it with --delete")
@click.option("--delete", is_flag=True, help="remove it; without this nothing is changed")
@click.option("-y", "--yes", is_flag=True, help="do not ask before removing")
def command(delete: bool, yes: bool) -> None:
    """List what lies in the store and nothing refers to, with its size.

    That is: tables of datasets, metrics, captioners and SQL models that are no longer declared, shards that no inventory has,
    trained models that never scored and are not the last, and reservations that a killed run did not give back. Temporary folders
    that this machine cannot judge, because another one made them on a disk that both use, are listed too, and never removed.

    Several projects may share a store: what another one declares is listed here too, so read the list first; what this one's SQL
    reads is not. A declaration that cannot be read may be anybody's: while there is one, nothing counts as not declared. What a
    run is making is left alone. Ratings, models that were promoted once, and the records of exports are never removed.

    \b
    Examples:
      arot gc                 only look
      arot gc --delete        remove what is listed, after a question
    """
    from arot_assets.cli.cp import report_failures
    from arot_assets.cli.session import open_work
    from arot_assets.declarations import load_declarations
    from arot_assets.garbage import find_garbage, remove_garbage, still_garbage, undecided
    from arot_assets.project import sql_folder
    from arot_assets.subsets.load import load_project
    from resources.scratch import left

    for theirs in left():
        why = f"temporary files of {theirs.owner}; `rm -r` them when that machine is gone"
        click.echo(f"{theirs.bytes:>16,} bytes  {theirs.files:>7,} files  {theirs.path}: {why}")
    with open_work() as work:
        found = find_garbage(work.declared, work.project, work.resources)
        for line in undecided(work.declared, work.project):
            click.secho(line, fg="yellow")
        for one in found:
            click.echo(f"{one.bytes:>16,} bytes  {len(one.objects):>7,} files  {one.uri}: {one.why}")
        total = sum(one.bytes for one in found)
        if not found:
            click.echo("nothing to remove: something refers to everything in the store, as far as can be told")
            return
        if not delete:
            click.echo(f"{total:,} bytes in {len(found):,} places; `arot gc --delete` removes them")
            return
        if not yes:
            click.confirm(f"remove these {total:,} bytes for ever?", abort=True)
        declared = load_declarations()
        declared.check_metrics()
        now = find_garbage(declared, load_project(sql_folder()), work.resources)
        agreed, found = len(found), still_garbage(found, now)
        if len(found) < agreed:
            click.secho(f"{agreed - len(found):,} of these places are in use by now, and kept", fg="yellow")
        total = sum(one.bytes for one in found)
        failed = remove_garbage(work.resources.storage, found)
        work.resources.warehouse.refresh()
    report_failures([(uri, error.reason) for uri, error in failed])
    click.echo(f"{total:,} bytes removed")
