"""`arot sync`: make one folder match another, on any two schemes."""

import click


@click.command(name="sync", short_help="make one folder match another")
@click.argument("source")
@click.argument("target")
@click.option("--delete", is_flag=True, help="delete objects below TARGET that are not below SOURCE")
@click.option("-e", "--ext", "exts", multiple=True, help="only this extension, ignoring case; may be repeated")
@click.option("-j", "--jobs", default=16, show_default=True, type=click.IntRange(1), help="objects copied concurrently")
@click.option("-n", "--dry-run", is_flag=True, help="show what would be copied and deleted, without doing it")
def command(source: str, target: str, delete: bool, exts: tuple[str, ...], jobs: int, dry_run: bool) -> None:
    """Copy new and changed objects from SOURCE to TARGET; identical ones are left alone.

    An object arrives complete or not at all. If the command is killed half way, the same command continues where it stopped. The
    exit status is 1 if anything could not be copied; it is named, and everything else is in place.

    \b
    Examples:
      arot sync ~/pictures s3://bucket/pictures
      arot sync --delete --dry-run s3://bucket/cats s3://other/cats
      arot sync --delete s3://bucket/cats s3://other/cats
      arot sync -e jpg -e png hf://datasets/owner/repo ~/repo
    """
    from arot_assets.cli.cp import run_sync
    from resources.defaults import default_resources

    if delete and exts:
        raise click.UsageError("--delete with --ext would delete all other extensions; use one of them")
    wanted = {"." + e.lower().lstrip(".") for e in exts} or None
    storage = default_resources().storage
    run_sync(storage, "syncing", source, target, exts=wanted, delete=delete, jobs=jobs, dry_run=dry_run)
