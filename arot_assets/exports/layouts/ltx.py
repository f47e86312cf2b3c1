"""The layout ``ltx``: ``dataset.jsonl`` beside the clips, for LTX-2's trainer."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.layouts.jsonl import read_lines, write_lines
from arot_assets.exports.layouts.layout import LoadedSample, Sample, entry
from arot_assets.exports.tree import Tree

DATASET = "dataset.jsonl"
KEYS = {"mask": "video_mask", "control": "reference_video"}


def write(folder: Path, root: str, samples: Mapping[str, Sequence[Sample]], declaration: ExportDeclaration) -> None:
    """See ``Layout``; all rows have the same keys, because only those of the first count."""
    rows = (
        {"caption": s.caption, "video": s.path, **{KEYS[role]: path for role, path in s.companions.items()}}
        for some in samples.values()
        for s in some
    )
    write_lines(folder / DATASET, rows)


def entries(tree: Tree, folders: Sequence[str]) -> Iterator[LoadedSample]:
    """See ``Layout``."""
    for row in read_lines(tree.folder / DATASET):
        companions = {role: row[key] for role, key in KEYS.items() if row.get(key)}
        yield entry(tree, row["video"], row.get("caption"), companions)
