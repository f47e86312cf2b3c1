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

    try:
        written = list(init_project(folder))
    except OSError as error:
        raise click.ClickException(
            f"cannot create a project in '{folder}': {error.strerror}; choose a folder that you may write to"
        ) from error
    for file in written:
        click.echo(f"wrote {file}")
    click.echo(f"next: cd {folder}, then `arot new image-dataset NAME SOURCE`")
