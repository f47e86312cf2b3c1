"""The layout ``musubi_jsonl``: one JSON Lines file for each part, with absolute paths, for musubi-tuner."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.layouts.jsonl import read_lines, write_lines
from arot_assets.exports.layouts.layout import Entry, Sample, entry


def write(folder: Path, root: str, samples: Mapping[str, Sequence[Sample]], declaration: ExportDeclaration) -> None:
    """See ``Layout``; relative paths would be relative to the trainer's working directory."""
    for part, some in samples.items():
        key = "video_path" if part.startswith("video") else "image_path"
        write_lines(folder / f"{part}.jsonl", ({key: f"{root}/{s.path}", "caption": s.caption} for s in some))


def entries(folder: Path, folders: Sequence[str]) -> Iterator[Entry]:
    """See ``Layout``."""
    for part in folders:
        for row in read_lines(folder / f"{part}.jsonl"):
            path = row.get("image_path") or row["video_path"]
            yield entry(folder, f"{part}/{path.rpartition('/')[2]}", row.get("caption"))
