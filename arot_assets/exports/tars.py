"""Tar files of a version as units of work of an engine: filled from media that nodes wrote before, and looked at.

Belongs here: what a unit gets, does and gives, and what follows from it. Does not belong here: what is in a tar file
(``layouts/webdataset.py``), the media (``units.py``).
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import NamedTuple

from arot_assets.exports.contract import LookedAt, look
from arot_assets.exports.destinations.destination import Stage
from arot_assets.exports.layouts import webdataset
from arot_assets.exports.layouts.layout import LoadedSample, Sample
from arot_assets.exports.layouts.webdataset import Tar, fill, packed
from arot_assets.exports.media_files import WrittenFile
from arot_assets.exports.rules import RuleName
from arot_assets.exports.tree import Tree
from resources.compute import Compute, Needs


class TarUnit(NamedTuple):
    """A tar file.

    Attributes:
        number: its place among all.
        tar: what is in it.
        originals: path of each media file that is an original -> its sample_id.
    """

    number: int
    tar: Tar
    originals: Mapping[str, str]


@dataclass(frozen=True)
class TarWriter:
    """The work on a unit, in any process.

    Attributes:
        stage: where the version is built.
        medium: ``image`` or ``video``.
        kept: rules that files may break.
    """

    stage: Stage
    medium: str
    kept: frozenset[RuleName]

    def __call__(self, unit: TarUnit) -> LookedAt:
        """What a loader finds in a tar file, without what reads it; the file is in place.

        Raises:
            OSError, StorageError: it cannot be written, or its media cannot be read.
        """
        with self.stage.scratch() as folder:
            part = unit.tar.path.rpartition("/")[0]
            (folder / part).mkdir()
            fill(unit.tar, self.stage.fetch(folder, unit.tar.media), folder)
            found = look(Tree(folder), webdataset, [part], self.medium, self.kept, unit.originals)
            size = (folder / unit.tar.path).stat().st_size
            self.stage.take(folder, [unit.tar.path])
        return LookedAt([(_told(entry), violations) for entry, violations in found], {unit.tar.path: size})


def write_tars(
    compute: Compute,
    stage: Stage,
    samples: Mapping[str, Sequence[Sample]],
    written: Sequence[WrittenFile],
    medium: str,
    kept: frozenset[RuleName],
) -> LookedAt:
    """Fill all tar files of a version; the media that are in them are removed.

    Args:
        compute: where units run.
        stage: where the version is built; it has the media.
        samples: media folder of each part -> its samples.
        written: their media.
        medium: ``image`` or ``video``.
        kept: rules that files may break.
    """
    sizes = {one.path: one.bytes for one in written}
    originals = {one.path: one.row["sample_id"] for one in written if one.made == "original"}
    tars = list(packed(samples, sizes.__getitem__))
    units = (
        TarUnit(number, tar, {s.path: originals[s.path] for s in tar.samples if s.path in originals})
        for number, tar in enumerate(tars)
    )
    found: dict[int, LookedAt] = {}
    with closing(compute.map(TarWriter(stage, medium, kept), units, Needs())) as results:
        for unit, some in results:
            found[unit.number] = some
    stage.remove([path for tar in tars for path in tar.media])
    ordered = [found[number] for number in sorted(found)]
    there = {path: size for some in ordered for path, size in some.sizes.items()}
    return LookedAt([one for some in ordered for one in some.found], there)


def _told(entry: LoadedSample) -> LoadedSample:
    """What a loader finds, without the functions that read it, which no other process can call."""
    return replace(
        entry, read=None, companions={role: (path, None) for role, (path, _) in entry.companions.items()}, sizes={}
    )
