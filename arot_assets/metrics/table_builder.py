"""A metric table of one shard while it is being filled: which rows are current already, those added, and writing it.

Belongs here: rows of one table. Does not belong here: what computes them (``build.py``, ``build_files.py``, ``rows.py``, and
captions).

A row is current if its sample is an ``ok`` sample of the shard and its ``metric_version`` is the table's. Missing rows are looked
for in other shards, where a renamed, moved or copied file has its content already. An object that left needs no work: its row
stays while it is current. A row whose sample became a duplicate of one in another shard is handed to that shard before it is left
out here.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.columns import Column
from arot_assets.datasets.presence import Shards
from arot_assets.datasets.shards import LOST
from arot_assets.metrics.one_pass import UNREADABLE
from arot_assets.reasons import meant
from resources.tables import SAMPLES, TableRef, Tables, Unfinished
from resources.tables.unfinished import FOLDER as UNFINISHED

ROWS_AT_ONCE = 512
"""Rows kept as Python objects, which are several times as large, before they are converted to Arrow."""


@dataclass
class MetricResult:
    """The result for one metric in one shard.

    Attributes:
        rows: rows of the table: one for each ok sample.
        computed: rows measured now.
        copied: rows found in other shards, by content.
        kept: rows that were already current.
        failures: reason -> rows.
        outside: column -> values outside its declared range.
        lost: failed rows whose sample had a value from an earlier version.
        error: why its model cannot be used; the table is then left as it was. Empty when the table is written.
        model: what its model did, for users: device, images/s and so on; empty without one.
    """

    rows: int = 0
    computed: int = 0
    copied: int = 0
    kept: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    outside: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    error: str = ""
    model: dict[str, Any] = field(default_factory=dict)


class MetricTable(Protocol):
    """What a table has that is filled row by row: metrics, and whatever else has a row for each sample."""

    @property
    def name(self) -> str:
        """The table: ``<dataset>.<name>``."""
        ...

    @property
    def columns(self) -> Sequence[Column]:
        """Of a row, without those of every metric table."""
        ...

    def schema(self) -> pa.Schema:
        """The Arrow schema of ``metric_schema``."""
        ...


@dataclass
class TableBuilder:
    """A metric table of a shard while it is being filled."""

    metric: MetricTable
    version: str
    unfinished: Unfinished
    new: list[pa.Table] = field(default_factory=list)
    parts: list[pa.Table] = field(default_factory=list)
    done: set[str] = field(default_factory=set)
    computed: list[dict[str, Any]] = field(default_factory=list)
    had_value: frozenset[str] = frozenset()
    result: MetricResult = field(default_factory=MetricResult)
    of_stills: bool = False
    """Whether a row is known by its sample and still (``row_keys``), and not by its sample alone."""

    def keys(self, table: pa.Table) -> pa.Array:
        """What each row is known by."""
        return row_keys(table) if self.of_stills else table["sample_id"]

    def take(self, part: pa.Table) -> int:
        """Add the rows that are not there yet; returns how many."""
        keys = self.keys(part)
        fresh = part.filter(pc.invert(pc.is_in(keys, value_set=pa.array(list(self.done), pa.string()))))
        if fresh.num_rows:
            self.parts.append(fresh)
            self.done.update(self.keys(fresh).to_pylist())
        return int(fresh.num_rows)

    def add_part(self, part: pa.Table) -> None:
        """Add rows of samples that are not there yet."""
        self.parts.append(part)
        self.done.update(self.keys(part).to_pylist())

    def add(self, row: dict[str, Any]) -> None:
        """Add a computed row, of a sample that is not there yet."""
        self.computed.append(row)
        self.result.computed += 1
        if len(self.computed) >= ROWS_AT_ONCE:
            self.pack()

    def add_file(self, sample_id: str, rows: pa.Table) -> None:
        """Add all rows of a file that is not there yet, which may be none."""
        self.parts.append(rows)
        self.new.append(rows)
        self.done.add(sample_id)
        self.result.computed += rows.num_rows

    def pack(self) -> None:
        """Convert the computed rows to Arrow."""
        if self.computed:
            part = pa.Table.from_pylist(self.computed, schema=self.metric.schema())
            self.parts.append(part)
            self.new.append(part)
            self.done.update(row["sample_id"] for row in self.computed)
            self.computed.clear()

    def keep(self) -> None:
        """Save what was computed since the last time, so that it survives the end of this process."""
        self.pack()
        if self.new:
            self.unfinished.keep(pa.concat_tables(self.new))
            self.new.clear()


def is_current(tables: Tables, dataset: str, metric: str, shard: str, version: str) -> bool:
    """Whether a shard's table is complete and of this version; reads two footers and no rows."""
    samples = tables.footer_if_any(TableRef(dataset, SAMPLES, shard))
    table = tables.footer_if_any(TableRef(dataset, metric, shard))
    return (
        samples is not None
        and table is not None
        and table.get("metric_version") == version
        and table.get("samples_digest") == samples["samples_digest"]
    )


def start_table(
    tables: Tables,
    dataset: str,
    shard: str,
    metric: MetricTable,
    version: str,
    uris: Mapping[str, str],
    retry: str | None,
    shards: Shards,
    folder: str = UNFINISHED,
) -> TableBuilder:
    """The rows that are current already: this shard's own, then rows of the same content in other shards.

    Args:
        tables: the lake.
        dataset: whose table.
        shard: the shard's name.
        metric: the table.
        version: of current rows.
        uris: the ok samples of the shard, and where they are.
        retry: None keeps failed rows; otherwise those whose reason contains this text are not current.
        shards: of the dataset.
        folder: of the store, where finished rows of incomplete tables are saved.
    """
    ids = pa.array(list(uris), pa.string())
    one = TableBuilder(metric, version, Unfinished(tables, dataset, metric.name, shard, version, folder))

    def usable(table: pa.Table) -> pa.Table:
        keep = pc.and_(pc.equal(table["metric_version"], version), pc.is_in(table["sample_id"], value_set=ids))
        if retry is not None:
            failed = pc.equal(table["status"], "failed").to_pylist()
            again = [f and meant(retry, r or "") for f, r in zip(failed, table["reason"].to_pylist(), strict=True)]
            keep = pc.and_(keep, pc.invert(pa.array(again, pa.bool_())))
        return table.filter(keep)

    for kept_before in one.unfinished.read():
        if kept_before.schema.names == metric.schema().names:
            one.result.kept += one.take(usable(kept_before))
    ref = TableRef(dataset, metric.name, shard)
    if tables.exists(ref):
        own = tables.read(ref)
        one.had_value = had_value(own, tables.footer(ref))
        if own.schema.names == metric.schema().names:
            one.result.kept += one.take(usable(own))
            left_out = pc.and_(
                pc.equal(own["metric_version"], version), pc.invert(pc.is_in(own["sample_id"], value_set=ids))
            )
            _hand_over(tables, dataset, shard, metric.name, version, of_content(own.filter(left_out)), shards)
    take_copies(one, tables, dataset, shard, uris, usable, shards)
    return one


def take_copies(
    one: TableBuilder,
    tables: Tables,
    dataset: str,
    shard: str,
    wanted: Iterable[str],
    usable: Callable[[pa.Table], pa.Table],
    shards: Shards,
) -> None:
    """Take the rows of samples that are not there yet from other shards, which have the same content.

    Args:
        one: the table that is filled.
        tables: the lake.
        dataset: whose table.
        shard: the shard's name.
        wanted: its samples; of stills, the keys of their rows.
        usable: the current ones of some rows.
        shards: of the dataset.
    """
    missing = [sample for sample in wanted if sample not in one.done]
    others = set(tables.shards(dataset, one.metric.name)) - {shard} if missing else set()
    samples = list(dict.fromkeys(sample_of(key) for key in missing)) if one.of_stills else missing
    for other in sorted(others & shards.having(samples)) if others else ():
        found = tables.read(TableRef(dataset, one.metric.name, other))
        if found.schema.names == one.metric.schema().names:
            one.result.copied += one.take(of_content(usable(found)))


def row_keys(table: pa.Table) -> pa.Array:
    """What the rows of stills are known by: the sample and ``n``, which is empty where a film failed."""
    keys = pc.binary_join_element_wise(table["sample_id"], pc.fill_null(table["n"].cast(pa.string()), ""), " ")
    return keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys


def sample_of(key: str) -> str:
    """The sample of one of ``row_keys``."""
    return key.rpartition(" ")[0]


def of_content(table: pa.Table) -> pa.Table:
    """Rows that are valid for the same bytes elsewhere: not those saying that an object could not be read."""
    return table.filter(pc.invert(pc.fill_null(pc.starts_with(table["reason"], UNREADABLE), False)))


def had_value(own: pa.Table, footer: Mapping[str, str]) -> frozenset[str]:
    """Samples that have a value in a table, or had one before a version that failed for them."""
    return frozenset(
        [*own.filter(pc.equal(own["status"], "ok"))["sample_id"].to_pylist(), *json.loads(footer.get(LOST, "[]"))]
    )


def _hand_over(
    tables: Tables, dataset: str, shard: str, metric: str, version: str, rows: pa.Table, shards: Shards
) -> None:
    """Keep these rows for the other shards that have their samples now, if those have not been looked after since."""
    if not rows.num_rows:
        return
    for other in shards.having(rows["sample_id"].to_pylist()) - {shard}:
        if not is_current(tables, dataset, metric, other, version):
            Unfinished(tables, dataset, metric, other, version).keep(rows)


def write_table(
    tables: Tables,
    dataset: str,
    shard: str,
    one: TableBuilder,
    order: Sequence[str],
    of: Mapping[str, str],
    many: bool = False,
) -> None:
    """Write the complete table of a shard.

    Args:
        tables: the lake.
        dataset: whose table.
        shard: the shard's name.
        one: its rows, and the result that is completed here.
        order: samples (of stills, keys) in the order of the rows; those without a row are passed over.
        of: strings of the footer that say what the rows were made from.
        many: whether a sample may have several rows, which stay in their order.
    """
    schema = one.metric.schema()
    one.pack()
    table = pa.concat_tables([part.cast(schema) for part in one.parts] or [schema.empty_table()])
    if many:
        position = pc.index_in(table["sample_id"], value_set=pa.array(order, pa.string()))
        table = table.take(pa.array(np.argsort(position.to_numpy(), kind="stable"))).combine_chunks()
    else:
        position = pc.index_in(pa.array([s for s in order if s in one.done], pa.string()), value_set=one.keys(table))
        table = table.take(position).combine_chunks()
    one.parts = [table]
    failed = pc.equal(table["status"], "failed")
    reasons = Counter(table.filter(failed)["reason"].to_pylist())
    one.result.rows = table.num_rows
    one.result.failures = dict(reasons)
    lost = [s for s in table.filter(failed)["sample_id"].to_pylist() if s in one.had_value]
    one.result.lost = len(lost)
    one.result.outside = outside(one.metric, table)
    tables.write(
        table,
        TableRef(dataset, one.metric.name, shard),
        footer={
            "metric_version": one.version,
            "failed": str(sum(reasons.values())),
            "outside": json.dumps(one.result.outside),
            LOST: json.dumps(lost),
            **of,
        },
    )


def outside(metric: MetricTable, table: pa.Table) -> dict[str, int]:
    """Column -> how many values of ok rows are not numbers within its declared range; only columns with any."""
    ok = table.filter(pc.equal(table["status"], "ok"))
    counts = {}
    for column in metric.columns:
        if column.low is None and column.high is None:
            continue
        values = ok[column.name].cast(pa.float64())
        low = -math.inf if column.low is None else column.low
        high = math.inf if column.high is None else column.high
        inside = pc.and_(pc.greater_equal(values, low), pc.less_equal(values, high))
        counts[column.name] = ok.num_rows - int(pc.sum(pc.fill_null(inside, column.nullable)).as_py() or 0)
    return {name: count for name, count in counts.items() if count}
