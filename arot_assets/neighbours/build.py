"""Neighbours and clusters of a dataset: from all stored vectors, written beside the tables that they come from, shard by shard.

Belongs here: reading vectors and what is known from before, and writing the table. Does not belong here: the search
(``search.py``), k-means (``clusters.py``), what rows are made from (``table.py``), Dagster.

Nothing is decoded. What changed since the last time is compared with everything, and everything with what changed, which gives
the same neighbours as comparing all with all; a sample that lost a neighbour is compared with all again.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from arot_assets.metrics.vectors import vectors_of
from arot_assets.neighbours.clusters import find_centres, nearest_centre
from arot_assets.neighbours.declaration import NeighboursDeclaration
from arot_assets.neighbours.search import NONE, Near, nearest, prepared, updated
from arot_assets.neighbours.table import (
    FITTED_ON,
    INPUTS,
    SETTINGS,
    VERSIONS,
    centres_ref,
    cluster_settings_of,
    inputs_digest,
    row_version,
    schema_of,
    settings_of,
)
from arot_assets.steps import Look
from resources.defaults import Resources
from resources.errors import ArotError
from resources.tables import SAMPLES, TableRef, Tables
from resources.warehouse.views import quote


class NeighboursError(ArotError):
    """Neighbours cannot be found; the message names the table, the cause and the remedy."""


@dataclass(frozen=True)
class NeighboursResult:
    """What was made.

    Attributes:
        rows: of the table.
        failed: those without a vector.
        compared: samples that were new, or changed.
        kept: samples whose neighbours were known.
        clusters: their number; 0 without any.
        fitted: whether they were found anew.
    """

    rows: int
    failed: int
    compared: int
    kept: int
    clusters: int
    fitted: bool


def build_neighbours(declaration: NeighboursDeclaration, resources: Resources) -> NeighboursResult:
    """Find the neighbours and clusters of all samples of a dataset, and write the table.

    Args:
        declaration: what the user declared.
        resources: the tables, and the device of ``models``.

    Raises:
        NeighboursError: there is no such table or column, or it has vectors of several lengths.
    """
    from resources.models.torch_network import resolve_device

    tables = resources.tables
    with Look(resources) as look:
        inputs = inputs_digest(look, declaration)
    rows = _rows(declaration, resources)
    good = rows.filter(pc.equal(rows["status"], "ok"))
    ids: list[str] = good["sample_id"].to_pylist()
    of_vectors: list[str] = good["metric_version"].to_pylist()
    try:
        vectors = prepared(vectors_of(good["vector"]), declaration.metric) if ids else np.empty((0, 1), np.float32)
    except ValueError as error:
        raise NeighboursError(f"{declaration.name}: {declaration.dataset}.{declaration.embedding}: {error}") from error
    near, fresh = _near(declaration, tables, ids, of_vectors, vectors, resolve_device(resources.models.device))
    centres, digest, fitted = _centres(declaration, tables, ids, of_vectors, vectors)
    table = _of_near(rows, ids, near)
    if centres is not None:
        place, apart = nearest_centre(vectors, centres, declaration.metric)
        table |= _of_rows(rows, {"cluster": pa.array(place), "cluster_distance": pa.array(apart)})
    versions = [row_version(settings_of(declaration), v, digest) for v in rows["metric_version"].to_pylist()]
    _write(declaration, tables, rows, table, versions, inputs)
    failed = rows.num_rows - len(ids)
    return NeighboursResult(
        rows.num_rows,
        failed,
        int(fresh.sum()),
        len(ids) - int(fresh.sum()),
        0 if centres is None else len(centres),
        fitted,
    )


def _rows(declaration: NeighboursDeclaration, resources: Resources) -> pa.Table:
    """The vectors of all samples that are present, with their shards, in the order of the samples."""
    import duckdb

    dataset, table = quote(declaration.dataset), quote(declaration.table)
    with resources.warehouse.connect() as con:
        try:
            return con.execute(
                f"""select sample_id, shard, v.status, v.reason, v.metric_version, v.{quote(declaration.column)} as vector
                from {dataset}.{table} v join {dataset}.samples s using (sample_id) where s.status = 'ok' order by sample_id"""
            ).to_arrow_table()
        except duckdb.Error as error:
            told = str(error).partition("\n")[0]
            raise NeighboursError(
                f"{declaration.name}: '{declaration.dataset}.{declaration.embedding}' cannot be read: {told}; see that the table "
                f"has this column, and `arot run {declaration.dataset}`"
            ) from error


def _near(
    declaration: NeighboursDeclaration,
    tables: Tables,
    ids: list[str],
    of_vectors: list[str],
    vectors: NDArray[np.float32],
    device: str,
) -> tuple[Near, NDArray[np.bool_]]:
    """The neighbours of every sample, and which samples were not known before."""
    stored = _stored(declaration, tables)
    now = dict(zip(ids, of_vectors, strict=True))
    known = {sample for sample, (version, _) in stored.items() if now.get(sample) == version}
    fresh = np.array([sample not in known for sample in ids], bool)
    every = np.arange(len(ids))
    if fresh.all():
        return nearest(vectors, every, every, declaration.k, declaration.metric, device), fresh
    place = {sample: n for n, sample in enumerate(ids) if sample in known}
    before = Near(
        np.full((len(ids), declaration.k), NONE, np.int64), np.full((len(ids), declaration.k), np.inf, np.float32)
    )
    for sample, row in place.items():
        for n, one in enumerate(stored[sample][1]):
            before.places[row, n] = place.get(one["sample_id"], NONE)
            before.distances[row, n] = one["distance"]
    return updated(vectors, before, fresh, declaration.k, declaration.metric, device), fresh


def _stored(declaration: NeighboursDeclaration, tables: Tables) -> dict[str, tuple[str, list[dict[str, Any]]]]:
    """Sample -> the version of its vector and its neighbours, of files with these settings; empty if one has others."""
    found: dict[str, tuple[str, list[dict[str, Any]]]] = {}
    inputs = set()
    for shard in tables.shards(declaration.dataset, declaration.name):
        ref = TableRef(declaration.dataset, declaration.name, shard)
        footer = tables.footer(ref)
        if footer.get(SETTINGS) != settings_of(declaration):
            return {}
        inputs.add(footer.get(INPUTS))
        rows = tables.read(ref, ["sample_id", "status", "neighbours"]).to_pylist()
        for row, version in zip(rows, json.loads(footer[VERSIONS]), strict=True):
            if row["status"] == "ok":
                found[row["sample_id"]] = (version, row["neighbours"])
    return found if len(inputs) == 1 else {}  # files of two builds: one was killed between them


def _centres(
    declaration: NeighboursDeclaration,
    tables: Tables,
    ids: list[str],
    of_vectors: list[str],
    vectors: NDArray[np.float32],
) -> tuple[NDArray[np.float32] | None, str, bool]:
    """The centres of the clusters, a digest of them, and whether they were found anew; None without clusters."""
    if not declaration.clusters or not ids:
        return None, "", False
    ref = centres_ref(declaration)
    footer = tables.footer_if_any(ref) or {}
    settings = f"{cluster_settings_of(declaration)} {' '.join(sorted(set(of_vectors)))}"
    fitted_on = int(footer.get(FITTED_ON, "0"))
    fit = footer.get(SETTINGS) != settings or len(ids) > fitted_on * (1 + declaration.refit)
    if fit:
        found = find_centres(vectors, declaration.clusters, declaration.metric)
        kept = pa.table({"centre": pa.FixedSizeListArray.from_arrays(pa.array(found.ravel()), found.shape[1])})
        tables.write(kept, ref, {SETTINGS: settings, FITTED_ON: str(len(ids))})
    centres = np.asarray(vectors_of(tables.read(ref)["centre"]), np.float32)
    return centres, hashlib.sha256(centres.tobytes()).hexdigest()[:12], fit


def _of_near(rows: pa.Table, ids: list[str], near: Near) -> dict[str, pa.Array]:
    """The columns of the neighbours, a value for each row."""
    names = pa.array(ids, pa.string())
    there = near.places != NONE
    flat = pa.StructArray.from_arrays(
        [names.take(pa.array(near.places[there])), pa.array(near.distances[there], pa.float32())],
        ["sample_id", "distance"],
    )
    starts = np.concatenate([[0], np.cumsum(there.sum(1))]).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(starts), flat)
    first = np.where(there[:, 0], near.distances[:, 0], np.nan) if len(ids) else np.empty(0, np.float32)
    nearest_distance = pa.array(first.astype(np.float32), pa.float32(), from_pandas=True)
    return _of_rows(rows, {"neighbours": lists, "nearest_distance": nearest_distance})


def _of_rows(rows: pa.Table, columns: dict[str, pa.Array]) -> dict[str, pa.Array]:
    """Values of the ok rows as values of all rows; null for those that failed."""
    ok = pc.equal(rows["status"], "ok").combine_chunks().to_numpy(zero_copy_only=False)
    place = np.cumsum(ok) - 1
    index = pa.array(np.where(ok, place, 0), mask=~ok)
    return {name: values.take(index) for name, values in columns.items()}


def _write(
    declaration: NeighboursDeclaration,
    tables: Tables,
    rows: pa.Table,
    columns: dict[str, pa.Array],
    versions: list[str],
    inputs: str,
) -> None:
    """A file for each shard; rows whose values are the same keep the time at which they were computed."""
    dataset, name, schema = declaration.dataset, declaration.name, schema_of(declaration)
    vector_reason = pc.if_else(
        pc.equal(rows["status"], "ok"),
        pa.scalar(None, pa.string()),
        pc.binary_join_element_wise(f"no {declaration.table}: ", pc.fill_null(rows["reason"], ""), ""),
    )
    now = datetime.now(UTC)
    given = {"sample_id": rows["sample_id"], "status": rows["status"], "reason": vector_reason, **columns}
    given["metric_version"] = pa.array(versions, pa.string())
    given["computed_at"] = pa.array([now] * rows.num_rows, schema.field("computed_at").type)
    whole = pa.table([given[f.name] for f in schema], schema=schema)
    shards = rows["shard"].combine_chunks()
    for shard in tables.shards(dataset, declaration.table):
        mine = pc.equal(shards, shard)
        part, of_vectors = whole.filter(mine), rows["metric_version"].filter(mine).to_pylist()
        ref = TableRef(dataset, name, shard)
        if tables.exists(ref):
            part = _with_times(part, tables.read(ref))
        samples = tables.footer(TableRef(dataset, SAMPLES, shard))
        footer = {
            "metric_version": inputs[:12],
            "samples_digest": samples["samples_digest"],
            SETTINGS: settings_of(declaration),
            VERSIONS: json.dumps(of_vectors),
            "failed": str(pc.sum(pc.equal(part["status"], "failed")).as_py() or 0),
            INPUTS: inputs,
        }
        tables.write(part, ref, footer)
    for shard in set(tables.shards(dataset, name)) - set(tables.shards(dataset, declaration.table)):
        tables.storage.delete(tables.uri(TableRef(dataset, name, shard)))


def _with_times(part: pa.Table, before: pa.Table) -> pa.Table:
    """The rows, with the times of the stored ones that have the same values."""
    if before.schema.names != part.schema.names:
        return part
    values = [name for name in part.schema.names if name != "computed_at"]
    known = {row["sample_id"]: row for row in before.to_pylist()}
    times = [
        known[row["sample_id"]]["computed_at"]
        if row["sample_id"] in known and all(known[row["sample_id"]][name] == row[name] for name in values)
        else row["computed_at"]
        for row in part.to_pylist()
    ]
    place = part.schema.get_field_index("computed_at")
    return part.set_column(place, part.schema.field(place), pa.array(times, part.schema.field(place).type))
