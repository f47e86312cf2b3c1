"""Samples: one row for each object of a shard, whatever its condition.

Belongs here: reading an object once for its identity, header and sidecars; the shard's file. Does not belong here:
which of equal objects is the sample (``duplicates.py``), what a file is (its ``Medium``), sidecar syntax
(``sidecars.py``), measurements (the room ``metrics``).
"""

import json
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from arot_assets.columns import Column
from arot_assets.datasets.declaration import DatasetDeclaration
from arot_assets.datasets.duplicates import mark_within, shard_footer
from arot_assets.datasets.forgotten import forgotten, without_forgotten
from arot_assets.datasets.reach import digest, fetch, keep, reaching, spread, together
from arot_assets.datasets.sidecars import BAD_SIDECAR, parse_sidecars
from arot_assets.datasets.sources.listed import add_listed
from arot_assets.datasets.turns import Unit
from arot_assets.media.file import File, Limits
from arot_assets.media.medium import Medium
from arot_assets.progress import kept, track
from arot_assets.reasons import meant
from resources.parallel import fetching_threads, ordered_map
from resources.storage import Storage, StorageError
from resources.storage.objects import is_local
from resources.tables import INVENTORY, SAMPLES, TableRef, Tables, Unfinished
from resources.tables.keeping import Keeping

CODE_VERSION = "7"
FAILED = ("corrupt", "unreadable")
"""What counts as failed and can be read again on request; ``unsupported`` files are of another kind and never become
readable."""


_BEFORE = (
    Column("sample_id", pa.string(), "first 32 hex digits of the SHA-256 of the bytes; null when unreadable"),
    Column("sha256", pa.string(), "SHA-256 of the bytes, 64 hex digits"),
    Column("uri", pa.string(), "where the object is"),
    Column("status", pa.string(), "ok | duplicate | corrupt | unsupported | unreadable | forgotten (taken down)"),
    Column("reason", pa.string(), "why it is not ok; null if it is"),
    Column("duplicate_of", pa.string(), "uri of the sample with the same bytes that is kept"),
    Column("notes", pa.list_(pa.string()), "usable, but worth knowing: extension_mismatch, animated, tiny …"),
    Column("bytes", pa.int64(), "size of the object in bytes"),
)
_AFTER = (
    Column("caption", pa.string(), "from NAME.txt, NAME.caption, NAME.json or a list"),
    Column("tags", pa.list_(pa.string()), "from NAME.json, a tag list in NAME.txt or a list"),
    Column(
        "sidecar",
        pa.string(),
        "JSON: NAME.json as it is, the other columns of a list, and texts that are not in caption and tags",
    ),
    Column("generation", pa.string(), "parameters of the generator found in the file (JSON)"),
    Column("shard", pa.string(), "the Dagster partition of the row"),
    Column("ingested_at", pa.timestamp("us", tz="UTC"), "when the object was read, UTC"),
)
COMMON = (*_BEFORE, *_AFTER)
"""The columns of samples of every medium."""


def samples_schema(medium: Medium) -> pa.Schema:
    """The schema of ``samples``: the columns of every medium, and in between those of this one."""
    return pa.schema([column.field() for column in (*_BEFORE, *medium.columns, *_AFTER)])


@dataclass(frozen=True)
class SamplesResult:
    """The outcome for one shard.

    Attributes:
        rows: rows of the shard, equal to its objects in the inventory.
        read: objects read now; the others already had rows.
    """

    rows: int
    read: int


def samples_version(declaration: DatasetDeclaration) -> str:
    """What a row depends on besides the bytes: the code, the limits, and whether opt-outs are honoured."""
    taken = declaration.urls is not None and not declaration.urls.honour_opt_out
    return f"{CODE_VERSION}/{declaration.limits}{'/opt_out' if taken else ''}"


def read_sample(
    storage: Storage, medium: Medium, limits: Limits, uri: str, sidecars: Sequence[str], metadata: str | None = None
) -> dict[str, Any]:
    """Read one object and describe it; failures become the row's status and reason.

    Args:
        storage: accesses the object.
        medium: its expected medium.
        limits: of the probe.
        uri: where it is.
        sidecars: uris of the files beside it.
        metadata: from a list (``listed.to_metadata``); sidecars take precedence.

    Returns:
        The columns of ``samples_schema`` that depend only on the object.

    Raises:
        StorageError: the server of the source does not answer at all.
    """
    row: dict[str, Any] = {"uri": uri, "notes": [], "tags": [], "ingested_at": datetime.now(UTC)}
    try:
        content, known = fetch(storage, uri, medium.by_path)
        sha256, size = digest(content)
        found = medium.probe(File.of(uri, content), limits)
    except StorageError as error:
        if error.is_outage:
            raise
        return row | {"status": "unreadable", "reason": error.reason}
    beside, lost = _read_sidecars(storage, sidecars)
    side = add_listed(parse_sidecars(beside), metadata)
    keep(uri, sha256[:32], content)
    return row | {
        "sample_id": sha256[:32],
        "sha256": sha256,
        "status": found.status,
        "reason": found.reason,
        "notes": list(dict.fromkeys([*found.notes, *known, *side.problems, *lost])),
        "bytes": size,
        **found.facts,
        "caption": side.caption,
        "tags": list(side.tags),
        "sidecar": side.sidecar,
        "generation": json.dumps(found.generation, ensure_ascii=False) if found.generation else None,
    }


def _read_sidecars(storage: Storage, uris: Sequence[str]) -> tuple[dict[str, bytes], list[str]]:
    """The sidecars by extension (the inventory has one of each kind), and a note if one disappeared since it was
    listed."""
    found: dict[str, bytes] = {}
    for uri in uris:
        try:
            found[os.path.splitext(uri)[1]] = storage.read_bytes(uri)
        except StorageError as error:
            if error.is_outage:
                raise
    return found, [BAD_SIDECAR] if len(found) < len(uris) else []


def build_samples(
    storage: Storage, tables: Tables, declaration: DatasetDeclaration, shard: str, retry: str | None = None
) -> SamplesResult:
    """Write the sample rows of one shard; existing rows are kept.

    Equal objects are marked within the shard; ``duplicates.settle`` does this across all shards afterwards.

    Args:
        storage: accesses the objects.
        tables: the store.
        declaration: the dataset.
        shard: the shard's name.
        retry: None keeps failed rows; otherwise failed rows whose status or reason contains this text are read again.

    Raises:
        StorageError: the store cannot be written, or the server of the source does not answer; existing rows remain.
    """
    dataset, medium = declaration.name, declaration.medium
    columns = ("uri", "size", "sidecars", "metadata", "state")
    objects = tables.read_where(TableRef(dataset, INVENTORY), columns, "shard", shard).to_pylist()
    version, schema = samples_version(declaration), samples_schema(medium)
    here = {o["uri"] for o in objects if o["state"] == "present"}
    unfinished = Unfinished(tables, dataset, SAMPLES, shard, version)
    so_far = [
        *_rows_so_far(tables, dataset, shard, version),
        *((row, True) for part in unfinished.read() for row in part.to_pylist()),
    ]
    known = {
        row["uri"]: row for row, current in so_far if row["uri"] not in here or (current and not _again(row, retry))
    }
    missing = [o for o in objects if o["uri"] not in known]
    source = reaching(storage, declaration)
    rows = dict(known)
    taken_down = forgotten(tables)

    def read(item: Mapping[str, Any]) -> dict[str, Any]:
        row = read_sample(source, medium, declaration.limits, item["uri"], item["sidecars"] or (), item.get("metadata"))
        return without_forgotten([row], taken_down)[0]

    finished: deque[dict[str, Any]] = deque()  # by threads, each as soon as it is read
    unkept: list[dict[str, Any]] = []

    def read_all(items: Sequence[Mapping[str, Any]]) -> int:
        for item in items:
            finished.append(read(item))
        return len(items)

    def take() -> None:
        while finished:
            row = finished.popleft()
            rows[row["uri"]] = row
            unkept.append(row)

    def keep() -> None:
        take()
        unfinished.keep(pa.Table.from_pylist(unkept, schema=schema))
        unkept.clear()

    far = declaration.is_url_list or not is_local(declaration.root)
    groups = together(spread(missing), far)
    with (
        track(f"{dataset}/samples {shard}", len(objects)) as advance,
        closing(ordered_map(read_all, groups, fetching_threads(far))) as fresh,
        _told_when_stopped(f"{dataset}/samples {shard}", rows, len(known)),
        Keeping(keep) as keeping,  # kept before the threads are waited for
    ):
        advance(len(known))
        for count in fresh:
            with keeping.adding():
                take()
            advance(count)
    ordered = [{"reason": None, "duplicate_of": None} | rows[o["uri"]] | {"shard": shard} for o in objects]
    ordered = without_forgotten(ordered, forgotten(tables))  # again: some may have been taken down since they were read
    mark_within([row for row in ordered if row["uri"] in here])  # objects that disappeared keep their rows unchanged
    table = pa.Table.from_pylist(ordered, schema=schema)
    tables.write(table, TableRef(dataset, SAMPLES, shard), footer=shard_footer(table, version))
    unfinished.clear()
    return SamplesResult(len(ordered), len(missing))


def build_unit(
    storage: Storage, tables: Tables, declaration: DatasetDeclaration, retry: str | None, unit: Unit
) -> SamplesResult:
    """``build_samples`` for one unit of work, wherever it runs."""
    return build_samples(storage, tables, declaration, unit.shard, retry)


@contextmanager
def _told_when_stopped(title: str, rows: Mapping[str, Any], before: int) -> Iterator[None]:
    """Work that is stopped tells how many rows were read."""
    try:
        yield
    except BaseException:
        kept(title, len(rows) - before)
        raise


def _rows_so_far(tables: Tables, dataset: str, shard: str, version: str) -> Iterator[tuple[dict[str, Any], bool]]:
    """The existing rows of a shard, and whether they are of this version; those of objects that disappeared are kept
    unchanged."""
    ref = TableRef(dataset, SAMPLES, shard)
    footer = tables.footer_if_any(ref)
    if footer is not None:
        current = footer.get("samples_version") == version
        for row in tables.read(ref).to_pylist():
            yield row, current


def _again(row: Mapping[str, Any], retry: str | None) -> bool:
    return retry is not None and row["status"] in FAILED and meant(retry, f"{row['status']} {row['reason']}")
