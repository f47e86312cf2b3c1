"""What the trainers of Lightricks have in common: clips, all from the command line, with their buckets in one option of it.

Belongs here: the record of such a trainer. Does not belong here: which buckets and which command it has (a file each).
"""

from collections.abc import Callable
from typing import Any

from arot_assets.exports.buckets.bucket import Rule
from arot_assets.exports.buckets.ltx import Ltx
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.trainers.trainer import Scene, Trainer

Sizes = tuple[tuple[int, int, int], ...]
"""Width, height and frames of each bucket."""


def clip_trainer(
    buckets: Callable[[ExportDeclaration], Sizes], command: Callable[[Scene, str], str], file: str, **declared: Any
) -> Trainer:
    """One of them.

    Args:
        buckets: those that it is given.
        command: how it is started, with the value of ``--resolution-buckets``.
        file: name of the file that keeps this value.
        declared: all else that ``Trainer`` takes.
    """

    def line(declaration: ExportDeclaration) -> str:
        return ";".join("x".join(map(str, one)) for one in buckets(declaration))

    def rule(declaration: ExportDeclaration, _medium: str) -> Rule:
        return Ltx(buckets(declaration))

    return Trainer(
        media=frozenset({"video"}),
        layouts=frozenset({"ltx"}),
        remainder="dropped",
        repeats=False,
        config=lambda scene: (file, f"{line(scene.declaration)}\n"),
        command=lambda scene: command(scene, line(scene.declaration)),
        rule=rule,
        missing_caption="it stops",
        **declared,
    )
