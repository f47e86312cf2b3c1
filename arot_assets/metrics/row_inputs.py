"""The stored columns that metrics of rows are computed from, aligned by sample.

Belongs here: reading them, and what each row was made by. Does not belong here: which rows are current, computing (``rows.py``).
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.datasets.duplicates import MARKS
from arot_assets.datasets.presence import present_uris
from arot_assets.metrics.metric import Rows
from arot_assets.metrics.table_builder import row_keys
from resources.tables import GRAIN, SAMPLES, TableRef
from resources.warehouse import Warehouse

INPUTS = "inputs"
"""Key of the footer: what the tables were that the rows were made from."""
FOLDED = "step"
"""The grain of tables of which a sample's rows are taken together."""
OF_ROWS = ("sample_id", "status", "reason", "metric_version")
TOLD = ("metric_version", INPUTS, "samples_version", "samples_digest", MARKS, "failed")
"""Keys of a footer which together change whenever the rows of a table do."""


@dataclass(frozen=True)
class Inputs:
    """The stored columns of one shard, aligned.

    Attributes:
        table: the columns as the metrics name them, a row for each sample, or each still.
        ids: the samples; of stills, ``row_keys``.
        reasons: why the inputs of a row are not there; null if they are.
        versions: table -> what its row was made by.
        footer: what the table says of itself that is made from them.
        places: ``sample_id``, ``n`` and ``pts`` of the rows if they are of stills; None if a sample has one row.
    """

    table: pa.Table
    ids: pa.Array
    reasons: pa.Array
    versions: Mapping[str, Sequence[str]]
    footer: Mapping[str, str]
    places: pa.Table | None = None


def read_inputs(warehouse: Warehouse, dataset: str, shard: str, takes: Rows) -> Inputs:
    """The columns that some metrics take of one shard, a row for each ok sample that all tables have.

    If one of the tables has a row for each still, so has the result; those of one row a sample say the same of each still. Of
    tables with the grain ``FOLDED`` a sample has the list of each column's values, null where it has no row.

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
        table: tables.read(TableRef(dataset, table, shard), _columns(takes, table, footers[table].get(GRAIN)))
        for table in takes.tables
        if table != SAMPLES
    }
    folded = {name for name in found if footers[name].get(GRAIN) == FOLDED}
    found |= {name: _folded(found[name], ids) for name in folded}
    for table in found.values():
        ids = ids.filter(pc.is_in(ids, value_set=table["sample_id"].combine_chunks()))
    found[SAMPLES] = samples
    stills = [name for name in found if GRAIN in footers[name] and name not in folded]
    places = _places(ids, [found[name] for name in stills]) if stills else None
    if places is not None:
        ids = row_keys(places)
    samples_of_rows = ids if places is None else places["sample_id"]
    aligned = {
        name: table.take(pc.index_in(ids, value_set=row_keys(table)))
        if name in stills
        else table.take(pc.index_in(samples_of_rows, value_set=table["sample_id"].combine_chunks()))
        for name, table in found.items()
    }
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
            INPUTS: mark_of({table: footers[table] for table in takes.tables}),
            **({GRAIN: footers[stills[0]][GRAIN]} if stills else {}),
        },
        places=places,
    )


def _folded(table: pa.Table, ids: pa.Array) -> pa.Table:
    """One row for each sample, with the lists of its values in their order."""
    own = [name for name in table.schema.names if name not in OF_ROWS]
    some = table.group_by("sample_id", use_threads=False).aggregate(
        [("metric_version", "first"), *((c, "list") for c in own)]
    )
    at = pc.index_in(ids, value_set=some["sample_id"].combine_chunks())
    lists = {name: some[f"{name}_list"].take(at) for name in own}
    versions = pc.fill_null(some["metric_version_first"].take(at), "")
    ok, none = pa.array(["ok"] * len(ids), pa.string()), pa.nulls(len(ids), pa.string())
    return pa.table({"sample_id": ids, "status": ok, "reason": none, "metric_version": versions, **lists})


def _columns(takes: Rows, table: str, grain: str | None) -> list[str]:
    position = ["n", "pts"] if grain not in (None, FOLDED) else []
    return list(dict.fromkeys(["sample_id", *position, "status", "reason", "metric_version", *takes.of(table)]))


def _places(ids: pa.Array, tables: Sequence[pa.Table]) -> pa.Table:
    """The stills that all of some tables have, film by film; a film that failed as a whole in one has a row without ``n``."""
    first = tables[0].filter(pc.is_in(tables[0]["sample_id"], value_set=ids))
    failed = pa.concat_tables([t.filter(pc.is_null(t["n"])).select(["sample_id", "n", "pts"]) for t in tables])
    failed = (
        failed.filter(pc.is_in(failed["sample_id"], value_set=ids)).group_by(["sample_id", "n", "pts"]).aggregate([])
    )
    whole = first.filter(pc.invert(pc.is_in(first["sample_id"], value_set=failed["sample_id"].combine_chunks())))
    for other in tables[1:]:
        whole = whole.filter(pc.is_in(row_keys(whole), value_set=row_keys(other)))
    places = pa.concat_tables([whole.select(["sample_id", "n", "pts"]), failed])
    position = pc.index_in(places["sample_id"], value_set=ids).to_numpy()
    return places.take(pa.array(np.argsort(position, kind="stable"))).combine_chunks()


def _ok_samples(warehouse: Warehouse, dataset: str, shard: str, columns: Sequence[str]) -> pa.Table:
    """The ok samples of a shard, each once: of one that left and came back, the row of where it is now."""
    wanted = list(dict.fromkeys(["sample_id", "uri", "status", *columns]))
    table = warehouse.tables.read(TableRef(dataset, SAMPLES, shard), wanted)
    table = table.filter(pc.equal(table["status"], "ok"))
    if pc.count_distinct(table["sample_id"]).as_py() == table.num_rows:
        return table
    present = present_uris(warehouse, dataset, shard)
    rank = {s: k for k, (s, uri) in enumerate(cells_of(table, "sample_id", "uri")) if uri not in present}
    rank |= {s: k for k, (s, uri) in enumerate(cells_of(table, "sample_id", "uri")) if uri in present}
    return table.take(pa.array(sorted(rank.values()), pa.int64()))


def cells_of(table: pa.Table, *names: str) -> Iterator[tuple[str, ...]]:
    return zip(*(table[name].to_pylist() for name in names), strict=True)


def _missing(tables: Mapping[str, pa.Table], count: int) -> pa.Array:
    """Why a row of the inputs is not there: ``no embedding: corrupt …``; of several, the first."""
    reasons: pa.Array = pa.nulls(count, pa.string())
    for name, table in tables.items():
        said = pc.binary_join_element_wise(missing_prefix(name), pc.fill_null(table["reason"], ""), "")
        reasons = pc.coalesce(reasons, pc.if_else(pc.equal(table["status"], "ok"), pa.scalar(None, pa.string()), said))
    return reasons.combine_chunks() if isinstance(reasons, pa.ChunkedArray) else reasons


def missing_prefix(table: str) -> str:
    """What a reason begins with that says of another table's row that it failed."""
    return f"no {table}: "


def _said(samples: pa.Table) -> list[str]:
    """A digest of each row's values."""
    return [
        hashlib.sha256(json.dumps(row, sort_keys=True, default=str).encode()).hexdigest() for row in samples.to_pylist()
    ]


def mark_of(footers: Mapping[str, Mapping[str, str]]) -> str:
    """12 hex digits that change with the rows of some tables."""
    told = {table: {key: footer.get(key) for key in TOLD} for table, footer in footers.items()}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]
