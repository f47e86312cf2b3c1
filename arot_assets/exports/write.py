"""The media files of an export: linked, copied, stripped of metadata or encoded, each in a thread, into a staging folder.

Belongs here: where a file's bytes come from, and what is not made again. Does not belong here: what a picture needs
(``prepare.py``), captions and configurations (``build.py``).
"""

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from arot_assets.datasets.places import Place, dataset_root, place_of
from arot_assets.exports.clip import prepare_clip
from arot_assets.exports.companions import ROLES, column, companion_folder, prepare_companion
from arot_assets.exports.destinations.destination import Destination
from arot_assets.exports.errors import ExportError
from arot_assets.exports.export import WHITE, ExportDeclaration
from arot_assets.exports.links import link, link_or_copy
from arot_assets.exports.prepare import MODIFIED, as_it_is, faults_of_row, formats_of, prepare
from arot_assets.exports.rules import CHOSEN, RuleName, Violation
from arot_assets.exports.selection import Selection, settle
from arot_assets.exports.versions import Receipt, read_manifest
from arot_assets.media.medium import DecodeError
from arot_assets.progress import track
from resources.defaults import Resources
from resources.parallel import fetching_threads, grouped, ordered_map
from resources.storage import StorageError
from resources.storage.objects import is_local, local_path

FORMAT = "2"
"""Change this when the same samples result in different files."""
AT_ONCE = 32
"""Files that a thread writes before it asks for more; of those that must be fetched, one."""


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
            they were copied, or linked while size and time of the file were those of its listing; or an earlier version has them.
        companions: role -> path and key of its mask and control.
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


def write_media(
    declaration: ExportDeclaration,
    resources: Resources,
    selection: Selection,
    destination: Destination,
    staging: Path,
    folders: Mapping[str, str],
    now: Receipt | None,
) -> list[WrittenFile]:
    """Write every media file; samples that break a rule whose action is ``skip`` are left out.

    Raises:
        ExportError: some break a rule whose action is ``stop``.
    """
    places = {d: place_of(resources.storage, resources.warehouse, d) for d in selection.datasets}
    settings = _settings(declaration)
    known = _known(declaration, resources, destination, now)
    far = not all(is_local(dataset_root(resources.tables, d)) for d in selection.datasets)
    rows: Iterator[Mapping[str, Any]] = (row for batch in selection.rows.to_batches(1000) for row in batch.to_pylist())

    def write(row: Mapping[str, Any]) -> WrittenFile | Violation:
        one = _write_one(declaration, places, known, staging, folders[row["part"]], row, settings)
        if isinstance(one, Violation) or not declaration.companions:
            return one
        return _write_companions(declaration, places, known, staging, folders[row["part"]], one)

    def work(some: Sequence[Mapping[str, Any]]) -> list[WrittenFile | Violation]:
        return [write(row) for row in some]

    written: list[WrittenFile] = []
    violations: list[Violation] = []
    with (
        track(f"exports/{declaration.name}", selection.rows.num_rows) as advance,
        closing(ordered_map(work, grouped(rows, 1 if far else AT_ONCE), fetching_threads(far), finish=True)) as results,
    ):
        for some in results:
            for one in some:
                if isinstance(one, WrittenFile):
                    written.append(one)
                    violations += [Violation(rule, one.row["sample_id"], one.row["uri"]) for rule in one.broken]
                else:
                    violations.append(one)
            advance(len(some))
    dropped = settle(declaration, violations, selection.noted, selection.left_out)
    for one in written:
        if one.row["sample_id"] in dropped:
            for path in (one.path, *(path for path, _ in one.companions.values())):
                (staging / path).unlink()
    left = [w for w in written if w.row["sample_id"] not in dropped]
    if not left:
        raise ExportError(f"exports/{declaration.name}: every sample breaks a rule, so nothing is left to export")
    return left


def _known(
    declaration: ExportDeclaration, resources: Resources, destination: Destination, now: Receipt | None
) -> dict[str, tuple[Path, Mapping[str, Any]]]:
    """Key -> a media file of the current version, and its row: what did not change is linked, not made again."""
    if now is None:
        return {}
    found: dict[str, tuple[Path, Mapping[str, Any]]] = {}
    for row in read_manifest(resources.tables, declaration.name, now.version).to_pylist():
        for path, key in ((row["path"], row["key"]), *((row.get(r), row.get(f"{r}_key")) for r in ROLES)):
            file = destination.earlier(now.version, path) if path else None
            if file is not None and key:
                found[key] = (file, row)
    return found


def _write_one(
    declaration: ExportDeclaration,
    places: Mapping[str, Place],
    known: Mapping[str, tuple[Path, Mapping[str, Any]]],
    staging: Path,
    folder: str,
    row: Mapping[str, Any],
    settings: str,
) -> WrittenFile | Violation:
    sample_id, uri, place = row["sample_id"], row["uri"], places[row["dataset"]]
    key = _key(sample_id, settings)
    if key in known:
        file, earlier = known[key]
        path = f"{folder}/{file.name}"
        link_or_copy(file, staging / path)
        facts = (earlier["width"], earlier["height"], earlier["bytes"], key, earlier["made"])
        return WrittenFile(row, path, *facts, tuple(earlier["broken"]), proved=not earlier["broken"])
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


def _write_companions(
    declaration: ExportDeclaration,
    places: Mapping[str, Place],
    known: Mapping[str, tuple[Path, Mapping[str, Any]]],
    staging: Path,
    folder: str,
    one: WrittenFile,
) -> WrittenFile | Violation:
    """The mask and the control of a sample, with its stem, in folders of their own."""
    row, found = one.row, {}
    for role in declaration.companions:
        sample_id, uri = row[column(role, "sample_id")], row[column(role, "uri")]
        key = _companion_key(declaration, role, one, sample_id)
        stem = f"{companion_folder(role, folder)}/{row['sample_id']}"
        if key in known:
            path = f"{stem}{known[key][0].suffix}"
            link_or_copy(known[key][0], staging / path)
        else:
            place = places[row[column(role, "dataset")]]
            try:
                data = place.files({uri: sample_id})(uri).read()
                if place.medium.name == "video":
                    made = prepare_clip(data, _extension(uri), one.width, one.height, declaration)
                else:
                    made = prepare_companion(data, role, row, (one.width, one.height), declaration)
            except (StorageError, DecodeError) as error:
                (staging / one.path).unlink()
                return Violation("unreadable", row["sample_id"], f"{role} {uri}: {error.reason}")
            path = f"{stem}.{made.extension}"
            (staging / path).write_bytes(data if made.data is None else made.data)
        found[role] = path, key
    return replace(one, companions=found) if found else one


def _companion_key(declaration: ExportDeclaration, role: str, one: WrittenFile, sample_id: str) -> str:
    """What determines the bytes of a companion: it follows the size of its sample."""
    settings = declaration.format, declaration.quality, declaration.action("companion_shape")
    return hashlib.sha256(repr((FORMAT, role, sample_id, one.key, settings)).encode()).hexdigest()[:32]


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
