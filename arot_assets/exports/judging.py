"""The rules that the rows of an export break, and what is done about it.

Belongs here: what rows alone decide; stopping, mending, leaving out. Does not belong here: what the rules are (``rules.py``),
what only files show (``write.py``).
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import pyarrow as pa

from arot_assets.exports.buckets.plan import BucketPlan, plan_buckets
from arot_assets.exports.companions import broken_companions
from arot_assets.exports.errors import ExportError
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.prepare import wanted_size
from arot_assets.exports.rules import RULES, RuleName, Violation, one_line
from arot_assets.exports.selection import Selection
from arot_assets.exports.trainers.trainer import Trainer

SMALLEST_SIDE = 64
LAYOUT_MULTIPLE = 32
SHOWN = 5


def judge(declaration: ExportDeclaration, selection: Selection) -> None:
    """Apply the rules; the rows keep what is exported, with captions of one line."""
    _drop(declaration, selection, _broken(declaration, selection))
    plans: dict[str, tuple[BucketPlan, pa.Table]] = {}
    for trainer in selection.trainers:
        plan = _plan(declaration, selection, trainer)
        plans[trainer.name] = plan, selection.rows
        if plan.left_out:
            ids, texts = selection.rows["sample_id"].to_pylist(), plan.columns["problem"].to_pylist()
            found = [Violation("bucket", i, f"{trainer.name}: {t}") for i, t in zip(ids, texts, strict=True) if t]
            _drop(declaration, selection, found)
    for trainer in selection.trainers:  # those of other rows than are left are made again
        plan, rows = plans[trainer.name]
        selection.plans[trainer.name] = plan if rows is selection.rows else _plan(declaration, selection, trainer)
    if declaration.action("caption_lines") == "mend":
        captions = [one_line(c) if c is not None else None for c in selection.rows["caption"].to_pylist()]
        place = selection.rows.column_names.index("caption")
        selection.rows = selection.rows.set_column(place, "caption", pa.array(captions, pa.string()))


def _drop(declaration: ExportDeclaration, selection: Selection, violations: Sequence[Violation]) -> None:
    dropped = settle(declaration, violations, selection.noted, selection.left_out)
    if dropped:
        gone = pa.compute.is_in(selection.rows["sample_id"], pa.array(sorted(dropped)))
        selection.rows = selection.rows.filter(pa.compute.invert(gone))
        if not selection.rows.num_rows:
            raise ExportError(f"exports/{declaration.name}: every sample breaks a rule, so nothing is left to export")


def settle(
    declaration: ExportDeclaration,
    violations: Sequence[Violation],
    noted: Counter[RuleName],
    left_out: list[Violation],
) -> set[str]:
    """Do what the declaration says about violations; returns the samples to leave out.

    Raises:
        ExportError: some of them stop the export.
    """
    stopping = [v for v in violations if declaration.action(v.rule) == "stop"]
    if stopping:
        raise ExportError(f"exports/{declaration.name}: {told(stopping)}")
    dropped: set[str] = set()
    for one in violations:
        if declaration.action(one.rule) == "skip":
            left_out.append(one)
            dropped.add(one.subject)
        else:
            noted[one.rule] += 1
    return dropped


def told(violations: Sequence[Violation]) -> str:
    """Violations that stop an export, in words: by rule, the first few by name, and the remedy."""
    by_rule: dict[RuleName, list[Violation]] = {}
    for one in violations:
        by_rule.setdefault(one.rule, []).append(one)
    lines = []
    for rule, some in by_rule.items():
        shown = "; ".join(f"{v.subject} ({v.text})" for v in some[:SHOWN]) + ("; …" if len(some) > SHOWN else "")
        remedy = "mend, skip" if RULES[rule].mendable else "skip"
        lines.append(
            f"{len(some):,} samples break the rule {rule}: {RULES[rule].says}. {shown}. Otherwise: {RULES[rule].otherwise}. "
            f"{RULES[rule].remedy}Exclude them in SQL, or set `rules: {{{rule}: …}}` to {remedy}"
        )
    return "\n".join(lines)


def _broken(declaration: ExportDeclaration, selection: Selection) -> list[Violation]:
    """The violations that the rows themselves show."""
    rows, found = selection.rows, []
    video = selection.medium.name == "video"
    names = ("sample_id", "uri", "caption", "width", "height", "frames", "fps")
    columns = (rows[n].to_pylist() for n in names)
    for sample, uri, caption, width, height, frames, fps in zip(*columns, strict=True):
        if uri is None:
            found.append(Violation("unreadable", sample, "no dataset has this sample any more"))
            continue
        if caption is None or not caption.strip():
            found.append(Violation("caption_missing", sample, "it has none" if caption is None else "it is empty"))
        elif "\n" in caption or "\r" in caption:
            found.append(Violation("caption_lines", sample, f"{len(caption.splitlines())} lines"))
        sides = (width, height) if video else wanted_size(width, height, declaration)
        if min(sides) < SMALLEST_SIDE:
            found.append(Violation("small_side", sample, f"{sides[0]}x{sides[1]}"))
        if video:
            found += _broken_clip(declaration, sample, width, height, frames, fps)
    if declaration.companions:
        for row in rows.filter(pa.compute.is_valid(rows["uri"])).to_pylist():
            found += broken_companions(declaration, row, video)
    return found


def _broken_clip(
    declaration: ExportDeclaration, sample: str, width: int, height: int, frames: int, fps: float
) -> list[Violation]:
    found = []
    if frames not in declaration.frames:
        wanted = " or ".join(map(str, declaration.frames))
        found.append(Violation("frames", sample, f"{frames} frames instead of {wanted}"))
    if abs(fps - declaration.fps) > 0.001:
        found.append(Violation("fps", sample, f"{fps:g} frames a second instead of {declaration.fps:g}"))
    if width % LAYOUT_MULTIPLE or height % LAYOUT_MULTIPLE:
        found.append(Violation("multiple", sample, f"{width}x{height} is no multiple of {LAYOUT_MULTIPLE}"))
    return found


def _plan(declaration: ExportDeclaration, selection: Selection, trainer: Trainer) -> BucketPlan:
    """The buckets of the files as they will be, not of the originals."""
    import numpy as np

    rows = selection.rows
    sizes: Mapping[tuple[int, int], tuple[int, int]] = {}
    widths, heights = rows["width"].to_numpy(), rows["height"].to_numpy()
    if declaration.media == "exact" or declaration.max_side is not None:
        pairs = list(zip(widths.tolist(), heights.tolist(), strict=True))
        sizes = {p: wanted_size(*p, declaration) for p in set(pairs) if min(p) > 0}
        widths = np.array([sizes.get(p, p)[0] for p in pairs])
        heights = np.array([sizes.get(p, p)[1] for p in pairs])
    table = pa.table({"width": widths, "height": heights, "frames": rows["frames"], "fps": rows["fps"]})
    times = selection.repeats(declaration)
    repeats = np.array([times[p] for p in rows["part"].to_pylist()])
    return plan_buckets(table, trainer.rule(declaration, selection.medium.name), trainer.batch(declaration), repeats)
