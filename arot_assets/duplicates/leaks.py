"""Pictures of an evaluation set that are in a training set too, or nearly.

Belongs here: comparing the samples of two SQL models, whatever datasets they are of. Does not belong here: duplicates within a
dataset (``build.py``), the check (``checks.py``).
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from arot_assets.duplicates.declaration import Leak
from arot_assets.duplicates.hamming import DuplicatesError, pairs_within
from resources.defaults import Resources
from resources.tables import ModelRef
from resources.warehouse import Connection
from resources.warehouse.views import quote

HASHES = "phash"


@dataclass(frozen=True)
class LeakedSample:
    """A sample of an evaluation set that shows what a training sample shows.

    Attributes:
        evaluation: sample_id.
        training: sample_id.
        kind: ``bytes``, ``phash`` or ``mirrored``.
        bits: that differ.
    """

    evaluation: str
    training: str
    kind: str
    bits: int


def find_leaks(leak: Leak, resources: Resources, bits: int) -> list[LeakedSample]:
    """Every leak, each evaluation sample with its nearest training sample.

    Args:
        leak: the two models; both have a column ``sample_id``.
        resources: the store.
        bits: of the perceptual hash that may differ.

    Raises:
        DuplicatesError: a model is not built, or has no sample_id.
    """
    with resources.warehouse.connect() as con:
        training, evaluation = (_hashes(con, resources, name) for name in (leak.training, leak.evaluation))
    found: dict[str, LeakedSample] = {}
    known = set(training["sample_id"].to_pylist())
    for sample in evaluation["sample_id"].to_pylist():
        if sample in known:
            found[sample] = LeakedSample(sample, sample, "bytes", 0)
    ours, theirs = _comparable(training), _comparable(evaluation)
    ids, others = ours["sample_id"].to_pylist(), theirs["sample_id"].to_pylist()
    hashes = ours["phash"].to_numpy().astype(np.uint64)
    for kind, column in (("phash", "phash"), ("mirrored", "mirrored")):
        pairs = pairs_within(theirs[column].to_numpy().astype(np.uint64), hashes, bits)
        for a, b, apart in sorted(zip(*(p.tolist() for p in pairs), strict=True), key=lambda p: p[2]):
            found.setdefault(others[a], LeakedSample(others[a], ids[b], kind, int(apart)))
    return sorted(found.values(), key=lambda one: (one.bits, one.evaluation))


def _hashes(con: Connection, resources: Resources, model: str) -> pa.Table:
    """The samples of a model with their hashes, from whatever datasets have them."""
    if not resources.tables.exists(ModelRef(model)):
        raise DuplicatesError(f"model '{model}' is not built; `arot run` of its dataset builds it")
    columns = [str(r[0]) for r in con.execute(f"describe main.{quote(model)}").fetchall()]
    if "sample_id" not in columns:
        raise DuplicatesError(f"model '{model}' has no column sample_id; select it")
    views = con.execute("select schema_name from duckdb_views() where view_name = ?", [HASHES]).fetchall()
    empty = "select null::varchar as sample_id, null::ubigint as phash, null::ubigint as mirrored where false"
    hashes = " union all ".join(
        [f"select sample_id, phash, mirrored from {quote(s)}.{HASHES}" for (s,) in views] or [empty]
    )
    return con.execute(
        f"""select m.sample_id, any_value(h.phash) as phash, any_value(h.mirrored) as mirrored
        from main.{quote(model)} m left join ({hashes}) h on m.sample_id = h.sample_id group by 1 order by 1"""
    ).to_arrow_table()


def _comparable(rows: pa.Table) -> pa.Table:
    """Without pictures that have no hash, or that of one level, which says nothing."""
    return rows.filter(
        pa.compute.and_(
            pa.compute.is_valid(rows["phash"]), pa.compute.not_equal(rows["phash"], pa.scalar(0, pa.uint64()))
        )
    )
