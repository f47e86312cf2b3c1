"""`arot init`: create a folder for your own declarations, SQL and metrics."""

from pathlib import Path

import click


@click.command(name="init", short_help="create a project: a folder for your own declarations, SQL and metrics")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def command(folder: Path) -> None:
    """Create a project in FOLDER. Commands that you run in it, or in a folder below it, work on that project.

    \b
    Example:
      arot init pictures && cd pictures
      arot new image-dataset cats ~/cats && arot run cats
    """
    from arot_assets.project import init_project

    for file in init_project(folder):
        click.echo(f"wrote {file}")
    click.echo(f"next: cd {folder}, then `arot new image-dataset NAME SOURCE`")
