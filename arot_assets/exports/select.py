"""The query for the rows of an export, over subsets and samples.

Belongs here: SQL, and what a subset must have to be exported. Does not belong here: the rules that rows break (``judging.py``).
"""

from collections.abc import Sequence

import pyarrow as pa

from arot_assets.datasets.forgotten import forgotten
from arot_assets.datasets.places import all_roots, medium_of
from arot_assets.errors import did_you_mean
from arot_assets.exports.companions import FIELDS, ROLES, column
from arot_assets.exports.errors import ExportError
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.judging import judge
from arot_assets.exports.prepare import MODIFIED, PLAIN
from arot_assets.exports.rows import source_datasets
from arot_assets.exports.selection import COLUMNS, Selection
from arot_assets.exports.trainers.trainers import trainers_of
from arot_assets.local_paths import LocalPaths
from arot_assets.media.medium import Medium
from arot_assets.subsets.project import Project
from resources.tables import Tables
from resources.warehouse import Connection
from resources.warehouse.views import literal, quote

RESERVED = ("file_name", "text", "image", "video", *(f"{role}_file_name" for role in ROLES))


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
    judge(declaration, selection)
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
