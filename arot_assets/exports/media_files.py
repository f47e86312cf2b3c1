"""The media file of one sample, with its mask and controls: linked, copied, stripped of metadata or encoded, into a folder.

Belongs here: where a file's bytes come from, and what is not made again. Does not belong here: what a picture needs
(``prepare.py``), which samples, and in which process (``write.py``).
"""

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from arot_assets.datasets.places import Place, place_of
from arot_assets.exports.clip import prepare_clip
from arot_assets.exports.companions import column, companion_folder, prepare_companion
from arot_assets.exports.export import WHITE, ExportDeclaration
from arot_assets.exports.links import link, link_or_copy
from arot_assets.exports.prepare import MODIFIED, as_it_is, faults_of_row, formats_of, prepare
from arot_assets.exports.rules import CHOSEN, RuleName, Violation
from arot_assets.media.file import DecodeError
from resources.storage import Storage, StorageError
from resources.storage.objects import is_local, local_path
from resources.warehouse import Warehouse

FORMAT = "2"
"""Change this when the same samples result in different files."""


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A media file that was written.

    Attributes:
        row: of the selection.
        path: below the version's folder.
        width: pixels.
        height: pixels.
        bytes: its size.
        key: digest of the original and of everything that changes its bytes.
        made: ``original``, ``stripped`` or ``encoded``.
        broken: rules that the original breaks.
        proved: its bytes need not be read back: they are those of a picture that is known to break no rule, and were hashed when
            they were copied, or linked while size and time of the file were those of its listing; or an earlier version has them;
            or they were read back where they were written.
        companions: role -> path and key of its mask and control.
        beside: path of each of these that was read back over it -> its bytes.
    """

    row: Mapping[str, Any]
    path: str
    width: int
    height: int
    bytes: int
    key: str
    made: str
    broken: tuple[RuleName, ...]
    proved: bool = False
    companions: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    beside: Mapping[str, int] = field(default_factory=dict)

    def paths(self) -> Iterator[str]:
        """Its own path, and those of its companions."""
        yield self.path
        yield from (path for path, _ in self.companions.values())

    def proofs(self) -> Iterator[tuple[str, int]]:
        """Path and bytes of each of its files that need not be read back."""
        if self.proved:
            yield self.path, self.bytes
        yield from self.beside.items()


@dataclass(frozen=True, slots=True)
class EarlierFile:
    """A media file of the current version, which is linked rather than made again.

    Attributes:
        file: where it is.
        width, height, bytes, made, broken: of its sample, see ``WrittenFile``.
    """

    file: Path
    width: int
    height: int
    bytes: int
    made: str
    broken: tuple[RuleName, ...]


Known = Mapping[str, EarlierFile]
"""Key -> the file of the current version with that key."""


@dataclass(frozen=True)
class SampleWriter:
    """Writes the files of one sample after the other, in any thread and in any process.

    Attributes:
        declaration: what the user declared.
        storage: reaches the originals.
        warehouse: where they are found.
        datasets: those that the samples come from.
        folders: subset -> its media folder.
    """

    declaration: ExportDeclaration
    storage: Storage
    warehouse: Warehouse
    datasets: tuple[str, ...]
    folders: Mapping[str, str]

    @cached_property
    def places(self) -> dict[str, Place]:
        """Dataset -> access to its objects."""
        return {d: place_of(self.storage, self.warehouse, d) for d in self.datasets}

    @cached_property
    def settings(self) -> str:
        """What changes the bytes of a media file, besides the content of its original."""
        return _settings(self.declaration)

    def make_folders(self, folder: Path) -> None:
        """The folders of media and companions, in a folder without them."""
        for name in self.folders.values():
            for one in (name, *(companion_folder(role, name) for role in self.declaration.companions)):
                (folder / one).mkdir()

    def keys(self, row: Mapping[str, Any]) -> Iterator[str]:
        """What determines the bytes of each file of a sample."""
        own = _key(row["sample_id"], self.settings)
        yield own
        for role in self.declaration.companions:
            yield _companion_key(self.declaration, role, own, row[column(role, "sample_id")])

    def write(self, row: Mapping[str, Any], known: Known, folder: Path) -> WrittenFile | Violation:
        """Write the files of a sample.

        Args:
            row: of the selection.
            known: at least what there is of ``keys``.
            folder: where they go, with those of ``make_folders``; it has none of the sample yet.
        """
        one = _write_one(self, row, known, folder)
        if isinstance(one, Violation) or not self.declaration.companions:
            return one
        return _write_companions(self, one, known, folder)


def _write_one(writer: SampleWriter, row: Mapping[str, Any], known: Known, staging: Path) -> WrittenFile | Violation:
    declaration, folder = writer.declaration, writer.folders[row["part"]]
    sample_id, uri, place = row["sample_id"], row["uri"], writer.places[row["dataset"]]
    key = _key(sample_id, writer.settings)
    if (earlier := known.get(key)) is not None:
        path = f"{folder}/{earlier.file.name}"
        link_or_copy(earlier.file, staging / path)
        facts = (earlier.width, earlier.height, earlier.bytes, key, earlier.made)
        return WrittenFile(row, path, *facts, earlier.broken, proved=not earlier.broken)
    video = place.medium.name == "video"
    faults = None if video else faults_of_row(row, formats_of(declaration))
    found = as_it_is(faults, declaration) if faults is not None else None
    if found is not None and declaration.files == "link":
        path = f"{folder}/{sample_id}.{found.extension}"
        if _link_as_listed(row, f"{staging}/{path}"):
            return WrittenFile(row, path, found.width, found.height, row["bytes"], key, "original", (), proved=True)
    content = place.files({uri: sample_id})(uri)
    try:
        data = content.read()
        prepared = (
            prepare_clip(data, _extension(uri), *_size(row), declaration)
            if video
            else prepare(data, declaration, faults)
        )
    except (StorageError, DecodeError) as error:
        return Violation("unreadable", sample_id, f"{uri}: {error.reason}")
    made, size, broken = prepared.data, (prepared.width, prepared.height), prepared.broken
    path = f"{folder}/{sample_id}.{prepared.extension}"
    if made is None:
        original = Path(local_path(uri)) if declaration.files == "link" and is_local(uri) else None
        if original is None or not original.is_file() or not link(original, staging / path):
            (staging / path).write_bytes(data)
        how, count = "original", len(data)
    else:
        (staging / path).write_bytes(made)
        how, count = ("stripped" if set(broken) == {"metadata"} and size == _size(row) else "encoded"), len(made)
    return WrittenFile(row, path, *size, count, key, how, broken, proved=found is not None)


def _link_as_listed(row: Mapping[str, Any], target: str) -> bool:
    """Make a hard link to an original whose size and time of modification are those of its listing: then it is the file that
    was hashed and probed, as for the next listing. False, with nothing written, if it is not or cannot be linked."""
    uri = row["uri"]
    if row[MODIFIED] is None or not is_local(uri):
        return False
    try:
        os.link(local_path(uri), target)
    except OSError:
        return False
    found = os.lstat(target)  # of the link: whatever becomes of the original's name, these are its bytes
    same = (found.st_size, int(found.st_mtime * 1e6)) == (row["bytes"], row[MODIFIED])
    if not same or not stat.S_ISREG(found.st_mode):
        os.unlink(target)
        return False
    return True


def _write_companions(writer: SampleWriter, one: WrittenFile, known: Known, staging: Path) -> WrittenFile | Violation:
    """The mask and the control of a sample, with its stem, in folders of their own."""
    declaration, row, folder = writer.declaration, one.row, writer.folders[one.row["part"]]
    found: dict[str, tuple[str, str]] = {}
    for role in declaration.companions:
        sample_id, uri = row[column(role, "sample_id")], row[column(role, "uri")]
        key = _companion_key(declaration, role, one.key, sample_id)
        stem = f"{companion_folder(role, folder)}/{row['sample_id']}"
        if (earlier := known.get(key)) is not None:
            path = f"{stem}{earlier.file.suffix}"
            link_or_copy(earlier.file, staging / path)
        else:
            place = writer.places[row[column(role, "dataset")]]
            try:
                data = place.files({uri: sample_id})(uri).read()
                if place.medium.name == "video":
                    made = prepare_clip(data, _extension(uri), one.width, one.height, declaration)
                else:
                    made = prepare_companion(data, role, row, (one.width, one.height), declaration)
            except (StorageError, DecodeError) as error:
                for path in replace(one, companions=found).paths():
                    (staging / path).unlink()
                return Violation("unreadable", row["sample_id"], f"{role} {uri}: {error.reason}")
            path = f"{stem}.{made.extension}"
            (staging / path).write_bytes(data if made.data is None else made.data)
        found[role] = path, key
    return replace(one, companions=found) if found else one


def _companion_key(declaration: ExportDeclaration, role: str, own: str, sample_id: str) -> str:
    """What determines the bytes of a companion: it follows the size of its sample, and so its key."""
    settings = declaration.format, declaration.quality, declaration.action("companion_shape")
    return hashlib.sha256(repr((FORMAT, role, sample_id, own, settings)).encode()).hexdigest()[:32]


def _size(row: Mapping[str, Any]) -> tuple[int, int]:
    return row["width"], row["height"]


def _extension(uri: str) -> str:
    return uri.rpartition(".")[2].lower()


def _settings(declaration: ExportDeclaration) -> str:
    """What changes the bytes of a media file, besides the content of its original."""
    fields = ("media", "format", "quality", "max_side") + (("resolution",) if declaration.media == "exact" else ())
    if declaration.background != WHITE:
        fields += ("background",)
    settings = [*((name, getattr(declaration, name)) for name in fields), formats_of(declaration)]
    return f"{settings!r}, {sorted((rule, declaration.action(rule)) for rule in CHOSEN)!r}"


def _key(sample_id: str, settings: str) -> str:
    """What determines the bytes of a media file."""
    return hashlib.sha256(f"({FORMAT!r}, {sample_id!r}, {settings})".encode()).hexdigest()[:32]
