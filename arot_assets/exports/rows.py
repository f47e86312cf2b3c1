"""The rows that a declaration publishes: their values, where their originals are, and how they are divided into files.

Belongs here: the query over the subset and its samples, its checks, the digest, the division into files. Does not
belong here: reading originals (``originals.py``), files (``parquet.py``, ``folder.py``), the card.

Rows are ordered by ``sample_id``, which is derived from content: so the order is the same on every machine, and
effectively shuffled.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from arot_assets.datasets.forgotten import forgotten
from arot_assets.datasets.places import all_roots, medium_of
from arot_assets.datasets.samples import COMMON
from arot_assets.errors import did_you_mean
from arot_assets.exports.declaration import HubDatasetDeclaration
from arot_assets.exports.digest import ColumnsDigest
from arot_assets.exports.errors import ExportError
from arot_assets.exports.features import plain_type, type_name
from arot_assets.local_paths import LocalPaths
from arot_assets.media.medium import Medium
from arot_assets.subsets.project import Project
from resources.tables import Tables
from resources.warehouse import Connection
from resources.warehouse.views import literal, quote

FORMAT = "1"
"""Change this when the same values result in different files: every export is then published again."""
BATCH_ROWS = 1000
GROUP_ROWS = 100
GROUP_BYTES = 100_000_000
"""Rows and bytes of a row group with its originals: what the Hub's viewer reads at once, and what is held in memory here."""
MEGABYTE = 1_000_000
ORIGINAL = "arot:"
"""Prefix of the columns about the original file; they are not published."""
FORMAT_COLUMN = ORIGINAL + "format"
ORIGINAL_COLUMNS = ("uri", "dataset", "sha256", "format", "bytes")
ADDED = ("caption", "tags")
RESERVED = ("file_name", "file_names")


@dataclass(frozen=True)
class ExportRows:
    """What is to be published.

    Attributes:
        sql: a query with ``schema``'s columns and those of the original, ordered by ``sample_id``.
        schema: the published columns besides the original, of plain types.
        datasets: names of the datasets that the samples come from.
        medium: the kind of the files.
        digest: of values, originals and layout; the same digest means the same files.
        count: number of rows.
        file_bytes: total size of the originals.
        value_bytes: total size of the values.
        cuts: for each file, the number of rows in each of its row groups.
        paths: removes local paths from texts.
    """

    sql: str
    schema: pa.Schema
    datasets: tuple[str, ...]
    medium: Medium
    digest: str
    count: int
    file_bytes: int
    value_bytes: int
    cuts: tuple[tuple[int, ...], ...]
    paths: LocalPaths

    def batches(self, con: Connection) -> Iterator[pa.RecordBatch]:
        """The rows, in ``batch_schema``: the published columns without local paths, and those of the original
        unchanged."""
        return _read_batches(con, self.sql, batch_schema(self), self.paths)


def plan_rows(declaration: HubDatasetDeclaration, project: Project, tables: Tables, con: Connection) -> ExportRows:
    """Read all rows once, without the originals.

    Args:
        declaration: what to publish.
        project: the SQL project.
        tables: the store's tables.
        con: a connection with the views of the catalogue.

    Raises:
        ExportError: a column that does not exist or cannot be published, a repeated sample, no rows at all.
    """
    datasets = source_datasets(project, declaration.subset)
    known = {s for (s,) in con.execute("select schema_name from duckdb_views() where view_name = 'samples'").fetchall()}
    datasets = tuple(d for d in datasets if d in known)
    if not datasets:
        raise ExportError(f"subset '{declaration.subset}' does not read the samples of any dataset, so it has no files")
    medium = _medium(declaration, tables, datasets)
    sql = _query(declaration, con, datasets, medium, sorted(forgotten(tables)))
    paths = LocalPaths(root for d in datasets for root in all_roots(tables, d))
    _check_ids(declaration, con)
    found = con.execute(f"select * from ({sql}) limit 0").to_arrow_table().schema
    whole = pa.schema([pa.field(f.name, plain_type(f.type, f.name)) for f in found])
    schema = pa.schema([f for f in whole if not f.name.startswith(ORIGINAL)])
    _check_names(declaration, schema, paths)
    digest, count, sizes = _digest(_read_batches(con, sql, whole, paths))
    if not count:
        raise ExportError(f"subset '{declaration.subset}' has no rows; loosen its conditions before you publish it")
    cuts = _cuts(sizes, digest.size // count, declaration)
    return ExportRows(
        sql,
        schema,
        datasets,
        medium,
        values_digest(digest, declaration, cuts, whole),
        count,
        int(sizes.sum()),
        digest.size,
        cuts,
        paths,
    )


def source_datasets(project: Project, subset: str) -> tuple[str, ...]:
    """The datasets that a subset reads, directly or through other models, sorted."""
    refs, sources = project.inputs(subset)
    found = {project.source(*s).schema for s in sources}
    return tuple(sorted(found.union(*(source_datasets(project, r) for r in refs))))


def batch_schema(rows: ExportRows) -> pa.Schema:
    """The schema of the batches of ``rows.sql``: the published columns, then those of the original."""
    text = [pa.field(ORIGINAL + n, pa.int64() if n == "bytes" else pa.string()) for n in ORIGINAL_COLUMNS]
    return pa.schema([*rows.schema, *text])


def regrouped(batches: Iterator[pa.RecordBatch], sizes: Sequence[int]) -> Iterator[pa.RecordBatch]:
    """The same rows in groups of these sizes; a last group has the remainder."""
    waiting: list[pa.RecordBatch] = []
    for size in sizes:
        while sum(b.num_rows for b in waiting) < size:
            batch = next(batches, None)
            if batch is None:
                break
            waiting.append(batch)
        if not waiting:
            return
        table = pa.Table.from_batches(waiting)
        (group,) = table.slice(0, size).combine_chunks().to_batches()
        waiting = table.slice(size).to_batches()
        yield group


def _medium(declaration: HubDatasetDeclaration, tables: Tables, datasets: Sequence[str]) -> Medium:
    """The medium of these datasets.

    Raises:
        ExportError: they have several media.
    """
    found = {medium_of(tables, d).name: d for d in datasets}
    if len(found) > 1:
        shown = " and ".join(f"{name}s ({dataset})" for name, dataset in sorted(found.items()))
        raise ExportError(
            f"exports/{declaration.name}: subset '{declaration.subset}' reads {shown}; a published dataset contains one kind "
            "of file, so publish one subset per medium"
        )
    return medium_of(tables, datasets[0])


def _query(
    declaration: HubDatasetDeclaration,
    con: Connection,
    datasets: Sequence[str],
    medium: Medium,
    hidden: Sequence[str],
) -> str:
    subset = quote(declaration.subset)
    own = [str(r[0]) for r in con.execute(f"describe main.{subset}").fetchall()]
    offered = {**{name: f"m.{quote(name)}" for name in own}, **{n: f"s.{n}" for n in ADDED if n not in own}}
    chosen = list(offered) if declaration.columns is None else ["sample_id", *declaration.columns]
    chosen = list(dict.fromkeys(chosen))
    for name in chosen:
        if name not in offered:
            raise ExportError(
                f"exports/{declaration.name}: subset '{declaration.subset}' has no column '{name}'."
                f"{did_you_mean(name, offered)}"
            )
        in_folder = declaration.layout == "folder" and name.endswith(tuple(f"_{end}" for end in RESERVED))
        taken = name in (medium.name, *RESERVED) or in_folder
        if taken or name.startswith(ORIGINAL):
            raise ExportError(
                f"exports/{declaration.name}: a column must not be named '{name}', which is the {medium.name} column. Give it "
                "another name in SQL, or name the other `columns`"
            )
    columns = [f"{offered[n]} as {quote(n)}" for n in chosen]
    columns += [f"s.{n} as {quote(ORIGINAL + n)}" for n in ORIGINAL_COLUMNS]
    samples = " union all by name ".join(
        f"select sample_id, {literal(d)} as dataset, uri, sha256, {quote(medium.published.format_column)} as format, "
        f"bytes, caption, tags from {quote(d)}.samples "
        "where status = 'ok'"
        for d in datasets
    )
    shown = f"where m.sample_id not in ({', '.join(map(literal, hidden))})" if hidden else ""
    return f"""select {", ".join(columns)}
        from main.{subset} m left join (
            select * from ({samples}) qualify row_number() over (partition by sample_id order by dataset, uri) = 1
        ) s on m.sample_id = s.sample_id
        {shown}
        order by m.sample_id"""


def _read_batches(con: Connection, sql: str, schema: pa.Schema, paths: LocalPaths) -> Iterator[pa.RecordBatch]:
    """The rows of a query in batches, cast to a schema; what will be published contains no local paths."""
    for batch in con.execute(sql).to_arrow_reader(BATCH_ROWS):
        columns = zip(schema.names, batch.cast(schema).columns, strict=True)
        arrays = [c if name.startswith(ORIGINAL) else paths.removed_from(c) for name, c in columns]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _check_names(declaration: HubDatasetDeclaration, schema: pa.Schema, paths: LocalPaths) -> None:
    for column in schema:
        for name in (column.name, type_name(column.type)):
            if paths.removed(name) != name:
                raise ExportError(
                    f"exports/{declaration.name}: '{name}' in the name of a column contains a local path; give the column "
                    "another name in SQL, or name the other `columns`"
                )


def _check_ids(declaration: HubDatasetDeclaration, con: Connection) -> None:
    subset = quote(declaration.subset)
    counted = con.execute(f"select count(*), count(sample_id), count(distinct sample_id) from main.{subset}").fetchone()
    rows, with_id, distinct = counted or (0, 0, 0)
    if with_id < rows:
        raise ExportError(
            f"{rows - with_id:,} rows of subset '{declaration.subset}' have no sample_id; select only rows with "
            "`samples.status = 'ok'`"
        )
    if distinct < rows:
        raise ExportError(
            f"subset '{declaration.subset}' has {rows - distinct:,} rows that repeat a sample; only one row per sample can be "
            "published, so check that its joins do not multiply rows"
        )


def _digest(batches: Iterator[pa.RecordBatch]) -> tuple[ColumnsDigest, int, np.ndarray]:
    digest, sizes = ColumnsDigest(), [np.zeros(0, np.int64)]
    for batch in batches:
        sizes.append(batch[ORIGINAL + "bytes"].fill_null(0).to_numpy(zero_copy_only=False))
        digest.add(hashed(batch))
    whole = np.concatenate(sizes)
    return digest, len(whole), whole


def values_digest(
    digest: ColumnsDigest, declaration: HubDatasetDeclaration, cuts: Sequence[Sequence[int]], schema: pa.Schema
) -> str:
    """The digest of an export, of the digest of all its rows.

    Args:
        digest: has been fed with ``hashed`` batches.
        declaration: determines the layout.
        cuts: as in ``ExportRows``.
        schema: of the batches.
    """
    types = [(f.name, type_name(f.type)) for f in schema]
    return digest.hexdigest(FORMAT, declaration.layout, declaration.split, repr(cuts), repr(types))


def hashed(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The columns that are hashed: a file is identified by its content, not by its address."""
    return batch.drop_columns([ORIGINAL + "uri", ORIGINAL + "dataset", ORIGINAL + "bytes"])


def _cuts(sizes: np.ndarray, row_bytes: int, declaration: HubDatasetDeclaration) -> tuple[tuple[int, ...], ...]:
    """Row groups of at most ``GROUP_ROWS`` rows and ``GROUP_BYTES``, files of about the declared size."""
    limit = declaration.shard_megabytes * MEGABYTE if declaration.layout == "parquet" else float("inf")
    files: list[list[int]] = [[]]
    file_bytes = group_bytes = group_rows = 0
    for size in sizes.tolist():
        size += row_bytes
        if group_rows and (group_rows == GROUP_ROWS or group_bytes + size > GROUP_BYTES):
            files[-1].append(group_rows)
            group_rows = group_bytes = 0
        if (group_rows or files[-1]) and file_bytes + size > limit:
            files[-1] += [group_rows] if group_rows else []
            files.append([])
            file_bytes = group_rows = group_bytes = 0
        group_rows += 1
        group_bytes += size
        file_bytes += size
    files[-1].append(group_rows)
    return tuple(tuple(f) for f in files)


def added_descriptions() -> dict[str, str]:
    """Descriptions of the columns that are added to those of the subset."""
    return {column.name: column.description for column in COMMON if column.name in ADDED}
