"""The layout ``pairs``: media, and a text file with the caption beside each; seven trainers take it."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.layouts.layout import CompanionFolders, LoadedSample, Sample, entry
from arot_assets.exports.tree import Tree

CAPTION = ".txt"


def write(folder: Path, root: str, samples: Mapping[str, Sequence[Sample]], declaration: ExportDeclaration) -> None:
    """See ``Layout``."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    for some in samples.values():
        for sample in some:
            path = folder / (sample.path.rpartition(".")[0] + CAPTION)
            file = os.open(path, flags, 0o644)
            try:
                os.write(file, sample.caption.encode())
            finally:
                os.close(file)


def entries(tree: Tree, folders: Sequence[str]) -> Iterator[LoadedSample]:
    """See ``Layout``: every file that is no caption counts as media. Folders and hidden files, in which trainers keep what they
    have computed, do not."""
    for one in folders:
        beside = CompanionFolders(tree, one)
        for name in tree.names(one):
            if name.endswith(CAPTION):
                continue
            caption = tree.read(f"{one}/{name.rpartition('.')[0]}{CAPTION}")
            yield entry(tree, f"{one}/{name}", caption, beside.of(name))
