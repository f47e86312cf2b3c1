"""`arot publish`: a subset as a dataset on the Hugging Face Hub."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from arot_assets.exports.publish import Preview


@click.command(name="publish", short_help="publish a subset as a dataset on the Hugging Face Hub")
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="show what would be published; reads no image, writes nothing")
def command(name: str, dry_run: bool) -> None:
    """Publish the export NAME: the rows of its subset, with their images and a dataset card, in one commit.

    exports/NAME/defs.yaml declares the subset, the repository, and whether to write Parquet files or image files. A
    repository that does not exist is created, private. What did not change is not published again, and no image is read for
    it. Images keep their original bytes; if one can no longer be read, nothing is published and the error names it.

    You need a token with write access: set HF_TOKEN, or run `hf auth login`.

    \b
    Examples:
      arot publish clean_photos --dry-run
      arot publish clean_photos
    """
    from arot_assets.cli.bars import showing
    from arot_assets.cli.session import open_work
    from arot_assets.exports.declaration import HubDatasetDeclaration
    from arot_assets.exports.steps import export_path
    from resources.storage.hub.backend import HubBackend
    from resources.storage.hub.commits import require_token

    with open_work() as work, showing():
        declaration = work.declared.get(HubDatasetDeclaration, name)
        if dry_run:
            from arot_assets.exports.publish import preview

            _show(name, preview(declaration, work.project, work.resources))
            return
        require_token(work.resources.storage.using(HubBackend).client, declaration.address)
        facts = work.materialize(export_path(name))
    said = "published:" if facts["changed"] else "nothing to do, already published:"
    click.echo(f"{name}: {facts['dagster/row_count']:,} rows, {said} {facts['commit page']}")
    if facts["left out"]:
        click.echo(f"  {facts['left out']:,} rows left out: their original could not be read")


def _show(name: str, found: "Preview") -> None:
    files = f"{found.files:,} file{'s' if found.files > 1 else ''}"
    click.echo(f"{name}: {found.rows:,} rows, {found.file_bytes:,} bytes of originals, {files}")
    click.echo(f"  columns: {', '.join(found.columns)}")
    click.echo(f"  {found.outcome}")
