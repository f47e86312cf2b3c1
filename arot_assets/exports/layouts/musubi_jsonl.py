"""The layout ``musubi_jsonl``: one JSON Lines file for each part, with absolute paths, for musubi-tuner."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from arot_assets.exports.companions import companion_folder
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.layouts.jsonl import read_lines, write_lines
from arot_assets.exports.layouts.layout import LoadedSample, Sample, entry
from arot_assets.exports.tree import Tree

CONTROL = "control_path"
CONTROLS = ("control", "control_2", "control_3")


def write(folder: Path, root: str, samples: Mapping[str, Sequence[Sample]], declaration: ExportDeclaration) -> None:
    """See ``Layout``; relative paths would be relative to the trainer's working directory."""
    for part, some in samples.items():
        key = "video_path" if part.startswith("video") else "image_path"
        rows = ({key: f"{root}/{s.path}", "caption": s.caption, **_control(root, s)} for s in some)
        write_lines(folder / f"{part}.jsonl", rows)


def entries(tree: Tree, folders: Sequence[str]) -> Iterator[LoadedSample]:
    """See ``Layout``."""
    for part in folders:
        for row in read_lines(tree.folder / f"{part}.jsonl"):
            path = row.get("image_path") or row["video_path"]
            keys = {role: key for role, key in zip(CONTROLS, _keys(len(CONTROLS)), strict=True) if key in row}
            keys |= {"control": CONTROL} if CONTROL in row else {}
            found = {r: f"{companion_folder(r, part)}/{row[key].rpartition('/')[2]}" for r, key in keys.items()}
            yield entry(tree, f"{part}/{path.rpartition('/')[2]}", row.get("caption"), found)


def _control(root: str, sample: Sample) -> dict[str, str]:
    paths = [f"{root}/{sample.companions[role]}" for role in CONTROLS if role in sample.companions]
    return dict(zip(_keys(len(paths)), paths, strict=True))


def _keys(count: int) -> list[str]:
    """One control is that of a picture or a clip; several, of pictures alone, are numbered."""
    return [CONTROL] if count == 1 else [f"{CONTROL}_{n}" for n in range(count)]
