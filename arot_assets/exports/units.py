"""Samples of an export as units of work of an engine: their files are made, looked at, and put where the version is built.

Belongs here: what a unit gets, does and gives. Does not belong here: the files of one sample (``media_files.py``), where a
version is built (``destinations/``), what follows from it (``write.py``).

A unit makes its files in a folder of its own, and puts each in its place in one step when all are there. So one that is killed
leaves no file half-written, and the next attempt, or another process that is still at it, puts the same bytes there.
"""

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from arot_assets.exports.contract import judge_companions, judge_media
from arot_assets.exports.destinations.destination import Stage
from arot_assets.exports.layouts.layout import entry
from arot_assets.exports.media_files import Known, SampleWriter, WrittenFile
from arot_assets.exports.rules import Violation
from arot_assets.exports.tree import Tree
from resources.parallel import fetching_threads, ordered_map

SAMPLES = 200
"""Most samples of a unit: a second or two of encoding on a few cores, and a hundredth of that for handing it out."""
BYTES = 256_000_000
"""Bytes of originals after which a unit is full, so that clips take no more room on a machine than pictures."""
TOLD = ("sha256", "caption", "fps")
"""Columns of the selection that the files of a sample do not depend on."""

Row = Mapping[str, Any]


class SelectionUnit(NamedTuple):
    """Some samples that follow each other.

    Attributes:
        number: their place among the units.
        rows: of the selection, without what their files do not depend on.
        known: their files that the current version has.
    """

    number: int
    rows: Sequence[Row]
    known: Known


def units_of(
    work: "UnitWriter", rows: Iterator[Row], known: Known, begun: MutableMapping[int, Sequence[Row]]
) -> Iterator[SelectionUnit]:
    """Units of all samples, in order.

    Args:
        work: what is done with them.
        rows: read only as fast as units are taken.
        known: the files of the current version.
        begun: gets the whole rows of each unit that is given.
    """
    left_out = {*TOLD, *work.writer.declaration.columns}
    for number, some in enumerate(_portions(rows)):
        begun[number] = some
        keys = (key for row in some for key in work.writer.keys(row))
        slim = [{name: value for name, value in row.items() if name not in left_out} for row in some]
        yield SelectionUnit(number, slim, {key: known[key] for key in keys if key in known})


@dataclass(frozen=True)
class UnitWriter:
    """The work on a unit, in any process.

    Attributes:
        writer: of one sample.
        stage: where the version is built.
        medium: ``image`` or ``video``.
        far: whether originals have to be fetched.
    """

    writer: SampleWriter
    stage: Stage
    medium: str
    far: bool

    def __call__(self, unit: SelectionUnit) -> list[WrittenFile | Violation]:
        """What became of each sample of a unit, without its row; the files are in place.

        Raises:
            OSError, StorageError: they cannot be written.
        """
        with self.stage.scratch() as folder:
            self.writer.make_folders(folder)

            def work(row: Row) -> WrittenFile | Violation:
                one = self.writer.write(row, unit.known, folder)
                return one if isinstance(one, Violation) else replace(self._looked_at(one, folder), row={})

            with closing(ordered_map(work, unit.rows, fetching_threads(self.far), finish=True)) as results:
                made = list(results)
            self.stage.take(folder, [path for one in made if isinstance(one, WrittenFile) for path in one.paths()])
        return made

    def _looked_at(self, one: WrittenFile, folder: Path) -> WrittenFile:
        """The files read back, so that the process that assembles the version reads few again; one with a fault it does."""
        beside = {role: path for role, (path, _) in one.companions.items()}
        there, kept = entry(Tree(folder), one.path, None, beside), self.writer.declaration.kept
        if not one.proved:
            sample_id = one.row["sample_id"] if one.made == "original" else None
            one = replace(one, proved=all(v.rule in kept for v in judge_media(there, self.medium, sample_id)))
        if all(v.rule in kept for v in judge_companions(there, self.medium)):
            one = replace(one, beside={path: (folder / path).stat().st_size for path in beside.values()})
        return one


def _portions(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """The rows of each unit."""
    some: list[Row] = []
    size = 0
    for row in rows:
        some.append(row)
        size += row["bytes"] or 0
        if len(some) >= SAMPLES or size >= BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some
