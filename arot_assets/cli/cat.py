"""`arot cat`: the bytes of objects, on any scheme."""

import sys

import click

PIECE = 8 * 1024 * 1024


@click.command(name="cat", short_help="write objects to the terminal or a pipe")
@click.argument("uris", nargs=-1, required=True, metavar="URI...")
@click.option("--bytes", "span", metavar="START:END", help="only these bytes, END excluded; either may be omitted")
def command(uris: tuple[str, ...], span: str | None) -> None:
    """Write the bytes of each URI to standard output, unchanged, one after the other.

    \b
    Examples:
      arot cat s3://bucket/notes.txt
      arot cat s3://bucket/a.jsonl.gz | zcat | head
      arot cat --bytes 0:100 s3://bucket/big.bin | xxd
    """
    from resources.defaults import default_resources

    start, end = _span(span)
    storage = default_resources().storage
    for uri in uris:
        if span is not None:
            sys.stdout.buffer.write(storage.read_bytes(uri, start, end))
            continue
        with storage.open(uri) as file:
            while piece := file.read(PIECE):
                sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def _span(text: str | None) -> tuple[int, int | None]:
    if text is None:
        return 0, None
    start, colon, end = text.partition(":")
    if not colon or not (start + end).isdigit():
        raise click.UsageError(f"--bytes {text}: expected START:END, such as 0:100, 100: or :100")
    return int(start or 0), int(end) if end else None
