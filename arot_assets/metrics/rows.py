"""Metrics of stored columns: read other tables of a shard, compute what is missing, write each table in one step.

Belongs here: row-level increments of tables that are made from tables. Does not belong here: metrics that see files
(``build.py``), whether the values of a row fit (``fit_rows.py``), Dagster. Nothing is decoded here.

A sample has a row if it has one in each table that the metric takes; where one of those failed, so does this one. A row is
current if its version matches: of the metric, and of the rows that it was computed from. Those of metric tables have a version of
their own; of ``samples``, whose texts may change while the bytes do not, the values count. Missing rows are first looked for in
other shards, as for metrics that see files; then they are computed, in blocks.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.datasets.duplicates import MARKS
from arot_assets.datasets.presence import Shards, present_uris
from arot_assets.metrics.fit_rows import REASON, computed_rows
from arot_assets.metrics.head_rows import INDEX, columns_of_head, head_outputs, load_heads
from arot_assets.metrics.metric import ColumnsOfRows, Metric, Rows
from arot_assets.metrics.table_builder import MetricResult, TableBuilder, had_value, take_copies, write_table
from arot_assets.metrics.text_rows import similarity_of
from arot_assets.progress import track
from arot_assets.reasons import meant
from resources.models.entries import find_entry
from resources.models.entry import ModelError
from resources.tables import SAMPLES, TableRef, Tables, Unfinished
from resources.warehouse import Warehouse

if TYPE_CHECKING:
    from resources.models import Models

BLOCK = 16_384
"""Rows that are computed at a time."""
INPUTS = "inputs"
"""Key of the footer: what the tables were that the rows were made from."""
TOLD = ("metric_version", INPUTS, "samples_version", "samples_digest", MARKS, "failed")
"""Keys of a footer which together change whenever the rows of a table do."""


@dataclass(frozen=True)
class Inputs:
    """The stored columns of one shard, aligned.

    Attributes:
        table: the columns as the metrics name them, a row for each sample.
        ids: the samples.
        reasons: why the inputs of a sample are not there; null if they are.
        versions: table -> what its row of a sample was made by.
        footer: what the table says of itself that is made from them.
    """

    table: pa.Table
    ids: pa.Array
    reasons: pa.Array
    versions: Mapping[str, Sequence[str]]
    footer: Mapping[str, str]


def row_versions(metrics: Iterable[Metric], models: "Models") -> dict[str, str]:
    """The version of the code, parameters and model of each metric; what its inputs are comes on top, row by row."""
    return {m.name: m.metric_version(models.fingerprint(m.model) if m.model else "") for m in metrics}


def wanted_footer(
    footers: Callable[[str], Mapping[str, str] | None], takes: Rows, version: str
) -> dict[str, str] | None:
    """What the footer of a current table says.

    Args:
        footers: table -> what the footer of this shard's file says; None if there is none.
        takes: what the metric is computed from.
        version: of ``row_versions``.

    Returns:
        None if a table that it is made from is not there, or is not of the samples that are there now.
    """
    samples = footers(SAMPLES)
    inputs = {table: footers(table) for table in takes.tables}
    if samples is None:
        return None
    told = {table: footer for table, footer in inputs.items() if footer is not None}
    if len(told) < len(inputs) or any(f.get("samples_digest") != samples["samples_digest"] for f in told.values()):
        return None
    return {"metric_version": version, "samples_digest": samples["samples_digest"], INPUTS: _mark(told)}


def rows_are_current(tables: Tables, dataset: str, metric: Metric, shard: str, version: str) -> bool:
    """Whether a shard's table is complete and of this version; reads footers and no rows."""

    def footer(table: str) -> dict[str, str] | None:
        return tables.footer_if_any(TableRef(dataset, table, shard))

    assert metric.rows is not None
    own, wanted = footer(metric.name), wanted_footer(footer, metric.rows, version)
    return own is not None and wanted is not None and all(own.get(key) == value for key, value in wanted.items())


def build_rows(
    warehouse: Warehouse,
    models: "Models",
    dataset: str,
    shard: str,
    metrics: Sequence[Metric],
    retry: str | None = None,
    shards: Shards | None = None,
) -> dict[str, MetricResult]:
    """Bring the tables of some metrics up to date for one shard; they take columns of the same tables, which are read once.

    Args:
        warehouse: over the lake.
        models: the heads among the metrics; loaded when a row of theirs is missing.
        dataset: whose tables.
        shard: the shard's name; its samples and the tables that the metrics take must be there.
        metrics: all of them with ``rows`` of the same tables.
        retry: None keeps failed rows; otherwise failed rows whose reason contains this text are computed again.
        shards: of the dataset, where the builds of several shards share what it finds.

    Returns:
        metric name -> its result; with ``error`` where its model cannot be used, whose table is left as it was.

    Raises:
        TablesError: a table that they take has no file for this shard.
        StorageError: the store cannot be written; the existing tables are kept.
    """
    columns = Rows(tuple(dict.fromkeys(c for m in metrics if m.rows is not None for c in m.rows.columns)))
    inputs = read_inputs(warehouse, dataset, shard, columns)
    shards = shards or Shards(warehouse, dataset)
    versions = row_versions(metrics, models)
    wanted = {m.name: _wanted_versions(versions[m.name], m, inputs) for m in metrics}
    growing = {
        m.name: _start(warehouse.tables, dataset, shard, m, versions[m.name], inputs, wanted[m.name], retry, shards)
        for m in metrics
    }
    todo = {name: _missing_rows(one, inputs) for name, one in growing.items()}
    given = _of_heads(models, metrics, growing, todo, inputs)
    for metric in metrics:
        name, one = metric.name, growing[metric.name]
        if not one.result.error:
            _fill(f"{dataset} {shard}: {name}", metric, one, inputs, wanted[name], todo[name], given.get(name))
            write_table(warehouse.tables, dataset, shard, one, inputs.ids.to_pylist(), inputs.footer)
    return {name: one.result for name, one in growing.items()}


def read_inputs(warehouse: Warehouse, dataset: str, shard: str, takes: Rows) -> Inputs:
    """The columns that some metrics take of one shard, a row for each ok sample that all tables have.

    Raises:
        TablesError: one of the tables has no file for this shard.
    """
    tables = warehouse.tables
    footers = {
        table: tables.footer(TableRef(dataset, table, shard)) for table in {SAMPLES: 0, **dict.fromkeys(takes.tables)}
    }
    samples = _ok_samples(warehouse, dataset, shard, takes.of(SAMPLES))
    ids = samples["sample_id"].combine_chunks()
    found = {
        table: tables.read(TableRef(dataset, table, shard), _columns(takes, table))
        for table in takes.tables
        if table != SAMPLES
    }
    for table in found.values():
        ids = ids.filter(pc.is_in(ids, value_set=table["sample_id"].combine_chunks()))
    found[SAMPLES] = samples
    aligned = {n: t.take(pc.index_in(ids, value_set=t["sample_id"].combine_chunks())) for n, t in found.items()}
    taken = {f"{t}.{c}": aligned[t][c] for t, c in (name.split(".") for name in takes.columns)}
    others = {name: table for name, table in aligned.items() if name != SAMPLES}
    digests = {footers[table].get("samples_digest", "") for table in takes.tables}
    own = footers[SAMPLES]["samples_digest"]
    return Inputs(
        table=pa.table(taken),
        ids=ids,
        reasons=_missing(others, len(ids)),
        versions={n: table["metric_version"].to_pylist() for n, table in others.items()}
        | ({SAMPLES: _said(aligned[SAMPLES].select(takes.of(SAMPLES)))} if SAMPLES in takes.tables else {}),
        # a table of samples that were there before does not pass for one of those that are there now
        footer={
            "samples_digest": own if digests == {own} else next(iter(digests - {own})),
            INPUTS: _mark({table: footers[table] for table in takes.tables}),
        },
    )


def _columns(takes: Rows, table: str) -> list[str]:
    return list(dict.fromkeys(["sample_id", "status", "reason", "metric_version", *takes.of(table)]))


def _ok_samples(warehouse: Warehouse, dataset: str, shard: str, columns: Sequence[str]) -> pa.Table:
    """The ok samples of a shard, each once: of one that left and came back, the row of where it is now."""
    wanted = list(dict.fromkeys(["sample_id", "uri", "status", *columns]))
    table = warehouse.tables.read(TableRef(dataset, SAMPLES, shard), wanted)
    table = table.filter(pc.equal(table["status"], "ok"))
    if pc.count_distinct(table["sample_id"]).as_py() == table.num_rows:
        return table
    present = present_uris(warehouse, dataset, shard)
    rank = {s: k for k, (s, uri) in enumerate(_pairs(table, "sample_id", "uri")) if uri not in present}
    rank |= {s: k for k, (s, uri) in enumerate(_pairs(table, "sample_id", "uri")) if uri in present}
    return table.take(pa.array(sorted(rank.values()), pa.int64()))


def _pairs(table: pa.Table, *names: str) -> Iterator[tuple[str, ...]]:
    return zip(*(table[name].to_pylist() for name in names), strict=True)


def _missing(tables: Mapping[str, pa.Table], count: int) -> pa.Array:
    """Why a row of the inputs is not there: ``no embedding: corrupt …``; of several, the first."""
    reasons: pa.Array = pa.nulls(count, pa.string())
    for name, table in tables.items():
        said = pc.binary_join_element_wise(_prefix(name), pc.fill_null(table["reason"], ""), "")
        reasons = pc.coalesce(reasons, pc.if_else(pc.equal(table["status"], "ok"), pa.scalar(None, pa.string()), said))
    return reasons.combine_chunks() if isinstance(reasons, pa.ChunkedArray) else reasons


def _prefix(table: str) -> str:
    """What a reason begins with that says of another table's row that it failed."""
    return f"no {table}: "


def _said(samples: pa.Table) -> list[str]:
    """A digest of each row's values."""
    return [
        hashlib.sha256(json.dumps(row, sort_keys=True, default=str).encode()).hexdigest() for row in samples.to_pylist()
    ]


def _mark(footers: Mapping[str, Mapping[str, str]]) -> str:
    """12 hex digits that change with the rows of some tables."""
    told = {table: {key: footer.get(key) for key in TOLD} for table, footer in footers.items()}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


def _wanted_versions(version: str, metric: Metric, inputs: Inputs) -> dict[str, str]:
    """Sample -> version of its row: the metric's, and what the row is made from."""
    assert metric.rows is not None
    made_by = [inputs.versions[table] for table in metric.rows.tables]
    known: dict[tuple[str, ...], str] = {}
    for key in zip(*made_by, strict=True):
        if key not in known:
            known[key] = hashlib.sha256(json.dumps([version, *key]).encode()).hexdigest()[:12]
    return {s: known[key] for s, key in zip(inputs.ids.to_pylist(), zip(*made_by, strict=True), strict=True)}


def _start(
    tables: Tables,
    dataset: str,
    shard: str,
    metric: Metric,
    version: str,
    inputs: Inputs,
    wanted: Mapping[str, str],
    retry: str | None,
    shards: Shards,
) -> TableBuilder:
    """The rows that are current already: this shard's own, then rows of the same content in other shards."""
    one = TableBuilder(metric, version, Unfinished(tables, dataset, metric.name, shard, version))
    there = inputs.ids.filter(pc.is_null(inputs.reasons))
    assert metric.rows is not None
    missed = tuple(_prefix(table) for table in metric.rows.tables)

    def usable(table: pa.Table) -> pa.Table:
        keep = [
            wanted.get(sample) == found
            and not (reason or "").startswith(missed)
            and not (status == "failed" and retry is not None and meant(retry, reason or ""))
            for sample, found, status, reason in _pairs(table, "sample_id", "metric_version", "status", "reason")
        ]
        of_inputs = pc.is_in(table["sample_id"], value_set=there)
        return table.filter(pc.and_(pa.array(keep, pa.bool_()), of_inputs))

    ref = TableRef(dataset, metric.name, shard)
    if tables.exists(ref):
        own = tables.read(ref)
        one.had_value = had_value(own, tables.footer(ref))
        if own.schema.names == metric.schema().names:
            one.result.kept += one.take(usable(own))
    take_copies(one, tables, dataset, shard, there.to_pylist(), usable, shards)
    return one


def _missing_rows(one: TableBuilder, inputs: Inputs) -> pa.Array:
    """The rows of the inputs that are to be computed."""
    done = pc.is_in(inputs.ids, value_set=pa.array(list(one.done), pa.string()))
    return pc.indices_nonzero(pc.and_(pc.invert(done), pc.is_null(inputs.reasons)))


def _of_heads(
    models: "Models",
    metrics: Sequence[Metric],
    growing: Mapping[str, TableBuilder],
    todo: Mapping[str, pa.Array],
    inputs: Inputs,
) -> dict[str, Callable[[pa.Table], ColumnsOfRows]]:
    """What computes the columns of each metric that has a model. Heads that miss the same rows are one pass over them.

    A model that cannot be used ends its own table only.
    """
    groups: dict[tuple[str, bytes], list[Metric]] = {}
    found: dict[str, Callable[[pa.Table], ColumnsOfRows]] = {}
    for metric in metrics:
        if metric.model is None or metric.rows is None or not len(todo[metric.name]):
            continue
        if find_entry(metric.model).family == "similarity":
            try:
                compute = similarity_of(models, metric)
            except ModelError as error:
                growing[metric.name].result.error = str(error)
            else:
                taken = inputs.table.select(list(metric.rows.columns)).take(todo[metric.name])
                found[metric.name] = partial(_of_index, compute, taken)
        else:
            key = (metric.rows.columns[0], todo[metric.name].to_numpy().tobytes())
            groups.setdefault(key, []).append(metric)
    for (column, _), alike in groups.items():
        heads, failed = load_heads(models, alike)
        good = [m for m in alike if m.name not in failed]
        if heads is not None:
            try:
                outputs = head_outputs(heads, inputs.table[column].take(todo[good[0].name]))
            except ModelError as error:
                failed |= {m.name: str(error) for m in good}
            else:
                version = f"{column.split('.')[0]}.metric_version"
                made_by = (
                    inputs.table[version].take(todo[good[0].name]) if version in inputs.table.column_names else None
                )
                found |= {m.name: columns_of_head(m, outputs[m.name], made_by) for m in good}
        for name, why in failed.items():
            growing[name].result.error = why
    return found


def _of_index(compute: Callable[[pa.Table], ColumnsOfRows], taken: pa.Table, table: pa.Table) -> ColumnsOfRows:
    """The columns of the rows that a table's column ``index`` names."""
    return compute(taken.take(table[INDEX]))


def _fill(
    title: str,
    metric: Metric,
    one: TableBuilder,
    inputs: Inputs,
    wanted: Mapping[str, str],
    todo: pa.Array,
    head: Callable[[pa.Table], ColumnsOfRows] | None,
) -> None:
    """Compute the rows that are missing; those without inputs fail."""
    assert metric.rows is not None
    compute = head or metric.compute_rows
    taken = inputs.table.select(list(metric.rows.columns)).take(todo)
    if head is not None:
        taken = pa.table({INDEX: pa.array(range(len(todo)), pa.int64())})
    with track(title, len(todo)) as advance:
        for start in range(0, len(todo), BLOCK):
            assert compute is not None
            block = taken.slice(start, BLOCK).combine_chunks()
            made = computed_rows(metric, compute, block)
            one.add_part(_as_rows(metric, inputs.ids.take(todo.slice(start, BLOCK)), made, wanted))
            one.result.computed += made.num_rows
            advance(made.num_rows)
    absent = inputs.ids.filter(pc.invert(pc.is_null(inputs.reasons)))
    columns = [pa.nulls(len(absent), column.type) for column in metric.columns]
    made = pa.table([*columns, inputs.reasons.drop_null()], names=[*(c.name for c in metric.columns), REASON])
    one.add_part(_as_rows(metric, absent, made, wanted))


def _as_rows(metric: Metric, ids: pa.Array, made: pa.Table, wanted: Mapping[str, str]) -> pa.Table:
    """Rows of the metric's table for some samples."""
    status = pc.if_else(pc.is_null(made[REASON]), "ok", "failed")
    schema = metric.schema()
    given = {
        "sample_id": ids,
        "status": status,
        "metric_version": pa.array([wanted[sample] for sample in ids.to_pylist()], pa.string()),
        "computed_at": pa.array([datetime.now(UTC)] * len(ids), schema.field("computed_at").type),
    }
    return pa.table([given[f.name] if f.name in given else made[f.name] for f in schema], schema=schema)
