"""`arot peek`: what a file is, how much is in it, and its beginning."""

import click


@click.command(name="peek", short_help="show what a file contains, without fetching all of it")
@click.argument("uris", nargs=-1, required=True, metavar="URI...")
@click.option("-n", "--rows", default=3, show_default=True, type=click.IntRange(0), help="rows or elements to show")
@click.option("-e", "--ext", help="treat it as a file of this kind, whatever its name")
def command(uris: tuple[str, ...], rows: int, ext: str | None) -> None:
    """Show what each URI is: the columns and types of a table, the size of an image, the shape of an array, the
    first rows or lines.

    Of Parquet files and long text files, only what is needed is fetched.

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
