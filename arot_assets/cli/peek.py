"""`arot peek`: what a file is, how much is in it, and its beginning."""

import click


@click.command(name="peek", short_help="what a file holds, without fetching it whole")
@click.argument("uris", nargs=-1, required=True, metavar="URI...")
@click.option(
    "-n", "--rows", default=3, show_default=True, type=click.IntRange(0), help="rows or elements that are shown"
)
@click.option("-e", "--ext", help="take it for a file of this kind, whatever its name")
def command(uris: tuple[str, ...], rows: int, ext: str | None) -> None:
    """Show what each URI is: columns and types of a table, size of an image, shape of an array, first rows or lines.

    Of Parquet and of long text files only the beginning is fetched.

    \b
    Examples:
      arot peek s3://bucket/index.parquet
      arot peek -n 10 captions.jsonl
      arot peek -e csv s3://bucket/export
    """
    from resources.defaults import default_resources
    from resources.notebook.calls import peek

    storage = default_resources().storage
    for uri in uris:
        seen = peek(uri, rows, extension=ext, storage=storage)
        click.echo(f"{uri}\n{seen!r}")
