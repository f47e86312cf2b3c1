"""`arot ls`: the objects below a URI, on any scheme."""

import sys
from datetime import UTC, datetime

import click

FLUSH_LINES = 1000


@click.command(name="ls", short_help="list objects on any scheme")
@click.argument("uris", nargs=-1, required=True, metavar="URI...")
@click.option("-l", "--long", is_flag=True, help="size in bytes and time (UTC) before each name")
@click.option("--here", is_flag=True, help="only the names directly below, including folders")
@click.option("-e", "--ext", "exts", multiple=True, help="only this extension, ignoring case; may be repeated")
@click.option("-s", "--summary", is_flag=True, help="only count objects and bytes")
def command(uris: tuple[str, ...], long: bool, here: bool, exts: tuple[str, ...], summary: bool) -> None:
    """List every object below each URI, recursively, as the listing arrives.

    A URI is a local path, s3://bucket/prefix, hf://datasets/owner/repo, or has any scheme that fsspec knows. A folder is
    not a prefix: `data` does not list `data2/`. The exit status is 1 if a URI does not exist or cannot be listed.

    \b
    Examples:
      arot ls ~/pictures -e jpg -e png
      arot ls -l s3://bucket/cats
      arot ls -s s3://bucket
      arot ls --here s3://bucket
    """
    from resources.defaults import default_resources

    if here and (long or exts or summary):
        raise click.UsageError("--here lists names only; omit -l, -e and -s")
    storage = default_resources().storage
    wanted = {"." + e.lower().lstrip(".") for e in exts} or None
    for uri in uris:
        if here:
            names = sorted(storage.names(uri))
            if not names and not storage.exists(uri):
                storage.stat(uri)  # raises an error that says what is wrong
            for name in names:
                click.echo(name)
            continue
        count = size = 0
        for info in storage.ls(uri, wanted):
            count += 1
            size += info.size
            if not summary:
                sys.stdout.write(_line(info.size, info.mtime, info.uri) if long else f"{info.uri}\n")
                if count % FLUSH_LINES == 0:
                    sys.stdout.flush()
        if summary:
            click.echo(f"{count:,} objects, {size:,} bytes  {uri}")


def _line(size: int, mtime: float, uri: str) -> str:
    time = datetime.fromtimestamp(mtime, UTC).strftime("%Y-%m-%d %H:%M:%S") if mtime else "-" * 19
    return f"{size:>14,}  {time}  {uri}\n"
