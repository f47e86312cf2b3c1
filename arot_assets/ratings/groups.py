"""Samples that stay together: near-duplicates, and what an artist, a source or a video has in common.

Belongs here: which samples these are. Does not belong here: what is done with them (``split.py``, ``label_errors.py``), comparing
hashes (``metrics/near_duplicates.py``).
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pyarrow as pa

from arot_assets.metrics.near_duplicates import near_duplicate_groups
from arot_assets.ratings.declaration import RatingsDeclaration, RatingSplitRule
from arot_assets.ratings.said import RatingsError
from resources.tables import Tables
from resources.warehouse import Connection
from resources.warehouse.views import quote

PHASH = "phash"


def groups_of(
    con: Connection, tables: Tables, declaration: RatingsDeclaration, rule: RatingSplitRule, samples: Collection[str]
) -> list[Mapping[str, object]]:
    """Samples -> number of the group, once for each kind of group: near-duplicates, and each declared query.

    Raises:
        RatingsError: there are no perceptual hashes, or a declared query fails.
    """
    found: list[Mapping[str, object]] = []
    if rule.near_duplicate_distance is not None:
        distance = rule.near_duplicate_distance
        found.append(_near_duplicates(con, tables, declaration.dataset, list(samples), distance))
    for query in rule.groups:
        rows = asked(con, declaration.name, query, 2)
        found.append({str(sample): group for sample, group in rows if group is not None and sample in samples})
    return found


def connected(samples: Sequence[str], together: Sequence[Mapping[str, object]]) -> dict[str, list[str]]:
    """Smallest sample -> all samples that are connected by groups of any kind."""
    parent = {sample: sample for sample in samples}

    def root(sample: str) -> str:
        while parent[sample] != sample:
            parent[sample] = sample = parent[parent[sample]]
        return sample

    for of in together:
        first: dict[object, str] = {}
        for sample, group in of.items():
            one, other = root(sample), root(first.setdefault(group, sample))
            parent[max(one, other)] = min(one, other)
    found: dict[str, list[str]] = defaultdict(list)
    for sample in samples:
        found[root(sample)].append(sample)
    return found


def _near_duplicates(
    con: Connection, tables: Tables, dataset: str, samples: list[str], distance: int
) -> dict[str, object]:
    """The group of each sample that has a perceptual hash.

    Raises:
        RatingsError: the dataset has no perceptual hashes.
    """
    if not tables.shards(dataset, PHASH):
        raise RatingsError(
            f"'{dataset}' has no metric '{PHASH}', which finds near-duplicates: add it to the dataset's metrics, or set "
            "split.near_duplicate_distance to null"
        )
    con.register("rated_samples", pa.table({"sample_id": pa.array(samples, pa.string())}))
    try:
        rows = con.execute(
            f"""select sample_id, phash, mirrored from {quote(dataset)}.{PHASH} semi join rated_samples using (sample_id)
            where status = 'ok' order by sample_id"""
        ).to_arrow_table()
    finally:
        con.unregister("rated_samples")
    hashes, mirrored = (rows[name].to_numpy().astype(np.uint64) for name in ("phash", "mirrored"))
    groups = near_duplicate_groups(hashes, mirrored, distance)
    return dict(zip(rows["sample_id"].to_pylist(), groups.tolist(), strict=True))


def asked(con: Connection, name: str, query: str, columns: int) -> list[tuple[object, ...]]:
    """The first columns of a declared query.

    Raises:
        RatingsError: it fails, or has fewer columns.
    """
    import duckdb

    try:
        rows = con.execute(query.rstrip().rstrip(";"))
    except duckdb.Error as error:
        said = str(error).partition("\n\nLINE ")[0]
        raise RatingsError(f"{name}: a query of the split fails: {said}; try it with `arot sql`") from error
    if len(rows.columns) < columns:
        raise RatingsError(
            f"{name}: a query of the split must return {'sample_id and a group' if columns > 1 else 'sample_id'}"
        )
    return [row[:columns] for row in rows.fetchall()]
