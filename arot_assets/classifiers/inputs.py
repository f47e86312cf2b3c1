"""The training inputs of a model: labels joined with perceptual hashes and embeddings, and a digest of all of them.

Belongs here: reading these from the store within bounded memory, and telling whether anything changed since.
Does not belong here: making labels, splits or models.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.label_query import LabelError
from arot_assets.classifiers.labels import labels_digest, read_labels
from arot_assets.classifiers.promotion import latest
from arot_assets.datasets.inventory import InventoryError
from arot_assets.datasets.places import dataset_root
from arot_assets.metrics.vectors import vectors_of
from resources.models.entry import ModelError
from resources.scratch import reserve
from resources.tables import SAMPLES, TableRef, Tables
from resources.warehouse import Connection
from resources.warehouse.views import quote

PHASH = "phash"
CODE_VERSION = "3"
"""Of training and evaluation: raised when the same inputs give another model."""


@dataclass(frozen=True)
class TrainingInputs:
    """What a model can be trained from.

    Attributes:
        digest: 12 hex digits over labels, hashes, the embeddings' versions and all settings that a model depends on.
        rows: labelled samples that have an embedding in every table.
        versions: table -> the ``metric_version`` that most of their embeddings have; the others are not used.
    """

    digest: str
    rows: int
    versions: Mapping[str, str]


def with_hashes(con: Connection, dataset: str, labels: pa.Table) -> pa.Table:
    """``labels`` with the columns ``phash`` and ``mirrored`` (uint64), in the same order.

    A sample without a hash gets a unique value (from its id), so it is a near duplicate of nothing.
    """
    con.register("labels_to_hash", labels)
    try:
        return con.execute(
            f"""
            select l.*, coalesce(p.phash, own)::uint64 as phash, coalesce(p.mirrored, own)::uint64 as mirrored
            from (select *, ('0x' || sample_id[:16])::uint64 as own from labels_to_hash) l
            left join {quote(dataset)}.{PHASH} p on p.sample_id = l.sample_id and p.status = 'ok'
            order by l.sample_id"""
        ).to_arrow_table()
    finally:
        con.unregister("labels_to_hash")


def usable_inputs(con: Connection, declaration: ClassifierDeclaration, labels: pa.Table) -> TrainingInputs:
    """Examine what a model would be trained from, without reading vectors or images.

    Args:
        con: a connection with the catalogue's views.
        declaration: the classifier.
        labels: as ``read_labels`` returns them.

    Raises:
        LabelError: no labelled sample has an embedding.
    """
    dataset = declaration.dataset
    con.register("labelled", labels.select(["sample_id"]))
    try:
        found = {table: _version(con, declaration, table) for table in declaration.tables or (SAMPLES,)}
    finally:
        con.unregister("labelled")
    for table, (_, count, _) in found.items():
        if not count:
            raise LabelError(
                f"{declaration.name}: no labelled sample has a row in {dataset}.{table}; run `arot run {dataset}` first"
            )
    parts = json.dumps([CODE_VERSION, settings_of(declaration), labels_digest(labels), found], sort_keys=True)
    return TrainingInputs(
        hashlib.sha256(parts.encode()).hexdigest()[:12],
        min(count for _, count, _ in found.values()),
        {table: version for table, (version, *_) in found.items()},
    )


def _version(con: Connection, declaration: ClassifierDeclaration, table: str) -> tuple[str, int, str]:
    """Of the labelled samples with a row in a table: the most frequent version, how many, and a digest of which."""
    dataset = quote(declaration.dataset)
    version = "e.metric_version" if table != SAMPLES else "''"
    # the sum of per-row hashes does not depend on the order of the rows, so nothing needs to be sorted or kept
    rows = con.execute(
        f"""
        select {version}, count(*), sum(md5_number_lower(concat_ws('/', sample_id, p.phash, p.mirrored))::hugeint)
        from labelled
        join {dataset}.{quote(table)} e using (sample_id)
        left join {dataset}.{PHASH} p using (sample_id)
        where e.status = 'ok'
        group by 1 order by 2 desc, 1 limit 1"""
    ).fetchall()
    return (str(rows[0][0]), int(rows[0][1]), str(rows[0][2])) if rows else ("", 0, "")


def settings_of(declaration: ClassifierDeclaration) -> dict[str, Any]:
    """What a trained model depends on beside the data."""
    said = declaration.model_dump(include={"task", "split", "inputs", "backbone", "recipe", "slices", "baselines"})
    own = declaration.trained_with.model_dump()
    own.pop("tracker", None)
    return {**said, "classes": declaration.labels.classes, "settings": own, "gate": declaration.gate}


def read_vectors(
    tables: Tables, declaration: ClassifierDeclaration, column: str, version: str, sample_ids: Sequence[str], file: Path
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The embeddings of some samples, read shard by shard into a memory-mapped file.

    Args:
        tables: the store's tables.
        declaration: names the dataset.
        column: ``table.column``.
        version: rows of other versions are ignored.
        sample_ids: the samples.
        file: where the numbers are kept.

    Returns:
        ``[N, D]`` of the stored type in the order of ``sample_ids``, memory-mapped, and ``bool [N]``: which have a finite vector.
    """
    table_name, vector = column.split(".")
    wanted = pa.array(sample_ids, pa.string())
    matrix: NDArray[Any] | None = None
    there = np.zeros(len(sample_ids), np.bool_)
    for shard in tables.shards(declaration.dataset, table_name):
        table = tables.read(
            TableRef(declaration.dataset, table_name, shard), columns=["sample_id", "status", "metric_version", vector]
        )
        keep = pc.and_(pc.equal(table["status"], "ok"), pc.equal(table["metric_version"], version))
        table = table.filter(pc.and_(keep, pc.is_in(table["sample_id"], value_set=wanted)))
        if not table.num_rows:
            continue
        vectors = vectors_of(table[vector])
        if matrix is None:
            shape = (len(sample_ids), vectors.shape[1])
            matrix = np.lib.format.open_memmap(file, "w+", vectors.dtype, shape)
            reserve(file, file.stat().st_size)
        # a moved file can have rows in two shards, which are equal
        places = pc.index_in(table["sample_id"], value_set=wanted).to_numpy()
        matrix[places] = vectors
        there[places] = np.isfinite(vectors).all(axis=1)  # one that is not finite would make every loss NaN
    if matrix is None:
        raise LabelError(f"{declaration.name}: no labelled sample has an embedding of version {version}")
    return matrix, there


def training_is_current(con: Connection, declaration: ClassifierDeclaration, tables: Tables) -> bool:
    """Whether the most recently trained model is still the result that training would give now; reads no vectors.

    Unreadable labels are not current, so that training runs and reports why.

    Args:
        con: a connection with the catalogue's views.
        declaration: the classifier.
        tables: the store.
    """
    import duckdb

    pointer = latest(tables, declaration.name)
    if pointer is None:
        return False
    try:
        labels = read_labels(con, declaration, dataset_root(tables, declaration.dataset))
        return usable_inputs(con, declaration, labels).digest == pointer.inputs
    except (LabelError, InventoryError, ModelError, duckdb.Error):
        return False
