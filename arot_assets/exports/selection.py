"""What is exported: samples with their captions, and where their files are.

Belongs here: the rows, and what they and the declaration say of the files. Does not belong here: the query (``select.py``), the
rules that rows break (``judging.py``), reading files (``build.py``), the rows of publications with values (``rows.py``).

Rows are ordered by ``sample_id``, which is derived from content: so the order is the same on every machine, and effectively
shuffled.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from arot_assets.exports.buckets.plan import BucketPlan
from arot_assets.exports.companions import ROLES
from arot_assets.exports.export import WHITE, ExportDeclaration
from arot_assets.exports.mix import repeats_of
from arot_assets.exports.prepare import KNOWN
from arot_assets.exports.rules import RuleName, Violation
from arot_assets.exports.trainers.trainer import Trainer
from arot_assets.local_paths import LocalPaths
from arot_assets.media.medium import Medium

COLUMNS = ("sample_id", "part", "dataset", "uri", "sha256", "bytes", "width", "height", "frames", "fps", "caption")


@dataclass
class Selection:
    """What is exported.

    Attributes:
        rows: one for each sample of each part, with ``COLUMNS`` and the further columns, sorted by part and sample.
        datasets: those that the samples come from.
        medium: the kind of the files.
        trainers: those that the export is for.
        paths: removes the paths of this machine from what is written.
        left_out: violations whose samples are not in ``rows``, because the declaration says so.
        noted: rule -> rows that were mended or kept in spite of it.
        plans: trainer -> buckets of ``rows``.
    """

    rows: pa.Table
    datasets: tuple[str, ...]
    medium: Medium
    trainers: Sequence[Trainer]
    paths: LocalPaths
    left_out: list[Violation] = field(default_factory=list)
    noted: Counter[RuleName] = field(default_factory=Counter)
    plans: dict[str, BucketPlan] = field(default_factory=dict)

    def counts(self, declaration: ExportDeclaration) -> dict[str, int]:
        """Subset -> number of its samples."""
        found = Counter(self.rows["part"].to_pylist())
        return {part: found[part] for part in declaration.parts}

    @property
    def shared(self) -> int:
        """Samples that are in several subsets: they are written, and seen, for each of them."""
        return sum(count > 1 for count in Counter(self.rows["sample_id"].to_pylist()).values())

    def repeats(self, declaration: ExportDeclaration) -> dict[str, int]:
        """Subset -> times that each of its samples is seen in an epoch."""
        return repeats_of(declaration, self.counts(declaration))

    def digest(self, settings: str) -> str:
        """64 hex digits of what determines the files: the samples' content, captions and values, and the settings."""
        found = hashlib.sha256(settings.encode())
        names = [
            n
            for n in self.rows.column_names
            if n not in KNOWN and n.rpartition(":")[2] not in ("dataset", "uri", "bytes")
        ]
        for batch in self.rows.select(names).to_batches(10_000):
            found.update(json.dumps(batch.to_pydict(), default=str).encode())
        for one in self.left_out:
            found.update(str(one).encode())
        return found.hexdigest()


def settings_of(declaration: ExportDeclaration) -> str:
    """What of a declaration determines the files."""
    unused: set[str] = {role for role in ROLES if role not in declaration.companions}
    if declaration.background == WHITE:  # as versions were made before it could be chosen
        unused.add("background")
    told: dict[str, Any] = declaration.model_dump(
        mode="json", exclude={"name", "description", "owners", "destination", "files", "private", *unused}
    )
    return json.dumps(told, sort_keys=True)
