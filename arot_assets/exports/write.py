"""The media files of an export, written where its version is built: by threads of this process, or by the nodes of a cluster.

Belongs here: which samples are written where and in which order, and which are left out. Does not belong here: the files of one
sample (``media_files.py``), what a node does (``units.py``), captions and configurations (``build.py``).
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from arot_assets.datasets.nodes import meet
from arot_assets.datasets.places import dataset_root, seen_by_all
from arot_assets.exports.companions import ROLES
from arot_assets.exports.destinations.destination import Destination, Stage
from arot_assets.exports.errors import ExportError
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.judging import settle
from arot_assets.exports.media_files import EarlierFile, Known, SampleWriter, WrittenFile
from arot_assets.exports.rules import Violation
from arot_assets.exports.selection import Selection
from arot_assets.exports.units import UnitWriter, units_of
from arot_assets.exports.versions import Receipt, read_manifest
from arot_assets.progress import track
from resources.compute import Needs
from resources.defaults import Resources
from resources.parallel import fetching_threads, grouped, ordered_map
from resources.storage.objects import is_local

AT_ONCE = 32
"""Files that a thread writes before it asks for more; of those that must be fetched, one."""

Made = Generator[tuple[int, Sequence[WrittenFile | Violation]], None, None]
"""What became of some samples, with their place in the order of all."""


def write_media(
    declaration: ExportDeclaration,
    resources: Resources,
    selection: Selection,
    destination: Destination,
    staging: Path,
    stage: Stage | None,
    folders: Mapping[str, str],
    now: Receipt | None,
) -> list[WrittenFile]:
    """Write every media file; samples that break a rule whose action is ``skip`` are left out.

    Args:
        declaration: what the user declared.
        resources: reach the originals, and the engine.
        selection: the samples.
        destination: of the version.
        staging: where this process writes.
        stage: where nodes write; None if this process does.
        folders: subset -> its media folder.
        now: the current version.

    Raises:
        ExportError: some break a rule whose action is ``stop``.
    """
    writer = SampleWriter(declaration, resources.storage, resources.warehouse, selection.datasets, folders)
    writer.make_folders(staging)
    known = _known(declaration, resources, destination, now)
    far = not all(is_local(dataset_root(resources.tables, d)) for d in selection.datasets)
    rows = (row for batch in selection.rows.to_batches(1000) for row in batch.to_pylist())
    if stage is None:
        made = _by_threads(writer, rows, known, staging, far)
    else:
        made = _by_nodes(
            UnitWriter(writer, stage, selection.medium.name, far), resources, selection.datasets, rows, known
        )
    found: dict[int, Sequence[WrittenFile | Violation]] = {}
    with track(f"exports/{declaration.name}", selection.rows.num_rows) as advance, closing(made) as results:
        for number, some in results:
            found[number] = some
            advance(len(some))
    written: list[WrittenFile] = []
    violations: list[Violation] = []
    for one in (one for number in sorted(found) for one in found[number]):
        if isinstance(one, WrittenFile):
            written.append(one)
            violations += [Violation(rule, one.row["sample_id"], one.row["uri"]) for rule in one.broken]
        else:
            violations.append(one)
    dropped = settle(declaration, violations, selection.noted, selection.left_out)
    gone = [path for one in written if one.row["sample_id"] in dropped for path in one.paths()]
    if stage is not None:
        stage.remove(gone)
    else:
        for path in gone:
            (staging / path).unlink()
    left = [w for w in written if w.row["sample_id"] not in dropped]
    if not left:
        raise ExportError(f"exports/{declaration.name}: every sample breaks a rule, so nothing is left to export")
    return left


def _by_threads(
    writer: SampleWriter, rows: Iterator[Mapping[str, Any]], known: Known, staging: Path, far: bool
) -> Made:
    """Write into a folder of this machine."""

    def work(some: Sequence[Mapping[str, Any]]) -> list[WrittenFile | Violation]:
        return [writer.write(row, known, staging) for row in some]

    with closing(
        ordered_map(work, grouped(rows, 1 if far else AT_ONCE), fetching_threads(far), finish=True)
    ) as results:
        yield from enumerate(results)


def _by_nodes(
    work: UnitWriter, resources: Resources, datasets: Sequence[str], rows: Iterator[Mapping[str, Any]], known: Known
) -> Made:
    """Hand the samples to an engine; what comes back gets its rows again."""
    begun: dict[int, Sequence[Mapping[str, Any]]] = {}
    meet(resources.compute, resources.tables, Needs(), seen_by_all(resources.tables, datasets))
    with closing(resources.compute.map(work, units_of(work, rows, known, begun), Needs())) as results:
        for unit, some in results:
            whole = zip(some, begun.pop(unit.number), strict=True)
            yield unit.number, [replace(one, row=row) if isinstance(one, WrittenFile) else one for one, row in whole]


def _known(
    declaration: ExportDeclaration, resources: Resources, destination: Destination, now: Receipt | None
) -> dict[str, EarlierFile]:
    """The media files of the current version: what did not change is linked, not made again."""
    if now is None:
        return {}
    found: dict[str, EarlierFile] = {}
    for row in read_manifest(resources.tables, declaration.name, now.version).to_pylist():
        for path, key in ((row["path"], row["key"]), *((row.get(r), row.get(f"{r}_key")) for r in ROLES)):
            file = destination.earlier(now.version, path) if path else None
            if file is not None and key:
                facts = (row["width"], row["height"], row["bytes"], row["made"], tuple(row["broken"]))
                found[key] = EarlierFile(file, *facts)
    return found
