"""Files that one trainer alone wants, beside those of the layout: the same media under other names, pictures as PNG, texts.

Belongs here: making them, by this process or by nodes of a cluster where these wrote the media. Does not belong here: which they
are (``trainers/``).
"""

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from arot_assets.exports.destinations.destination import Stage
from arot_assets.exports.links import as_png, link_or_copy
from arot_assets.exports.trainers.trainer import Arranged
from resources.compute import Compute, Needs
from resources.parallel import grouped

FILES = 500
"""Files of a unit: a few seconds of requests."""


@dataclass(frozen=True)
class Arranger:
    """The work on a unit, in any process.

    Attributes:
        stage: where the version is built; it has the media.
    """

    stage: Stage

    def __call__(self, some: Sequence[Arranged]) -> int:
        """Put some files in place; gives their number.

        Raises:
            OSError, StorageError: one of them cannot be read or written.
        """
        drawn = [one for one in some if _is_drawn(one)]
        with self.stage.scratch() as folder:
            for parent in {(folder / one.path).parent for one in some}:
                parent.mkdir(parents=True, exist_ok=True)
            self.stage.copy(folder, [(one.source, one.path) for one in some if not _is_drawn(one)])
            source = self.stage.fetch(folder, [one.source for one in drawn])
            for one in drawn:
                (folder / one.path).write_bytes(as_png(source / one.source))
            self.stage.take(folder, [one.path for one in drawn])
        return len(some)


def arrange(files: Iterable[Arranged], staging: Path, stage: Stage | None, compute: Compute) -> None:
    """Make the files of a trainer.

    Args:
        files: which.
        staging: where this process builds the version.
        stage: where nodes do, who then have the media; None if this process has them.
        compute: where units run.
    """
    left: list[Arranged] = []
    for one in files:
        target = staging / one.path
        target.parent.mkdir(parents=True, exist_ok=True)
        if not one.source:
            target.write_text(one.text, encoding="utf-8")
        elif stage is not None:
            left.append(one)
        elif _is_drawn(one):
            target.write_bytes(as_png(staging / one.source))
        else:
            link_or_copy(staging / one.source, target)
    if stage is not None:
        with closing(compute.map(Arranger(stage), grouped(left, FILES), Needs())) as done:
            for _ in done:
                continue


def _is_drawn(one: Arranged) -> bool:
    """Whether its bytes are not those of its source."""
    return one.png and not one.source.endswith(".png")
