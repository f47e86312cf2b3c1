"""Which training resolution of an export loses least, by a trainer's own buckets.

Belongs here: applying ``compare_resolutions`` to the rows of an export. Does not belong here: the arithmetic (``buckets/``).
"""

from typing import Any

import pyarrow as pa

from arot_assets.exports.buckets.plan import compare_resolutions
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.selection import Selection
from arot_assets.exports.trainers.trainer import Trainer

MOST_COMPARED = 5000
"""Samples of which the UI shows the comparison; of more, `arot buckets --compare` does, which takes seconds for each trainer."""


def resolutions_of(declaration: ExportDeclaration, selection: Selection, trainer: Trainer) -> list[dict[str, Any]]:
    """What each resolution would lose of the originals; see ``compare_resolutions``."""
    rows = selection.rows
    sizes = pa.table({name: rows[name] for name in ("width", "height", "frames", "fps")})
    safe = declaration.model_copy(update={"media": "safe"})

    def rule(resolution: int) -> Any:
        return trainer.rule(safe.model_copy(update={"resolution": resolution}), selection.medium.name)

    return compare_resolutions(sizes, rule, trainer.batch(declaration))
