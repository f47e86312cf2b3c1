"""Equal objects: which of them is the sample, and which are its duplicates.

Belongs here: marking rows of ``samples`` with the same bytes, within a shard and across all shards. Does not belong
here: images that look alike, reading objects (``samples.py``).

Of all present objects with the same bytes, the first one in the inventory's order is ``ok``: ordered by the shard for
which the object was first listed with its current size and time, then by URI. So an object whose caption changed, or
that disappeared and returned, keeps its position, and later copies never take it. The others are ``duplicate``, and
name the first in ``duplicate_of``. A row describes its own object: caption and sidecar are those of the copy that is
``ok``; when that one disappears, those of the next.

Shards are built in any order, by any number of processes; each build knows only its own shard. ``settle`` then compares
all of them, and rewrites those whose marks differ from this rule. If nothing changed, the footers are sufficient;
otherwise it reads the ids, and other columns only for rows with duplicates. It may be killed, and may run in several
processes at once: a shard is replaced in one step, if it is still the one that was read, and each process continues
until a comparison finds nothing to change.

The row of an object that disappeared is unchanged, with its measurements, which are found by content. Only if the first
copy is in the same shard does it become a duplicate too: a shard has one ``ok`` row per content.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from resources.storage import StorageError
from resources.tables import INVENTORY, SAMPLES, StoreFile, TableRef, Tables
from resources.tables.parquet_files import FOOTER_PREFIX
from resources.warehouse import Warehouse
from resources.warehouse.views import files

RULE = "1"
"""Change this when a different copy is to be the sample: every dataset is then settled again."""
MARKS = "marks"
"""Key of a shard's footer: digest of its marks of equal objects."""
KNOWN = ("ok", "duplicate")
"""Statuses of rows that are compared by their bytes."""


@dataclass
class SettlingResult:
    """What settling changed.

    Attributes:
        originals: rows that became ``ok``.
        duplicates: rows that became ``duplicate``, or duplicates of another original.
        shards: shards that were rewritten.
    """

    originals: int = 0
    duplicates: int = 0
    shards: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class SettlingState:
    """Everything that settling depends on and produces.

    Attributes:
        changed_at: when the inventory last changed.
        marks: shard -> digest of its marks of equal objects.
    """

    changed_at: str
    marks: Mapping[str, str]

    def digest(self) -> str:
        """64 hex digits."""
        return hashlib.sha256(json.dumps([RULE, self.changed_at, sorted(self.marks.items())]).encode()).hexdigest()


def samples_digest(sample_ids: Iterable[str]) -> str:
    """Digest (16 hex digits) of the set of samples that metric tables must cover."""
    return hashlib.sha256("\n".join(sorted(set(sample_ids))).encode()).hexdigest()[:16]


def shard_footer(table: pa.Table, version: str) -> dict[str, str]:
    """The footer of one shard of samples.

    Args:
        table: its rows.
        version: the ``samples_version`` of the rows.
    """
    ok = table.filter(pc.equal(table["status"], "ok"))
    columns = (table[name].to_pylist() for name in ("uri", "sample_id", "status", "duplicate_of"))
    marks = json.dumps([row for row in zip(*columns, strict=True) if row[2] in KNOWN])
    return {
        "samples_version": version,
        "samples_digest": samples_digest(ok["sample_id"].to_pylist()),
        "statuses": json.dumps(Counter(table["status"].to_pylist())),
        MARKS: hashlib.sha256(marks.encode()).hexdigest()[:16],
    }


def mark(row: dict[str, Any], original: str) -> None:
    """Mark a row as the sample, or as a duplicate of the object at this address."""
    same = original == row["uri"]
    row.update(
        status="ok" if same else "duplicate",
        reason=None if same else f"same bytes as {original}",
        duplicate_of=None if same else original,
    )


def mark_within(rows: Sequence[dict[str, Any]]) -> None:
    """Among the present rows of one shard with the same bytes, keep one ``ok``: the first.

    If one of them is known to have its original in another shard, all are duplicates of that one; ``settle`` checks
    whether that still holds.
    """
    here = {row["uri"] for row in rows}
    originals = {
        row["sample_id"]: row["duplicate_of"]
        for row in rows
        if row["status"] == "duplicate" and row["duplicate_of"] and row["duplicate_of"] not in here
    }
    for row in rows:
        if row["status"] in KNOWN:
            mark(row, originals.setdefault(row["sample_id"], row["uri"]))


def is_settled(tables: Tables, dataset: str) -> bool:
    """Whether there is nothing to settle; reads footers and no rows."""
    state = _state(tables, dataset)
    return state is None or _read_settled(tables, dataset) == state.digest()


def settle(warehouse: Warehouse, dataset: str, announce: Callable[[str], None] | None = None) -> SettlingResult:
    """Make each existing shard mark the same one of equal objects as the sample; rewrites only shards that do not.

    Args:
        warehouse: over the store.
        dataset: the dataset's name.
        announce: called with each shard before it is rewritten, so that the change is announced whatever happens next.

    Raises:
        StorageError: the store cannot be read or written; existing tables remain, and are settled the next time.
    """
    tables = warehouse.tables
    result = SettlingResult()
    state = _state(tables, dataset)
    while state is not None and _read_settled(tables, dataset) != state.digest():
        expected = dict(state.marks)
        whole = True
        for shard, originals in _changes(warehouse, dataset).items():
            if announce is not None:
                announce(shard)
            marks = _rewrite(tables, TableRef(dataset, SAMPLES, shard), state.marks.get(shard), originals, result)
            whole &= marks is not None
            expected[shard] = marks or ""
        found = _state(tables, dataset)
        if whole and found == SettlingState(
            state.changed_at, expected
        ):  # nobody else has changed the state in the meantime
            tables.write_bytes(found.digest().encode(), _settled_file(dataset))
        state = found
    return result


def _settled_file(dataset: str) -> StoreFile:
    return StoreFile(f"{TableRef(dataset, SAMPLES).folder}/settled")


def _read_settled(tables: Tables, dataset: str) -> str | None:
    """The state that was last found to be settled."""
    try:
        return tables.read_bytes(_settled_file(dataset)).decode()
    except StorageError as error:
        if error.kind != "not_found":
            raise
        return None


def _state(tables: Tables, dataset: str) -> SettlingState | None:
    """The current state; None before there are samples. Reads footers only."""
    inventory = tables.footer_if_any(TableRef(dataset, INVENTORY))
    footers = tables.footers(dataset, SAMPLES)
    if inventory is None or not footers:
        return None
    return SettlingState(
        inventory.get("changed_at", ""), {shard: _marks(footer.strings) for shard, footer in footers.items()}
    )


def _marks(footer: Mapping[str, str]) -> str:
    """The digest of a shard's marks; for shards written by earlier versions, of their samples."""
    return footer.get(MARKS) or footer["samples_digest"]


def _changes(warehouse: Warehouse, dataset: str) -> dict[str, dict[str, str]]:
    """Shard -> uri -> address of the original, for all rows marked differently."""
    tables = warehouse.tables
    samples, inventory = files(tables, dataset, SAMPLES, alike=True), files(tables, dataset, INVENTORY)
    found = warehouse.ask(
        f"""
        with equal as materialized (  -- the other columns are read for these only
            select sample_id from {samples} where status in ('ok', 'duplicate')
            group by 1 having count(*) > 1 or bool_or(status = 'duplicate')
        ), known as materialized (
            select sample_id, uri, shard, status, duplicate_of
            from {samples} semi join equal using (sample_id) where status in ('ok', 'duplicate')
        ), listed as (
            select uri, shard, state = 'present' as present, min(shard) over (partition by uri, size, mtime, etag) as place
            from {inventory} semi join known using (uri)
        ), placed as (
            select * from known join listed using (uri, shard)
        ), first as (
            select sample_id, min({{'place': place, 'uri': uri, 'shard': shard}}) as o from placed where present group by 1
        )
        select shard, uri, o.uri as original from placed join first using (sample_id)
        where case
            when not present then shard = o.shard and status = 'ok'
            when shard = o.shard and uri = o.uri then status <> 'ok'
            else status <> 'duplicate' or duplicate_of is distinct from o.uri
        end
        order by shard"""
    )
    changes: dict[str, dict[str, str]] = {}
    for shard, uri, original in zip(*(found[c].to_pylist() for c in ("shard", "uri", "original")), strict=True):
        changes.setdefault(shard, {})[uri] = original
    return changes


def _rewrite(
    tables: Tables, ref: TableRef, marks: str | None, originals: Mapping[str, str], result: SettlingResult
) -> str | None:
    """Mark rows of one shard; returns the resulting digest of its marks. If the shard has been replaced since it was
    read, it is left alone: None."""
    version = tables.version(ref)
    table = tables.read(ref)
    kept = {k.removeprefix(FOOTER_PREFIX).decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
    if _marks(kept) != marks:
        return None
    rows = table.select(["uri", "status", "reason", "duplicate_of"]).to_pylist()
    counts = Counter[str]()
    for row in rows:
        if row["uri"] in originals and row["status"] in KNOWN:
            mark(row, originals[row["uri"]])
            counts[row["status"]] += 1
    for name in ("status", "reason", "duplicate_of"):
        position = table.schema.get_field_index(name)
        values = pa.array([row[name] for row in rows], pa.string())
        table = table.set_column(position, table.schema.field(position), values)
    footer: dict[str, str] = kept | shard_footer(table, kept["samples_version"])
    try:
        tables.write(table, ref, footer=footer, replacing=version)
    except StorageError as error:
        if error.kind != "changed":
            raise
        return None
    result.shards.add(ref.shard)
    result.originals += counts["ok"]
    result.duplicates += counts["duplicate"]
    return footer[MARKS]
