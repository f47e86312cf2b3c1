"""The training inputs of a head: labels joined with perceptual hashes and embeddings, and a digest of all of them.

Belongs here: reading these from the store within bounded memory, and telling whether anything changed since.
Does not belong here: making labels, splits or heads.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from arot_assets.classifiers import head as heads
from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.labels import LabelError, read_labels
from arot_assets.classifiers.promotion import latest
from arot_assets.datasets.inventory import InventoryError
from arot_assets.datasets.places import dataset_root
from arot_assets.metrics.vectors import VECTOR, vectors_of
from resources.tables import TableRef, Tables
from resources.warehouse import Connection
from resources.warehouse.views import quote

PHASH = "phash"


@dataclass(frozen=True)
class TrainingInputs:
    """What a head can be trained from.

    Attributes:
        digest: 12 hex digits over labels, hashes, the embedding's version and all settings that a head depends on.
        rows: labelled samples that have an embedding.
        embedding_version: the ``metric_version`` that most of their embeddings have; the others are not used.
    """

    digest: str
    rows: int
    embedding_version: str


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
    """Examine what a head would be trained from, without reading vectors.

    Args:
        con: a connection with the catalogue's views.
        declaration: the classifier.
        labels: with columns ``sample_id`` and ``label``.

    Raises:
        LabelError: no labelled sample has an embedding.
    """
    con.register("labelled", labels.select(["sample_id", "label"]))
    try:
        # the sum of per-row hashes does not depend on the order of the rows, so nothing needs to be sorted or kept
        rows = con.execute(
            f"""
            select e.metric_version, count(*),
                sum(md5_number_lower(concat_ws('/', sample_id, label, p.phash, p.mirrored))::hugeint)
            from labelled
            join {quote(declaration.dataset)}.{quote(declaration.embedding)} e using (sample_id)
            left join {quote(declaration.dataset)}.{PHASH} p using (sample_id)
            where e.status = 'ok'
            group by 1 order by 2 desc, 1 limit 1"""
        ).fetchall()
    finally:
        con.unregister("labelled")
    if not rows:
        raise LabelError(
            f"{declaration.name}: no labelled sample has a row in {declaration.dataset}.{declaration.embedding}; "
            f"run `arot run {declaration.dataset}` first"
        )
    version, count, content = rows[0]
    settings = declaration.model_dump(include={"split", "l2", "class_balanced", "promote_if", "embedding"})
    parts = json.dumps([heads.CODE_VERSION, settings, version, count, str(content)], sort_keys=True)
    return TrainingInputs(hashlib.sha256(parts.encode()).hexdigest()[:12], int(count), str(version))


def read_vectors(
    tables: Tables, declaration: ClassifierDeclaration, version: str, sample_ids: list[str]
) -> tuple[list[str], NDArray[Any]]:
    """The embeddings of some samples, read shard by shard; memory grows only with the requested samples.

    Args:
        tables: the store's tables.
        declaration: names the dataset and the embedding.
        version: rows of other versions are ignored.
        sample_ids: the samples.

    Returns:
        The ids that have a vector, in the order of ``sample_ids``, and ``float16 [N, D]``.
    """
    wanted = pa.array(sample_ids, pa.string())
    found: list[str] = []
    parts: list[NDArray[Any]] = []
    for shard in tables.shards(declaration.dataset, declaration.embedding):
        table = tables.read(
            TableRef(declaration.dataset, declaration.embedding, shard),
            columns=["sample_id", "status", "metric_version", VECTOR],
        )
        keep = pc.and_(pc.equal(table["status"], "ok"), pc.equal(table["metric_version"], version))
        table = table.filter(pc.and_(keep, pc.is_in(table["sample_id"], value_set=wanted)))
        if table.num_rows:
            found += table["sample_id"].to_pylist()
            parts.append(vectors_of(table[VECTOR]).copy())
    # a moved file can have rows in two shards, which are equal: the last one is used
    place = {sample_id: k for k, sample_id in enumerate(found)}
    order = [sample_id for sample_id in sample_ids if sample_id in place]
    if not order:
        raise LabelError(f"{declaration.name}: no labelled sample has an embedding of version {version}")
    return order, np.concatenate(parts)[[place[sample_id] for sample_id in order]]


def training_is_current(con: Connection, declaration: ClassifierDeclaration, tables: Tables) -> bool:
    """Whether the most recently trained head is still the result that training would give now; reads no vectors.

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
    except (LabelError, InventoryError, duckdb.Error):
        return False
