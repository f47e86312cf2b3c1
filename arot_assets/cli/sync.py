"""`arot sync`: make a folder like another one, on any two schemes."""

import click


@click.command(name="sync", short_help="make a folder like another one")
@click.argument("source")
@click.argument("target")
@click.option("--delete", is_flag=True, help="delete what is below TARGET and not below SOURCE")
@click.option("-e", "--ext", "exts", multiple=True, help="only this extension, in any case; may be repeated")
@click.option("-j", "--jobs", default=16, show_default=True, type=click.IntRange(1), help="objects under way at a time")
@click.option("-n", "--dry-run", is_flag=True, help="say what would be copied and deleted, and do nothing")
def command(source: str, target: str, delete: bool, exts: tuple[str, ...], jobs: int, dry_run: bool) -> None:
    """Copy what is new or other below SOURCE to below TARGET; what is the same stays.

    An object arrives whole or not at all. Killed half way, the same command goes on where it was. Exit status 1 if
    anything could not be copied; it is named, and all else is in place.

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
