"""The layout ``hf``: ``metadata.jsonl`` beside the media, as the ``datasets`` library, diffusers and the Hub read it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.layouts.data_files import write_data_files
from arot_assets.exports.layouts.jsonl import read_lines, write_lines
from arot_assets.exports.layouts.layout import Entry, Sample, entry

METADATA = "metadata.jsonl"


def write(folder: Path, root: str, samples: Mapping[str, Sequence[Sample]], declaration: ExportDeclaration) -> None:
    """See ``Layout``; the caption is ``text`` for diffusers and ``caption`` for finetrainers."""
    rows = (
        {"file_name": s.path, "text": s.caption, "caption": s.caption, **s.values}
        for some in samples.values()
        for s in some
    )
    write_lines(folder / METADATA, rows)
    write_data_files(folder, [METADATA, *(f"{part}/**" for part in samples)])


def entries(folder: Path, folders: Sequence[str]) -> Iterator[Entry]:
    """See ``Layout``."""
    for row in read_lines(folder / METADATA):
        yield entry(folder, row["file_name"], row.get("text"))
