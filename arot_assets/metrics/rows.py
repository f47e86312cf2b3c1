"""Metrics of stored columns: read other tables of a shard, compute what is missing, write each table in one step.

Belongs here: row-level increments of tables that are made from tables. Does not belong here: metrics that see files
(``build.py``), reading the columns (``row_inputs.py``), whether the values of a row fit (``fit_rows.py``), Dagster. Nothing is
decoded here.

A sample has a row if it has one in each table that the metric takes; where one of those failed, so does this one. Where those
have a row for each still, so has this one; a film that failed as a whole has one row. A row is current if its version matches:
of the metric, and of the rows that it was computed from. Those of metric tables have a version of
their own; of ``samples``, whose texts may change while the bytes do not, the values count. Missing rows are first looked for in
other shards, as for metrics that see files; then they are computed, in blocks.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.datasets.presence import Shards
from arot_assets.metrics.children import still_table
from arot_assets.metrics.fit_rows import REASON, computed_rows
from arot_assets.metrics.head_rows import INDEX, columns_of_head, head_outputs, load_heads, trained_for
from arot_assets.metrics.metric import ColumnsOfRows, Metric, Rows
from arot_assets.metrics.row_inputs import INPUTS, Inputs, cells_of, mark_of, missing_prefix, read_inputs
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
    return {"metric_version": version, "samples_digest": samples["samples_digest"], INPUTS: mark_of(told)}


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


def _wanted_versions(version: str, metric: Metric, inputs: Inputs) -> dict[str, str]:
    """Sample, or key of a still -> version of its row: the metric's, and what the row is made from."""
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
    unfinished = Unfinished(tables, dataset, metric.name, shard, version)
    table_of_metric = metric if inputs.places is None else still_table(metric, version)
    one = TableBuilder(table_of_metric, version, unfinished, of_stills=inputs.places is not None)
    there = inputs.ids.filter(pc.is_null(inputs.reasons))
    assert metric.rows is not None
    missed = tuple(missing_prefix(table) for table in metric.rows.tables)

    def usable(table: pa.Table) -> pa.Table:
        keys = one.keys(table)
        keep = [
            wanted.get(key) == found
            and not (reason or "").startswith(missed)
            and not (status == "failed" and retry is not None and meant(retry, reason or ""))
            for key, (found, status, reason) in zip(
                keys.to_pylist(), cells_of(table, "metric_version", "status", "reason"), strict=True
            )
        ]
        of_inputs = pc.is_in(keys, value_set=there)
        return table.filter(pc.and_(pa.array(keep, pa.bool_()), of_inputs))

    ref = TableRef(dataset, metric.name, shard)
    if tables.exists(ref):
        own = tables.read(ref)
        one.had_value = had_value(own, tables.footer(ref))
        if own.schema.names == one.metric.schema().names:
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
                compute, where = similarity_of(models, metric)
            except ModelError as error:
                growing[metric.name].result.error = str(error)
            else:
                taken = inputs.table.select(list(metric.rows.columns)).take(todo[metric.name])
                found[metric.name] = partial(_of_index, compute, taken)
                growing[metric.name].result.model = dict(where)
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
                for m in good:
                    growing[m.name].result.model = dict(heads.report(m.name))
                    found[m.name] = columns_of_head(m, outputs[m.name], made_by, trained_for(models, m))
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
            one.add_part(_as_rows(one, inputs, todo.slice(start, BLOCK), made, wanted))
            one.result.computed += made.num_rows
            advance(made.num_rows)
    absent = pc.indices_nonzero(pc.is_valid(inputs.reasons))
    columns = [pa.nulls(len(absent), column.type) for column in metric.columns]
    made = pa.table([*columns, inputs.reasons.drop_null()], names=[*(c.name for c in metric.columns), REASON])
    one.add_part(_as_rows(one, inputs, absent, made, wanted))


def _as_rows(one: TableBuilder, inputs: Inputs, which: pa.Array, made: pa.Table, wanted: Mapping[str, str]) -> pa.Table:
    """Rows of the metric's table for some rows of the inputs."""
    keys = inputs.ids.take(which)
    place = pa.table({"sample_id": keys}) if inputs.places is None else inputs.places.take(which)
    status = pc.if_else(pc.is_null(made[REASON]), "ok", "failed")
    schema = one.metric.schema()
    given = {
        **{name: place[name] for name in place.column_names},
        "status": status,
        "metric_version": pa.array([wanted[key] for key in keys.to_pylist()], pa.string()),
        "computed_at": pa.array([datetime.now(UTC)] * len(keys), schema.field("computed_at").type),
    }
    return pa.table([given[f.name] if f.name in given else made[f.name] for f in schema], schema=schema)
