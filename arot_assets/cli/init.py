"""`arot init`: a folder for declarations, SQL and metrics of one's own."""

from pathlib import Path

import click


@click.command(name="init", short_help="make a project: a folder for declarations, SQL and metrics of your own")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def command(folder: Path) -> None:
    """Make FOLDER a project. Commands that are given in it, or in a folder below, work on it.

    \b
    Example:
      arot init pictures && cd pictures
      arot new image-dataset cats ~/cats && arot run cats
    """
    from arot_assets.project import init_project

    for file in init_project(folder):
        click.echo(f"wrote {file}")
    click.echo(f"next: cd {folder}, then `arot new image-dataset NAME SOURCE`")
