"""The layout ``webdataset``: tar files with the media, caption and values of each sample side by side.

They are in the folder of their part, with nothing else: readers that are given a folder take all that is in it.
"""

import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from arot_assets.exports.companions import ROLES
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.layouts.data_files import write_data_files
from arot_assets.exports.layouts.layout import Found, LoadedSample, Sample
from arot_assets.exports.tree import Tree

SHARD_BYTES = 1_000_000_000
"""Media bytes of a tar file, a third of what webdataset's own writer fills it with."""


def write(folder: Path, root: str, samples: Mapping[str, Sequence[Sample]], declaration: ExportDeclaration) -> None:
    """See ``Layout``: the media files move into the tar files."""
    for part, some in samples.items():
        tar: tarfile.TarFile | None = None
        size, count = 0, 0
        for sample in some:
            if tar is None or size > SHARD_BYTES:
                if tar is not None:
                    tar.close()
                tar = tarfile.open(folder / part / f"{count:06d}.tar", "w")  # noqa: SIM115  # closed when it is full
                size, count = 0, count + 1
            media = folder / sample.path
            size += media.stat().st_size
            values = {"sample_id": sample.sample_id, "width": sample.width, "height": sample.height, **sample.values}
            _add(tar, sample.file, media.read_bytes())
            _add(tar, f"{sample.sample_id}.txt", sample.caption.encode())
            _add(tar, f"{sample.sample_id}.json", json.dumps(values, ensure_ascii=False, default=str).encode())
            for role, path in sample.companions.items():
                _add(tar, f"{sample.sample_id}.{role}.{path.rpartition('.')[2]}", (folder / path).read_bytes())
                (folder / path).unlink()
            media.unlink()
        if tar is not None:
            tar.close()
    write_data_files(folder, [f"{part}/*.tar" for part in samples])


def entries(tree: Tree, folders: Sequence[str]) -> Iterator[LoadedSample]:
    """See ``Layout``."""
    for part in folders:
        for path in sorted((tree.folder / part).glob("[0-9]*.tar")):
            with tarfile.open(path) as tar:
                names = {m.name: m for m in tar.getmembers()}
                beside = _companions(path, part, names)
                for name in names:
                    stem, _, extension = name.partition(".")
                    if extension in ("txt", "json") or extension.partition(".")[0] in ROLES:
                        continue
                    text = tar.extractfile(f"{stem}.txt") if f"{stem}.txt" in names else None
                    yield LoadedSample(
                        f"{part}/{name}",
                        text.read() if text else None,
                        partial(_read, path, name),
                        beside.get(stem, {}),
                    )


def _companions(path: Path, part: str, names: Iterable[str]) -> dict[str, dict[str, Found]]:
    """Key of a sample -> role -> what the tar file has for it."""
    found: dict[str, dict[str, Found]] = {}
    for name in names:
        stem, role = [*name.split(".", 2), ""][:2]
        if role in ROLES:
            found.setdefault(stem, {})[role] = f"{part}/{name}", partial(_read, path, name)
    return found


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Without owner, time or anything else that differs between two exports of the same samples."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def _read(path: Path, name: str) -> bytes:
    with tarfile.open(path) as tar:
        file = tar.extractfile(name)
        assert file is not None, "the name is one of a regular member"
        return file.read()
