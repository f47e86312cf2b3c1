"""The layout ``diffusion_pipe_json``: ``captions.json`` among the media instead of a text file for each."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.layouts.layout import CompanionFolders, LoadedSample, Sample, entry
from arot_assets.exports.tree import Tree

CAPTIONS = "captions.json"


def write(folder: Path, root: str, samples: Mapping[str, Sequence[Sample]], declaration: ExportDeclaration) -> None:
    """See ``Layout``."""
    for part, some in samples.items():
        text = json.dumps({s.file: [s.caption] for s in some}, ensure_ascii=False, indent=0)
        (folder / part / CAPTIONS).write_text(text, encoding="utf-8")


def entries(tree: Tree, folders: Sequence[str]) -> Iterator[LoadedSample]:
    """See ``Layout``: every file counts as media, those without a caption too."""
    for part in folders:
        path = tree.folder / part / CAPTIONS
        captions = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        there = set(tree.names(part, every=True)) - {CAPTIONS}
        beside = CompanionFolders(tree, part)
        for name in sorted(there | set(captions)):
            found = captions.get(name)
            yield entry(tree, f"{part}/{name}", found[0] if found else None, beside.of(name))
