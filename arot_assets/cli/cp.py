"""`arot cp`: copy objects between any two schemes."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resources.storage import Storage
    from resources.storage.objects import SyncResult


@click.command(name="cp", short_help="copy objects between any two schemes")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.argument("target")
@click.option("-r", "--recursive", is_flag=True, help="copy everything below SOURCE to TARGET")
@click.option("-j", "--jobs", default=16, show_default=True, type=click.IntRange(1), help="objects copied concurrently")
def command(sources: tuple[str, ...], target: str, recursive: bool, jobs: int) -> None:
    """Copy each SOURCE to TARGET. Copies within S3 are made by the server; an object arrives complete or not at all.

    TARGET is a folder if it ends with / or is one; several sources require a folder. With -r, everything below SOURCE is
    copied to TARGET under the same relative names; objects that are already there and identical are not copied again. The
    exit status is 1 if anything could not be copied; everything else is in place.

    \b
    Examples:
      arot cp s3://bucket/a.jpg .
      arot cp *.jpg s3://bucket/cats/
      arot cp -r s3://bucket/cats ~/cats
      arot cp https://example.org/a.jpg s3://bucket/a.jpg
    """
    from arot_assets.cli.bars import reporter
    from resources.defaults import default_resources
    from resources.storage.copying import CopyTargetError, copy_all, copy_targets

    storage = default_resources().storage
    if recursive:
        if len(sources) != 1:
            raise click.UsageError("-r takes one SOURCE, because two folders may contain the same names")
        run_sync(storage, "copying", sources[0], target, jobs=jobs)
        return
    try:
        places = copy_targets(storage, sources, target)
    except CopyTargetError as error:
        raise click.UsageError(str(error)) from error
    if len(places) == 1:
        storage.copy(*next(iter(places.items())))  # one error is one line
    else:
        with reporter()("copying", len(places)) as advance:
            lost = copy_all(storage, places, jobs, advance)
        report_failures(lost)
    click.echo(f"{len(places):,} copied")


def run_sync(
    storage: "Storage",
    title: str,
    source: str,
    target: str,
    *,
    exts: set[str] | None = None,
    delete: bool = False,
    jobs: int = 16,
    dry_run: bool = False,
) -> "SyncResult":
    """``Storage.sync`` with a progress bar, a line that says what was done, and an exit status that tells the truth."""
    from arot_assets.cli.bars import reporter

    if dry_run:
        result = storage.sync(
            source, target, exts=exts, delete=delete, dry_run=lambda *what: click.echo(" ".join(what))
        )
        would = f"dry run: {result.copied:,} to copy ({result.bytes:,} bytes), {result.unchanged:,} unchanged"
        click.echo(would + (f", {result.deleted:,} to delete" if delete else ""))
        report_failures(result.failed)
        return result
    with reporter()(title, None) as advance:
        result = storage.sync(source, target, exts=exts, delete=delete, threads=jobs, on_progress=advance)
    done = f"{result.copied:,} copied ({result.bytes:,} bytes), {result.unchanged:,} unchanged"
    click.echo(done + (f", {result.deleted:,} deleted" if delete else ""))
    report_failures(result.failed)
    return result


def report_failures(failed: "Sequence[tuple[str, str]]") -> None:
    """Report what failed.

    Raises:
        click.ClickException: there is any.
    """
    for uri, reason in failed:
        click.echo(f"{uri}: {reason}", err=True)
    if failed:
        raise click.ClickException(f"{len(failed):,} failed; run the command again, what is done is kept")
