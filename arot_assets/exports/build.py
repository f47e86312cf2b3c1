"""An export: the samples of its subsets become a complete version at its destination, or nothing if nothing changed.

Belongs here: the order of the work. Does not belong here: which rows (``selection.py``), one file (``prepare.py``), layouts,
destinations, the records (``versions.py``), what loaders see (``contract.py``).

A version is built in a staging folder, read back with the rules of the trainers' loaders, and only then takes its place; the
version before stays whole. Whatever ends the process, the next export starts over from what is complete.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from arot_assets.datasets.forgotten import forgotten
from arot_assets.exports.arrange import arrange
from arot_assets.exports.buckets.plan import BucketPlan
from arot_assets.exports.contract import LoaderFindings, see
from arot_assets.exports.destinations.choice import destination_of
from arot_assets.exports.destinations.destination import Destination
from arot_assets.exports.errors import ExportError
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.judging import told
from arot_assets.exports.layouts.layout import Sample, media_folder
from arot_assets.exports.layouts.layouts import LAYOUTS
from arot_assets.exports.layouts.webdataset import write_index
from arot_assets.exports.media_files import FORMAT, WrittenFile
from arot_assets.exports.mix import mix_rows
from arot_assets.exports.provenance import require_current
from arot_assets.exports.records import bucket_rows, left_out_rows, lineage_of, manifest_rows
from arot_assets.exports.rules import Violation
from arot_assets.exports.select import select_rows
from arot_assets.exports.selection import Selection, settings_of
from arot_assets.exports.takedown import remove_versions
from arot_assets.exports.tars import write_tars
from arot_assets.exports.trainers.trainer import Part, Scene, Trainer
from arot_assets.exports.versions import (
    VERSION_DIGITS,
    Receipt,
    current_receipt,
    make_current,
    read_receipt,
    write_records,
)
from arot_assets.exports.write import write_media
from arot_assets.subsets.project import Project
from resources.defaults import Resources
from resources.scratch import full_disk
from resources.storage import StorageError


@dataclass(frozen=True)
class Outcome:
    """What an export did.

    Attributes:
        receipt: of the version that is current now.
        changed: False if it was current already, and nothing was written.
        plans: trainer -> buckets.
        seen: what the loaders' rules find in the version that was written; None if nothing was.
        left_out: violations whose samples are not in it.
        mix: for each of several subsets its samples, their repeats and its share of an epoch.
        selection: its rows.
    """

    receipt: Receipt
    changed: bool
    plans: Mapping[str, BucketPlan]
    seen: LoaderFindings | None
    left_out: Sequence[Violation]
    mix: Sequence[Mapping[str, str | int]]
    selection: Selection


def export(declaration: ExportDeclaration, project: Project, resources: Resources) -> Outcome:
    """Bring an export up to date.

    Args:
        declaration: what the user declared.
        project: the SQL project that has its subsets.
        resources: the tables with the subsets, and the storage of the originals and of the destination.

    Raises:
        ExportError: a subset is not current, samples break rules whose action is ``stop``, or another process exports it.
        StorageError: originals or the destination cannot be reached.
    """
    tables = resources.tables
    for part in declaration.parts:
        require_current(project, part, tables, resources.warehouse)
    with resources.warehouse.connect() as con:
        selection = select_rows(declaration, project, tables, con)
    inputs = selection.digest(FORMAT + settings_of(declaration))
    destination = destination_of(declaration, resources)
    now = current_receipt(tables, declaration.name)
    same = now is not None and now.inputs == inputs and now.place == destination.place(now.version)
    if now is not None and same and destination.has(now.version):
        mix = mix_rows(selection.repeats(declaration), selection.counts(declaration))
        return Outcome(now, False, selection.plans, None, selection.left_out, mix, selection)
    try:
        staging = destination.staging()
        with _written_in_words(declaration, destination):
            return _build(declaration, project, resources, selection, destination, staging, inputs, now)
    finally:
        destination.close()


def plan(declaration: ExportDeclaration, project: Project, resources: Resources) -> Selection:
    """What would be exported: rows, buckets, violations; reads no originals and writes nothing.

    Raises:
        ExportError: as ``export``, as far as rows show.
    """
    for part in declaration.parts:
        require_current(project, part, resources.tables, resources.warehouse)
    with resources.warehouse.connect() as con:
        return select_rows(declaration, project, resources.tables, con)


@contextmanager
def _written_in_words(declaration: ExportDeclaration, destination: Destination) -> Iterator[None]:
    """Errors of the destination's disk, as errors that name it."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        if (told := full_disk(error)) is not None:
            raise told from error
        raise ExportError(
            f"exports/{declaration.name}: '{destination.place('')}' cannot be written: {error.strerror or error}; the version "
            "before is as it was. Free some space or check the permissions, and export again"
        ) from error


def _build(
    declaration: ExportDeclaration,
    project: Project,
    resources: Resources,
    selection: Selection,
    destination: Destination,
    staging: Path,
    inputs: str,
    now: Receipt | None,
) -> Outcome:
    tables, medium = resources.tables, selection.medium.name
    folders = {p: media_folder(medium, p, len(declaration.parts)) for p in declaration.parts}
    stage = None if resources.compute.is_local else destination.stage()
    written = write_media(declaration, resources, selection, destination, staging, stage, folders, now)
    manifest = manifest_rows(written, selection.paths)
    version = _version(declaration, manifest)
    root = declaration.trainer_root or destination.place(version)
    repeats = selection.repeats(declaration)
    counts = Counter(w.row["part"] for w in written)
    mix = mix_rows(repeats, counts)
    parts = [Part(p, folders[p], repeats[p], counts[p]) for p in declaration.parts]
    samples = _samples(declaration, parts, written)
    layout, kept, looked_at = LAYOUTS[declaration.layout], declaration.kept, None
    if stage is not None and declaration.layout == "webdataset":
        looked_at = write_tars(resources.compute, stage, samples, written, medium, kept)
        write_index(staging, samples)
    else:
        layout.write(staging, root, samples, declaration)
    scene = Scene(declaration, root, medium, parts)
    _write_configs(scene, staging, selection.trainers)
    for trainer in selection.trainers:
        if trainer.arrange is not None:
            arrange(trainer.arrange(scene, samples), staging, stage, resources.compute)
    proved = {path: size for w in written for path, size in w.proofs()}
    seen = see(destination.built(), layout, list(folders.values()), medium, manifest, kept, proved, looked_at)
    if not seen.whole:
        raise ExportError(
            f"exports/{declaration.name}: trainers would see {seen}; nothing was exported. {told(seen.violations)}"
        )
    receipt = Receipt(
        version,
        inputs,
        destination.place(version),
        len(written),
        sum(w.bytes for w in written),
        datetime.now(UTC).isoformat(timespec="microseconds"),
        len(selection.left_out),
        dict(sorted(selection.noted.items())),
        list(folders.values()),
        medium,
    )
    earlier = read_receipt(tables, declaration.name, version)
    if earlier is not None and destination.has(version):  # another way to the same files
        make_current(tables, declaration.name, version)
        changed = now is None or now.version != version
        return Outcome(earlier, changed, selection.plans, seen, selection.left_out, mix, selection)
    message = f"Export {declaration.name}: {len(written):,} samples, version {version}"
    _none_taken_down(resources, declaration.name, manifest)
    commit = destination.publish(staging, version, message)
    receipt = Receipt(**{**asdict(receipt), "commit": commit})
    buckets, left_out = bucket_rows(selection, written), left_out_rows(selection)
    write_records(
        tables,
        declaration.name,
        receipt,
        manifest,
        buckets,
        left_out,
        lineage_of(declaration, project, resources, selection),
    )
    _none_taken_down(resources, declaration.name, manifest)  # a takedown knew nothing of the version until now
    return Outcome(receipt, True, selection.plans, seen, selection.left_out, mix, selection)


def _none_taken_down(resources: Resources, name: str, manifest: pa.Table) -> None:
    """Make sure that nothing was taken down since the samples were selected; a version that has it is removed.

    Raises:
        ExportError: something was.
    """
    gone = {*forgotten(resources.tables)}.intersection(manifest["sample_id"].to_pylist())
    if gone:
        left = remove_versions(resources, gone)
        by_hand = "".join(f"; remove {one.receipt.place} (commit {one.receipt.commit}) by hand" for one in left)
        raise ExportError(
            f"exports/{name}: {len(gone)} of its samples were taken down while it was written{by_hand}; run it again"
        )


def _version(declaration: ExportDeclaration, manifest: pa.Table) -> str:
    """The version: a digest of what a trainer can tell apart."""
    found = hashlib.sha256((FORMAT + settings_of(declaration)).encode())
    told = ["part", "path", "key", "caption", *(f"{role}_key" for role in declaration.companions)]
    for batch in manifest.select(told).to_batches(10_000):
        found.update(repr(batch.to_pydict()).encode())
    return found.hexdigest()[:VERSION_DIGITS]


def _samples(
    declaration: ExportDeclaration, parts: Sequence[Part], written: Sequence[WrittenFile]
) -> dict[str, list[Sample]]:
    """Media folder of each part -> its samples."""
    samples: dict[str, list[Sample]] = {part.folder: [] for part in parts}
    folders = {part.subset: part.folder for part in parts}
    for w in written:
        values = {n: w.row[n] for n in declaration.columns}
        beside = {role: path for role, (path, _) in w.companions.items()}
        told = (w.row["sample_id"], w.row["part"], w.path, w.row["caption"], w.width, w.height, w.row["frames"] or 1)
        sample = Sample(*told, values, beside)
        samples[folders[w.row["part"]]].append(sample)
    return samples


def _write_configs(scene: Scene, staging: Path, trainers: Sequence[Trainer]) -> None:
    """A configuration for each trainer."""
    commands = []
    (staging / "configs").mkdir()
    for trainer in trainers:
        made = trainer.config(scene)
        if made is not None:
            (staging / "configs" / made[0]).write_text(made[1], encoding="utf-8")
        commands.append(f"## {trainer.name} ({trainer.title})\n\n```sh\n{trainer.command(scene)}\n```\n")
    (staging / "configs" / "commands.md").write_text("\n".join(commands), encoding="utf-8")
