"""The layout ``kohya_jsonl``: one JSON Lines file for each part, for large sets of sd-scripts' fine-tuning."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.layouts.jsonl import read_lines, write_lines
from arot_assets.exports.layouts.layout import LoadedSample, Sample, entry
from arot_assets.exports.tree import Tree


def write(folder: Path, root: str, samples: Mapping[str, Sequence[Sample]], declaration: ExportDeclaration) -> None:
    """See ``Layout``; with the size in the file, the trainer opens no picture to find it."""
    for part, some in samples.items():
        rows = (
            {"image_path": f"{root}/{s.path}", "caption": s.caption, "image_size": [s.width, s.height]} for s in some
        )
        write_lines(folder / f"{part}.jsonl", rows)


def entries(tree: Tree, folders: Sequence[str]) -> Iterator[LoadedSample]:
    """See ``Layout``."""
    for part in folders:
        for row in read_lines(tree.folder / f"{part}.jsonl"):
            yield entry(tree, f"{part}/{row['image_path'].rpartition('/')[2]}", row.get("caption"))
