"""The duplicates of a dataset: found, grouped and written as two tables.

Belongs here: reading hashes and embeddings, the order of preference, the tables. Does not belong here: the searches
(``hamming.py``, ``cosine.py``), groups (``groups.py``), Dagster.

``<dataset>.duplicates`` has a row for every ok sample: who stays in its place, and why. ``<dataset>.duplicate_edges`` has the
evidence: pairs of samples. Equal bytes are one sample already (``samples.duplicate_of``). Pictures of one level all have the hash
0, which says nothing, so they are compared by bytes and embeddings only.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from arot_assets.datasets.places import Place, place_of
from arot_assets.duplicates.cosine import similar_pairs
from arot_assets.duplicates.declaration import DuplicatesDeclaration
from arot_assets.duplicates.groups import EMBEDDING, MIRRORED, PHASH, GroupMember, HashClasses, members
from arot_assets.duplicates.hamming import DuplicatesError, RowPairs, near_pairs
from arot_assets.media.file import DecodeError
from resources.defaults import Resources
from resources.storage import StorageError
from resources.tables import SAMPLES, ModelRef, TableRef, Tables
from resources.warehouse import Connection
from resources.warehouse.views import quote

DUPLICATES, EDGES = "duplicates", "duplicate_edges"
DIGEST, FORMAT = "digest", "1"
PIXELS = "pixels"
HASHES = "phash"

SCHEMA = pa.schema(
    [
        pa.field("sample_id", pa.string()),
        pa.field(
            "kept", pa.string(), metadata={"description": "the sample that stays in its place; itself if it stays"}
        ),
        pa.field("stays", pa.bool_(), metadata={"description": "whether it is the one that stays"}),
        pa.field("members", pa.int32(), metadata={"description": "samples of its group, itself included"}),
        pa.field(
            "kind",
            pa.string(),
            metadata={"description": "evidence: pixels (equal), phash, mirrored, embedding; null if it stays"},
        ),
        pa.field("distance", pa.float32(), metadata={"description": "bits of the hash that differ, or 1 - cosine"}),
    ]
)
EDGE_SCHEMA = pa.schema(
    [
        pa.field("sample_id", pa.string()),
        pa.field("other_id", pa.string()),
        pa.field("kind", pa.string(), metadata={"description": "pixels, phash, mirrored or embedding"}),
        pa.field("distance", pa.float32(), metadata={"description": "bits of the hash that differ, or 1 - cosine"}),
    ]
)


@dataclass(frozen=True)
class DuplicatesResult:
    """What was found.

    Attributes:
        samples: ok samples.
        stay: those that stay.
        edges: pairs.
        by_kind: kind -> samples that do not stay because of it.
    """

    samples: int
    stay: int
    edges: int
    by_kind: Mapping[str, int]


def inputs_digest(declaration: DuplicatesDeclaration, tables: Tables) -> str:
    """What the tables are made from: the versions of samples, hashes and embeddings, and the settings."""
    names = [SAMPLES, HASHES, *([declaration.embedding] if declaration.embedding else [])]
    footers = {
        name: {shard: f.strings for shard, f in tables.footers(declaration.dataset, name).items()} for name in names
    }
    settings = declaration.model_dump(mode="json", include={"bits", "embedding", "cosine", "keep"})
    preference = (
        [] if declaration.keep_by is None else [(tables.footer_if_any(ModelRef(declaration.keep_by)) or {}).get(DIGEST)]
    )
    text = json.dumps([FORMAT, settings, footers, *preference], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def build_duplicates(declaration: DuplicatesDeclaration, resources: Resources) -> DuplicatesResult:
    """Find the duplicates of a dataset, and write both tables.

    Args:
        declaration: what the user declared.
        resources: the tables with hashes and embeddings, the storage of the originals, and the device for embeddings.

    Raises:
        DuplicatesError: hashes or embeddings are missing, or `keep` is no order over ``wide``.
    """
    dataset, tables = declaration.dataset, resources.tables
    digest = inputs_digest(declaration, tables)
    with resources.warehouse.connect() as con:
        rows = _rows(declaration, con)
    ids = rows["sample_id"].to_pylist()
    hashed = _hashed(rows, declaration.bits)
    alike = _alike(declaration, resources, ids)
    found = list(members(range(len(ids)), hashed, alike))  # rows are in the order of preference
    equal = _equal_pixels(resources, dataset, rows, found)
    _write(declaration, tables, ids, found, equal, hashed, alike, digest)
    kinds = Counter(PIXELS if m.row in equal else m.kind for m in found)
    footer = tables.footer(TableRef(dataset, EDGES))
    return DuplicatesResult(len(ids), len(ids) - len(found), int(footer["rows"]), dict(kinds))


def _rows(declaration: DuplicatesDeclaration, con: Connection) -> pa.Table:
    """The ok samples in the order of preference, with their hashes."""
    import duckdb

    dataset = quote(declaration.dataset)
    order, joined = declaration.keep, ""
    if declaration.keep_by is not None:
        joined = _preferred(declaration, con)
        order = f"preference nulls last, {order}"
    for table in (HASHES, *([declaration.embedding] if declaration.embedding else [])):
        if not con.has(declaration.dataset, table):
            raise DuplicatesError(
                f"{declaration.name}: '{declaration.dataset}' has no table '{table}' yet; add it to the metrics of the dataset, "
                f"and `arot run {declaration.dataset}`"
            )
    try:
        return con.execute(
            f"""select sample_id, uri, width, height, coalesce(phash__phash, 0)::ubigint as phash,
                coalesce(phash__mirrored, 0)::ubigint as mirrored
            from {dataset}.wide {joined} where status = 'ok' order by {order}, sample_id"""
        ).to_arrow_table()
    except duckdb.Error as error:
        told = str(error).partition("\n")[0]
        raise DuplicatesError(
            f"{declaration.name}: `keep: {declaration.keep}` is no order over the columns of {declaration.dataset}.wide: {told}"
        ) from error


def _preferred(declaration: DuplicatesDeclaration, con: Connection) -> str:
    """The join with the model that says whom to prefer.

    Raises:
        DuplicatesError: it is not built, or has not one preference for each sample.
    """
    import duckdb

    assert declaration.keep_by is not None
    model = f"main.{quote(declaration.keep_by)}"
    try:
        ((repeated,),) = con.execute(f"select count(preference) - count(distinct sample_id) from {model}").fetchall()
    except duckdb.Error as error:
        told = str(error).partition("\n")[0]
        raise DuplicatesError(
            f"{declaration.name}: `keep_by: {declaration.keep_by}` is no built model with `sample_id` and `preference`: {told}"
        ) from error
    if repeated:
        raise DuplicatesError(
            f"{declaration.name}: `keep_by: {declaration.keep_by}` has {abs(repeated):,} samples without exactly one preference; "
            "test it with `unique` and `not_null`"
        )
    return f"left join (select sample_id, preference from {model}) as preferred using (sample_id)"


def _hashed(rows: pa.Table, bits: int) -> HashClasses:
    hashes, mirrored = (rows[n].to_numpy().astype(np.uint64) for n in ("phash", "mirrored"))
    of_row = np.full(len(hashes), -1, np.int64)
    telling = hashes != 0
    unique, first, place = np.unique(hashes[telling], return_index=True, return_inverse=True)
    of_row[telling] = place
    plain, turned = near_pairs(unique, mirrored[telling][first], bits)
    return HashClasses(hashes, mirrored, of_row, plain, turned, bits)


def _alike(declaration: DuplicatesDeclaration, resources: Resources, ids: list[str]) -> RowPairs:
    if declaration.embedding is None:
        return RowPairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    from resources.models.torch_network import resolve_device

    tables = resources.tables
    place = {sample: n for n, sample in enumerate(ids)}
    vectors: NDArray[np.float32] | None = None
    for shard in tables.shards(declaration.dataset, declaration.embedding):
        ref = TableRef(declaration.dataset, declaration.embedding, shard)
        table = tables.read(ref, columns=["sample_id", "status", "vector"])
        table = table.filter(pa.compute.equal(table["status"], "ok"))
        for batch in table.to_batches():
            values = np.asarray(batch["vector"].flatten().to_numpy(zero_copy_only=False), np.float32)
            values = values.reshape(batch.num_rows, -1) if batch.num_rows else values
            here = [place.get(i, -1) for i in batch["sample_id"].to_pylist()]
            known = [n for n, row in enumerate(here) if row >= 0]
            if known:
                if vectors is None:
                    vectors = np.zeros((len(ids), values.shape[1]), np.float32)
                vectors[[here[n] for n in known]] = values[known]
    if vectors is None:
        raise DuplicatesError(
            f"{declaration.name}: no sample has a row in {declaration.dataset}.{declaration.embedding}"
        )
    return similar_pairs(vectors, declaration.cosine, resolve_device(resources.models.device))


def _equal_pixels(resources: Resources, dataset: str, rows: pa.Table, found: list[GroupMember]) -> set[int]:
    """Members whose pixels are exactly those of the sample that stays: decoded and compared, where hash and size are equal."""
    widths, heights = rows["width"].to_pylist(), rows["height"].to_pylist()
    uris, ids = rows["uri"].to_pylist(), rows["sample_id"].to_pylist()
    sides = list(zip(widths, heights, strict=True))
    candidates = [m for m in found if m.kind == PHASH and m.distance == 0 and sides[m.row] == sides[m.kept]]
    if not candidates:
        return set()
    wanted = {ids[r] for m in candidates for r in (m.row, m.kept)}
    place = place_of(resources.storage, resources.warehouse, dataset, wanted)
    if place.medium.name != "image":
        return set()
    equal: set[int] = set()
    seen: dict[int, str] = {}
    for member in candidates:
        digests = []
        for row in (member.kept, member.row):
            if row not in seen:
                seen[row] = _pixels(place, uris[row], ids[row])
            digests.append(seen[row])
        if digests[0] and digests[0] == digests[1]:
            equal.add(member.row)
    return equal


def _pixels(place: Place, uri: str, sample_id: str) -> str:
    """A digest of the decoded pixels; empty if the file cannot be read any more, which the next inventory notices."""
    from arot_assets.media.image.decode import decode

    try:
        return hashlib.sha256(decode(place.files({uri: sample_id})(uri).read()).tobytes()).hexdigest()
    except (StorageError, DecodeError):
        return ""


def _write(
    declaration: DuplicatesDeclaration,
    tables: Tables,
    ids: list[str],
    found: list[GroupMember],
    equal: set[int],
    hashed: HashClasses,
    alike: RowPairs,
    digest: str,
) -> None:
    """Both tables, that of the edges first."""
    names = pa.array(ids, pa.string())
    first_of = np.full(int(hashed.of_row.max(initial=-1)) + 1, -1, np.int64)
    present = np.flatnonzero(hashed.of_row >= 0)[::-1]
    first_of[hashed.of_row[present]] = present  # the best sample of each hash
    parts = [
        (first_of[hashed.plain.first], first_of[hashed.plain.second], PHASH, hashed.plain.distance),
        (first_of[hashed.turned.first], first_of[hashed.turned.second], MIRRORED, hashed.turned.distance),
        (alike.first, alike.second, EMBEDDING, alike.distance),
    ]
    same = [m for m in found if m.kind == PHASH and m.distance == 0]
    for kind, some in ((PIXELS, [m for m in same if m.row in equal]), (PHASH, [m for m in same if m.row not in equal])):
        kept, rows = (np.array([getattr(m, a) for m in some], np.int64) for a in ("kept", "row"))
        parts.append((kept, rows, kind, np.zeros(len(some), np.float32)))
    edges = pa.concat_tables(
        pa.table(
            [names.take(pa.array(a)), names.take(pa.array(b)), pa.array([k] * len(a), pa.string()), d],
            schema=EDGE_SCHEMA,
        )
        for a, b, k, d in parts
    )
    tables.write(edges, TableRef(declaration.dataset, EDGES), {DIGEST: digest, "rows": str(edges.num_rows)})
    rows_of: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    by_row = {m.row: m for m in found}
    sizes = Counter(by_row[r].kept if r in by_row else r for r in range(len(ids)))
    for row, sample in enumerate(ids):
        member = by_row.get(row)
        best = member.kept if member else row
        found_by = None if member is None else PIXELS if row in equal else member.kind
        values = (sample, ids[best], member is None, sizes[best], found_by, member.distance if member else None)
        for name, value in zip(SCHEMA.names, values, strict=True):
            rows_of[name].append(value)
    table = pa.table([pa.array(rows_of[f.name], f.type) for f in SCHEMA], schema=SCHEMA)
    tables.write(table, TableRef(declaration.dataset, DUPLICATES), {DIGEST: digest})
