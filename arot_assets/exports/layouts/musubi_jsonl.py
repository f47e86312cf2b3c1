"""The layout ``musubi_jsonl``: one JSON Lines file for each part, with absolute paths, for musubi-tuner."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from arot_assets.exports.companions import companion_folder
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.layouts.jsonl import read_lines, write_lines
from arot_assets.exports.layouts.layout import LoadedSample, Sample, entry

CONTROL = "control_path"


def write(folder: Path, root: str, samples: Mapping[str, Sequence[Sample]], declaration: ExportDeclaration) -> None:
    """See ``Layout``; relative paths would be relative to the trainer's working directory."""
    for part, some in samples.items():
        key = "video_path" if part.startswith("video") else "image_path"
        rows = ({key: f"{root}/{s.path}", "caption": s.caption, **_control(root, s)} for s in some)
        write_lines(folder / f"{part}.jsonl", rows)


def entries(folder: Path, folders: Sequence[str]) -> Iterator[LoadedSample]:
    """See ``Layout``."""
    for part in folders:
        for row in read_lines(folder / f"{part}.jsonl"):
            path = row.get("image_path") or row["video_path"]
            beside = companion_folder("control", part)
            found = {"control": f"{beside}/{row[CONTROL].rpartition('/')[2]}"} if CONTROL in row else {}
            yield entry(folder, f"{part}/{path.rpartition('/')[2]}", row.get("caption"), found)


def _control(root: str, sample: Sample) -> dict[str, str]:
    return {CONTROL: f"{root}/{sample.companions['control']}"} if "control" in sample.companions else {}
