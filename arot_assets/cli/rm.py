"""`arot rm`: delete objects, on any scheme."""

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from resources.storage import Storage

JOBS = 16


@click.command(name="rm", short_help="delete objects on any scheme")
@click.argument("uris", nargs=-1, required=True, metavar="URI...")
@click.option("-r", "--recursive", is_flag=True, help="delete folders with everything below them")
@click.option("-y", "--yes", is_flag=True, help="do not ask")
def command(uris: tuple[str, ...], recursive: bool, yes: bool) -> None:
    """Delete each URI. Asks first if that is more than one object.

    The exit status is 1 if something does not exist or could not be deleted.

    \b
    Examples:
      arot rm s3://bucket/a.jpg
      arot rm -r s3://bucket/old
      arot rm -r --yes /tmp/scratch
    """
    from arot_assets.cli.cp import report_failures
    from resources.defaults import default_resources
    from resources.storage.objects import is_local, local_path

    storage = default_resources().storage
    links = [uri for uri in uris if is_local(uri) and os.path.islink(local_path(uri))]
    folders = [uri for uri in uris if uri not in links and storage.is_folder(uri)]
    if folders and not recursive:
        raise click.UsageError(f"'{folders[0]}' is a folder; delete it with -r")
    found: dict[str, int] = {}
    for uri in uris:
        if uri in links:  # the link is deleted, its target is not
            found[local_path(uri)] = 0
        elif uri in folders:
            _refuse_home(uri)
            found.update((info.uri, info.size) for info in storage.ls(uri))
        else:
            info = storage.stat(uri)
            found[info.uri] = info.size
    if len(found) > 1 and not yes:
        _ask(f"Delete {len(found):,} objects, {sum(found.values()):,} bytes, at {', '.join(uris)}?")
    report_failures(_delete(storage, list(found)))
    for uri in folders:
        _remove_empty(uri)
    click.echo(f"{len(found):,} deleted")


def _ask(question: str) -> None:
    if not sys.stdin.isatty():
        raise click.ClickException(f"{question} There is no terminal to answer on: pass --yes")
    click.confirm(question, abort=True)


def _delete(storage: "Storage", uris: list[str]) -> list[tuple[str, str]]:
    """Delete; returns what could not be deleted, with the reason."""
    from arot_assets.cli.bars import reporter
    from resources.notebook.results import load_many

    if len(uris) == 1:
        storage.delete(uris[0])
        return []
    with reporter()("deleting", len(uris)) as advance:
        results = load_many(uris, storage.delete, workers=JOBS, retries=0, progress=advance)
    return [(r.uri, r.error.reason) for r in results if r.error is not None]


def _refuse_home(uri: str) -> None:
    from resources.storage.objects import is_local, local_path

    if is_local(uri) and Path(local_path(uri)) in (Path("/"), Path.home(), *Path.home().parents):
        raise click.ClickException(f"'{uri}' is not deleted: it contains your home folder or the whole disk")


def _remove_empty(uri: str) -> None:
    """Remove the remaining folders of a local folder, including links in them, but not their targets."""
    from resources.storage.objects import explain, is_local, local_path

    if not is_local(uri):
        return
    path = local_path(uri)
    try:
        shutil.rmtree(path)
    except OSError as error:
        raise explain(uri, "delete", error) from error
