"""The layout ``webdataset``: tar files with the media, caption and values of each sample side by side.

They are in the folder of their part, with nothing else: readers that are given a folder take all that is in it.
"""

import io
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from arot_assets.exports.companions import ROLES
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.layouts.data_files import write_data_files
from arot_assets.exports.layouts.layout import Found, LoadedSample, Sample
from arot_assets.exports.tree import Tree

SHARD_BYTES = 1_000_000_000
"""Media bytes of a tar file, a third of what webdataset's own writer fills it with."""


@dataclass(frozen=True)
class Tar:
    """A tar file and what is in it.

    Attributes:
        path: below the version's folder.
        samples: in order.
    """

    path: str
    samples: Sequence[Sample]

    @property
    def media(self) -> list[str]:
        """Paths of the files that are in it."""
        return [path for sample in self.samples for path in (sample.path, *sample.companions.values())]


def packed(samples: Mapping[str, Sequence[Sample]], size: Callable[[str], int]) -> Iterator[Tar]:
    """The tar files that samples fill.

    Args:
        samples: media folder of each part -> its samples.
        size: bytes of a media file, by its path.
    """
    for part, some in samples.items():
        taken: list[Sample] = []
        total, count = 0, 0
        for sample in some:
            if total > SHARD_BYTES:
                yield Tar(f"{part}/{count:06d}.tar", taken)
                taken, total, count = [], 0, count + 1
            taken.append(sample)
            total += size(sample.path)
        if taken:
            yield Tar(f"{part}/{count:06d}.tar", taken)


def fill(one: Tar, source: Path, target: Path) -> None:
    """Write a tar file.

    Args:
        one: what is in it.
        source: a folder with its media.
        target: the folder that its path is below.
    """
    with tarfile.open(target / one.path, "w") as tar:
        for sample in one.samples:
            values = {"sample_id": sample.sample_id, "width": sample.width, "height": sample.height, **sample.values}
            _add(tar, sample.file, (source / sample.path).read_bytes())
            _add(tar, f"{sample.sample_id}.txt", sample.caption.encode())
            _add(tar, f"{sample.sample_id}.json", json.dumps(values, ensure_ascii=False, default=str).encode())
            for role, path in sample.companions.items():
                _add(tar, f"{sample.sample_id}.{role}.{path.rpartition('.')[2]}", (source / path).read_bytes())


def write(folder: Path, root: str, samples: Mapping[str, Sequence[Sample]], declaration: ExportDeclaration) -> None:
    """See ``Layout``: the media files move into the tar files."""
    for one in packed(samples, lambda path: (folder / path).stat().st_size):
        fill(one, folder, folder)
        for path in one.media:
            (folder / path).unlink()
    write_index(folder, samples)


def write_index(folder: Path, parts: Iterable[str]) -> None:
    """Write what is beside the tar files.

    Args:
        folder: of the version.
        parts: media folders.
    """
    write_data_files(folder, [f"{part}/*.tar" for part in parts])


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
                        partial(_read, path, names[name].offset_data, names[name].size),
                        beside.get(stem, {}),
                    )


def _companions(path: Path, part: str, names: Mapping[str, tarfile.TarInfo]) -> dict[str, dict[str, Found]]:
    """Key of a sample -> role -> what the tar file has for it."""
    found: dict[str, dict[str, Found]] = {}
    for name, member in names.items():
        stem, role = [*name.split(".", 2), ""][:2]
        if role in ROLES:
            found.setdefault(stem, {})[role] = f"{part}/{name}", partial(_read, path, member.offset_data, member.size)
    return found


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Without owner, time or anything else that differs between two exports of the same samples."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def _read(path: Path, offset: int, size: int) -> bytes:
    """A member by its place: to look for it by its name would read all names again, for each of thousands."""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)
