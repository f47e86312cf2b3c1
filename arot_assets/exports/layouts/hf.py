"""The layout ``hf``: ``metadata.jsonl`` beside the media, as the ``datasets`` library, diffusers and the Hub read it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from arot_assets.exports.companions import ROLES, companion_folder
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.layouts.data_files import write_data_files
from arot_assets.exports.layouts.jsonl import read_lines, write_lines
from arot_assets.exports.layouts.layout import LoadedSample, Sample, entry
from arot_assets.exports.tree import Tree

METADATA = "metadata.jsonl"
FILE_NAME = "_file_name"


def write(folder: Path, root: str, samples: Mapping[str, Sequence[Sample]], declaration: ExportDeclaration) -> None:
    """See ``Layout``; the caption is ``text`` for diffusers and ``caption`` for finetrainers."""
    rows = (
        {"file_name": s.path, "text": s.caption, "caption": s.caption, **_named(s), **s.values}
        for some in samples.values()
        for s in some
    )
    write_lines(folder / METADATA, rows)
    beside = [companion_folder(role, part) for role in declaration.companions for part in samples]
    write_data_files(folder, [METADATA, *(f"{part}/**" for part in (*samples, *beside))])


def entries(tree: Tree, folders: Sequence[str]) -> Iterator[LoadedSample]:
    """See ``Layout``."""
    for row in read_lines(tree.folder / METADATA):
        companions: dict[str, str] = {role: row[role + FILE_NAME] for role in ROLES if row.get(role + FILE_NAME)}
        yield entry(tree, row["file_name"], row.get("text"), companions)


def _named(sample: Sample) -> dict[str, str]:
    """Columns that the library takes for files: ``mask_file_name`` becomes the picture ``mask``."""
    return {role + FILE_NAME: path for role, path in sample.companions.items()}
