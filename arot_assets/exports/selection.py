"""The rows of an export: its samples with their captions, where their files are, and which rules their rows break.

Belongs here: the query over subsets and samples, the rules that rows alone decide. Does not belong here: reading files
(``build.py``), the rows of publications with values (``rows.py``).

Rows are ordered by ``sample_id``, which is derived from content: so the order is the same on every machine, and effectively
shuffled.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from arot_assets.datasets.forgotten import forgotten
from arot_assets.datasets.places import all_roots, medium_of
from arot_assets.errors import did_you_mean
from arot_assets.exports.buckets.plan import BucketPlan, plan_buckets
from arot_assets.exports.companions import FIELDS, ROLES, broken_companions, column
from arot_assets.exports.errors import ExportError
from arot_assets.exports.export import WHITE, ExportDeclaration
from arot_assets.exports.mix import repeats_of
from arot_assets.exports.prepare import KNOWN, MODIFIED, PLAIN, wanted_size
from arot_assets.exports.rows import source_datasets
from arot_assets.exports.rules import RULES, RuleName, Violation, one_line
from arot_assets.exports.trainers.trainer import Trainer
from arot_assets.exports.trainers.trainers import trainers_of
from arot_assets.local_paths import LocalPaths
from arot_assets.media.medium import Medium
from arot_assets.subsets.project import Project
from resources.tables import Tables
from resources.warehouse import Connection
from resources.warehouse.views import literal, quote

SMALLEST_SIDE = 64
LAYOUT_MULTIPLE = 32
SHOWN = 5
RESERVED = ("file_name", "text", "image", "video", *(f"{role}_file_name" for role in ROLES))
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


def select_rows(declaration: ExportDeclaration, project: Project, tables: Tables, con: Connection) -> Selection:
    """Query the subsets, and apply the rules that need no file.

    Args:
        declaration: what to export.
        project: the SQL project with the subsets, which are built.
        tables: the store's tables.
        con: a connection with the views of the catalogue.

    Raises:
        ExportError: a subset that cannot be exported, or samples that break a rule whose action is ``stop``.
    """
    known = {s for (s,) in con.execute("select schema_name from duckdb_views() where view_name = 'samples'").fetchall()}
    found = {p: tuple(d for d in source_datasets(project, p) if d in known) for p in declaration.parts}
    for part, datasets in found.items():
        if not datasets:
            raise ExportError(f"subset '{part}' does not read the samples of any dataset, so it has no files")
    names = tuple(sorted({d for datasets in found.values() for d in datasets}))
    media = {medium_of(tables, d).name: medium_of(tables, d) for d in names}
    if len(media) > 1:
        raise ExportError(
            f"exports/{declaration.name}: its subsets read {' and '.join(f'{m}s' for m in sorted(media))}; make one export for "
            "each, because trainers do not take them in one folder"
        )
    (medium,) = media.values()
    tables_of = [_part(declaration, con, part, datasets, medium) for part, datasets in found.items()]
    rows = pa.concat_tables(tables_of, promote_options="default")
    hidden = forgotten(tables)
    if hidden:
        rows = rows.filter(pa.compute.invert(pa.compute.is_in(rows["sample_id"], pa.array(sorted(hidden)))))
    if not rows.num_rows:
        raise ExportError(f"subset '{declaration.subset}' has no rows; loosen its conditions before you export it")
    paths = LocalPaths(root for d in names for root in all_roots(tables, d))
    for name in ("caption", *declaration.columns):
        chunks = [paths.removed_from(chunk) for chunk in rows[name].chunks]
        rows = rows.set_column(rows.column_names.index(name), name, pa.chunked_array(chunks, rows[name].type))
    selection = Selection(rows, names, medium, trainers_of(declaration, medium.name), paths)
    _judge(declaration, selection)
    return selection


def _part(
    declaration: ExportDeclaration, con: Connection, part: str, datasets: Sequence[str], medium: Medium
) -> pa.Table:
    """The rows of one subset."""
    own = [str(r[0]) for r in con.execute(f"describe main.{quote(part)}").fetchall()]
    if "sample_id" not in own:
        raise ExportError(f"subset '{part}' has no column sample_id; select it, so that its files can be found")
    sampled = {"caption", "tags"}
    for name in (declaration.caption, *declaration.columns, *declaration.companions.values()):
        if name not in own and name not in sampled:
            raise ExportError(
                f"exports/{declaration.name}: subset '{part}' has no column '{name}'.{did_you_mean(name, [*own, *sampled])}"
            )
        if name in declaration.columns and name != declaration.caption and name in (*COLUMNS, *RESERVED):
            raise ExportError(
                f"exports/{declaration.name}: '{name}' is a column of every export; take it out of `columns`"
            )

    def value(name: str) -> str:
        return f"m.{quote(name)}" if name in own else f"s.{quote(name)}"

    caption = value(declaration.caption)
    joins = _samples(con, datasets, medium)
    kind = con.execute(f"describe select {caption} as c from main.{quote(part)} m {joins} limit 0")
    if "[]" in str(kind.fetchall()[0][1]):  # a list of tags
        caption = f"array_to_string({caption}, ', ')"
    further = "".join(f", {value(n)} as {quote(n)}" for n in declaration.columns)
    for role, name in declaration.companions.items():
        joins += f" {_samples(con, datasets, medium, value(name), role)}"
        asked = {f: value(name) if f == "sample_id" else f"{role}.{f}" for f in FIELDS}
        further += "".join(f", {sql} as {quote(column(role, f))}" for f, sql in asked.items())
    table = con.execute(
        f"""select m.sample_id, {literal(part)} as part, s.dataset, s.uri, s.sha256, s.bytes, s.width, s.height, s.frames,
            s.fps, s.modified as {quote(MODIFIED)}, s.plain as {quote(PLAIN)}, {caption}::varchar as caption{further}
        from main.{quote(part)} m {joins}
        qualify row_number() over (partition by m.sample_id order by s.dataset, s.uri) = 1
        order by m.sample_id"""
    ).to_arrow_table()
    repeated, missing = con.execute(
        f"select count(sample_id) - count(distinct sample_id), count(*) - count(sample_id) from main.{quote(part)}"
    ).fetchone() or (0, 0)
    if missing:
        raise ExportError(
            f"{missing:,} rows of subset '{part}' have no sample_id; select only rows with `samples.status = 'ok'`"
        )
    if repeated:
        raise ExportError(
            f"subset '{part}' has {repeated:,} rows that repeat a sample; check that its joins do not multiply rows"
        )
    return table


def _samples(
    con: Connection, datasets: Sequence[str], medium: Medium, sample_id: str = "m.sample_id", name: str = "s"
) -> str:
    """The join with the samples of some datasets, as ``name``, by an expression for their id."""
    timed = {c.name for c in medium.columns}
    frames = next((n for n in ("frames_expected", "frames") if n in timed), "1")
    fps = next((n for n in ("median_fps", "fps") if n in timed), "0")
    found = " union all by name ".join(
        f"select sample_id, {literal(d)} as dataset, uri, sha256, bytes, width, height, {frames}::int as frames, "
        f"{fps}::double as fps, caption, tags, epoch_us(mtime) as modified, {_plain(con, d)} as plain "
        f"from {quote(d)}.samples left join (select uri, shard, mtime from {quote(d)}.inventory where state = 'present') "
        "using (uri, shard) where status = 'ok'"
        for d in datasets
    )
    return f"left join ({found}) {name} on {sample_id} = {name}.sample_id"


def _plain(con: Connection, dataset: str) -> str:
    """SQL for the format of a picture that nothing has to be mended of, as far as its samples tell."""
    have = {str(r[0]) for r in con.execute(f"describe {quote(dataset)}.samples").fetchall()}
    if "pixels_only" not in have:  # not a picture, or read before that was looked at
        return "null::varchar"
    return "case when pixels_only and not has_alpha and n_frames = 1 and mode in ('RGB', 'L') then format end"


def _judge(declaration: ExportDeclaration, selection: Selection) -> None:
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


def settings_of(declaration: ExportDeclaration) -> str:
    """What of a declaration determines the files."""
    unused: set[str] = {role for role in ROLES if role not in declaration.companions}
    if declaration.background == WHITE:  # as versions were made before it could be chosen
        unused.add("background")
    told: dict[str, Any] = declaration.model_dump(
        mode="json", exclude={"name", "description", "owners", "destination", "files", "private", *unused}
    )
    return json.dumps(told, sort_keys=True)
