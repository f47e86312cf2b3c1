"""The table of neighbours and clusters: its columns, and what its rows and files say they were made from.

Belongs here: schema and versions. Does not belong here: the computation (``build.py``).

A neighbour is a function of all vectors, so no row can be current by itself. A file's footer names the set that all rows were
made from (``inputs``): the files of samples and embeddings, and what left the source. A row's ``metric_version`` names the
settings, its own vector, and the centres of the clusters; ``computed_at`` is when its values changed last.
"""

import hashlib
import json
from collections.abc import Sequence

import pyarrow as pa

from arot_assets.columns import Column, metric_schema
from arot_assets.datasets.shards import footers_of, objects_of
from arot_assets.neighbours.declaration import NeighboursDeclaration
from arot_assets.steps import Look
from resources.tables import SAMPLES, TableRef

FORMAT = "1"
CENTRES = "_centres"
"""Suffix of the table of centres, one file for the whole dataset."""
INPUTS, SETTINGS, FITTED_ON, VERSIONS = "inputs", "settings", "fitted_on", "versions"
"""Keys of footers."""
NEIGHBOUR = pa.struct([("sample_id", pa.string()), ("distance", pa.float32())])
DISTANCES = {"cosine": "1 - cosine similarity, 0-2", "euclidean": "length of the difference"}


def columns_of(declaration: NeighboursDeclaration) -> tuple[Column, ...]:
    """The columns of a declaration's table."""
    said = DISTANCES[declaration.metric]
    most = 2.001 if declaration.metric == "cosine" else None  # a rounding beyond 2
    found = [
        Column(
            "neighbours",
            pa.list_(NEIGHBOUR),
            f"the {declaration.k} samples whose {declaration.embedding} is nearest, the nearest first; distance: {said}",
        ),
        Column("nearest_distance", pa.float32(), f"distance to the nearest other sample ({said})", 0, most),
    ]
    if declaration.clusters:
        found += [
            Column(
                "cluster", pa.int32(), "number of its cluster, from 0: that of the most samples when they were found", 0
            ),
            Column("cluster_distance", pa.float32(), f"distance to the centre of its cluster ({said})", 0, most),
        ]
    return tuple(found)


def schema_of(declaration: NeighboursDeclaration) -> pa.Schema:
    """The Arrow schema of a declaration's table."""
    return metric_schema(columns_of(declaration))


def centres_ref(declaration: NeighboursDeclaration) -> TableRef:
    """Where the centres of its clusters are kept."""
    return TableRef(declaration.dataset, f"{declaration.name}{CENTRES}")


def settings_of(declaration: NeighboursDeclaration) -> str:
    """A digest of what neighbours depend on beside vectors."""
    fields = declaration.model_dump(mode="json", include={"embedding", "k", "metric"})
    return _digest([FORMAT, fields])


def cluster_settings_of(declaration: NeighboursDeclaration) -> str:
    """A digest of what clusters depend on beside vectors."""
    return _digest([FORMAT, declaration.model_dump(mode="json", include={"embedding", "clusters", "metric"})])


def row_version(settings: str, vector_version: str, centres: str) -> str:
    """The ``metric_version`` of a row.

    Args:
        settings: of ``settings_of``.
        vector_version: the ``metric_version`` of its vector.
        centres: a digest of the centres; empty without clusters.
    """
    return _digest([settings, vector_version, centres])[:12]


def inputs_digest(look: Look, declaration: NeighboursDeclaration) -> str:
    """What the whole table is made from: files of samples and vectors, what left the source, and the settings."""
    dataset = declaration.dataset
    footers = {
        table: {shard: f.strings for shard, f in footers_of(look, dataset, table).items()}
        for table in (SAMPLES, declaration.table)
    }
    objects: Sequence[object] = sorted((*key, number) for key, number in (objects_of(look, dataset) or {}).items())
    share = declaration.refit if declaration.clusters else 0
    return _digest([settings_of(declaration), cluster_settings_of(declaration), share, footers, objects])


def _digest(parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
