"""The synthetic store and the folder of files that ``scale.py`` measures, always the same ones.

Belongs here: creating them, with the schemas, footers and file layout of real tables. Does not belong here: any timing.

A store has one dataset, ``scale``: an inventory, samples (98.5 % ok, 1 % duplicates, 0.5 % corrupt) and ten metric
tables, in shards of 5,000. Two of the metrics (cv2, phash) are the catalogue's own, so that their rows are current;
eight are invented.
"""

import os
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.datasets import duplicates, samples
from arot_assets.datasets.changes import SCHEMA
from arot_assets.datasets.declaration import SHARD_SIZE
from arot_assets.datasets.objects import LISTED
from arot_assets.declarations import ImageDataset
from arot_assets.metrics.metric import Column, metric_schema
from arot_assets.metrics.registry import get_metric
from resources.storage import Storage
from resources.tables import INVENTORY, SAMPLES, TableRef, Tables

DATASET = "scale"
DECLARED = ("cv2", "phash")
SYNTHETIC = ("aesthetic", "anatomy", "clutter", "nsfw", "subject", "tagger", "text_area", "watermark")
SYNTHETIC_COLUMNS = (
    Column("score", pa.float32(), "made-up score, 0-10", 0, 10),
    Column("confidence", pa.float32(), "made-up confidence, 0-1", 0, 1),
    Column("margin", pa.float32(), "made-up distance to the second best, 0-1", 0, 1),
)
FOLDER_SIZE = 1000
TIME = 1_750_000_000  # whole seconds; for every file, and for every row
STAMP = pa.timestamp("us", tz="UTC")
WORDS = np.array("red old stone tower by the quiet sea at dusk with boats and gulls over a small harbour town".split())
TAGS = np.array("1girl solo outdoors sky tree portrait night city water flower cat dog smile hat rain".split())


def make_source(folder: Path, rows: int, pictures: list[Path]) -> None:
    """``rows`` files below ``folder``, 1,000 per subfolder: hard links to copies of a few small images."""
    originals = folder.with_name(f"{folder.name}-originals")
    originals.mkdir(parents=True, exist_ok=True)
    copies = []
    for n in range(max(len(pictures), rows // 30_000 + 1)):  # ext4 allows 65,000 links to a file
        copy = originals / f"{n:05}{pictures[n % len(pictures)].suffix}"
        shutil.copyfile(pictures[n % len(pictures)], copy)
        os.utime(copy, (TIME, TIME))
        copies.append(str(copy))
    for first in range(0, rows, FOLDER_SIZE):
        subfolder = folder / f"{first // FOLDER_SIZE:05}"
        subfolder.mkdir(parents=True)
        for n in range(first, min(rows, first + FOLDER_SIZE)):
            os.link(copies[n % len(copies)], f"{subfolder}/{n:08}.jpg")


def make_lake(store: Path, source: Path, rows: int, metrics: Sequence[str] = (*DECLARED, *SYNTHETIC)) -> None:
    """A complete store: what a run over ``source`` would have produced.

    Args:
        store: root of the new store.
        source: root of the dataset; if it does not exist, sizes are invented and no file is accessed.
        rows: number of objects.
        metrics: the tables beside the samples.
    """
    tables = Tables(store=str(store), storage=Storage())
    declaration = ImageDataset(name=DATASET, source=str(source))
    listed = listing(source, rows)
    shards = [f"{n // SHARD_SIZE:05}" for n in range(0, rows, SHARD_SIZE)]
    past = pa.scalar(datetime.fromtimestamp(TIME, UTC), STAMP)
    whole = listed.append_column("shard", pa.array(np.repeat(shards, SHARD_SIZE)[:rows], pa.string()))
    for name, value in (("first_seen", past), ("last_seen", past), ("state", "present")):
        whole = whole.append_column(name, pa.repeat(value, rows))
    footer = {"changed_at": past.as_py().isoformat(), "change": f"{rows:,} new", "root": declaration.root}
    tables.write(whole.cast(SCHEMA), TableRef(DATASET, INVENTORY), footer=footer)
    random = np.random.default_rng(0)
    for number, shard in enumerate(shards):
        part = listed.slice(number * SHARD_SIZE, SHARD_SIZE)
        ids = _write_samples(tables, declaration, shard, part, past, random)
        digest = duplicates.samples_digest(ids.to_pylist())
        for name in metrics:
            _write_metric(tables, name, shard, ids, digest, past, random)
    settle_as_is(tables)


def settle_as_is(tables: Tables) -> None:
    """Note that the duplicates of a store are settled: they are made up, and comparing all ids would find others."""
    state = duplicates._state(tables, DATASET)
    assert state is not None
    tables.write_bytes(state.digest().encode(), duplicates._settled_file(DATASET))


def make_departed(store: Path, of: Path) -> None:
    """The store ``of`` again (its tables as links), but with 1 % of the objects gone from the source: views must hide
    their rows."""
    (store / "datasets" / DATASET).mkdir(parents=True)
    for table in (of / "datasets" / DATASET).iterdir():
        if table.is_dir():
            (store / "datasets" / DATASET / table.name).symlink_to(table)
    tables = Tables(store=str(of), storage=Storage())
    whole = tables.read(TableRef(DATASET, INVENTORY))
    left = pa.array(np.arange(whole.num_rows) % 100 == 99)
    state = pc.if_else(left, "gone", "present")
    whole = whole.set_column(whole.schema.get_field_index("state"), SCHEMA.field("state"), state)
    Tables(store=str(store), storage=Storage()).write(whole, TableRef(DATASET, INVENTORY))


def listing(source: Path, rows: int) -> pa.Table:
    """What a listing of the source would return: columns ``LISTED``."""
    numbers = np.arange(rows)
    names = [f"{source}/{n // FOLDER_SIZE:05}/{n:08}.jpg" for n in range(rows)]
    if source.is_dir():
        sizes = np.fromiter((os.stat(name).st_size for name in names), np.int64, rows)
    else:
        sizes = 20_000 + numbers * 7919 % 500_000
    return pa.table(
        {
            "uri": pa.array(names, pa.string()),
            "size": pa.array(sizes, pa.int64()),
            "mtime": pa.repeat(pa.scalar(datetime.fromtimestamp(TIME, UTC), STAMP), rows),
            "etag": pa.nulls(rows, pa.string()),
            "sidecars": pa.array([[]], pa.list_(pa.string())).take(pa.array(np.zeros(rows, np.int64))),
            "sidecar_mtime": pa.nulls(rows, STAMP),
            "metadata": pa.nulls(rows, pa.string()),
        },
        schema=LISTED,
    )


def mixed(listed: pa.Table) -> pa.Table:
    """The listing a day later: 1 % of the objects gone, 1 % changed, 1 % new (in folders between the old ones)."""
    number = np.arange(listed.num_rows) % 100
    new = listed.filter(pa.array(number == 50))
    new = new.set_column(0, listed.schema.field(0), pc.replace_substring(new["uri"], ".jpg", "-new.jpg"))
    size = pc.add(listed["size"], pa.array((number == 10).astype(np.int64)))
    old = listed.set_column(1, listed.schema.field(1), size).filter(pa.array(number != 20))
    return pa.concat_tables([old, new]).sort_by("uri")


def _write_samples(
    tables: Tables, declaration: ImageDataset, shard: str, listed: pa.Table, past: pa.Scalar,
    random: np.random.Generator,
) -> pa.Array:  # fmt: skip
    """Write one shard of samples; returns the ids of the ok ones."""
    rows = listed.num_rows
    sha256 = _hex(random, rows, 64)
    number = np.arange(rows) % 200
    status = np.where(number < 2, "duplicate", np.where(number == 2, "corrupt", "ok"))
    captions = [" ".join(w) for w in WORDS[random.integers(0, len(WORDS), (rows, 10))]]
    values = {
        "sample_id": pc.utf8_slice_codeunits(sha256, 0, 32),
        "sha256": sha256,
        "uri": listed["uri"],
        "status": status,
        "reason": np.where(number == 2, np.array("the file is truncated", object), np.array(None)),
        "duplicate_of": np.where(number < 2, listed["uri"][rows - 1].as_py(), None),
        "notes": pa.array([[]] * rows, pa.list_(pa.string())),
        "bytes": listed["size"],
        "format": pa.repeat("JPEG", rows),
        "mode": pa.repeat("RGB", rows),
        "width": random.integers(256, 4096, rows),
        "height": random.integers(256, 4096, rows),
        "n_frames": pa.repeat(1, rows),
        "has_alpha": pa.repeat(False, rows),
        "icc_profile": pa.nulls(rows),
        "pixels_only": pa.repeat(True, rows),
        "caption": captions,
        "tags": TAGS[random.integers(0, len(TAGS), (rows, 5))].tolist(),
        "sidecar": pa.nulls(rows),
        "generation": pa.nulls(rows),
        "shard": pa.repeat(shard, rows),
        "ingested_at": pa.repeat(past, rows),
    }
    table = _table(values, samples.samples_schema(declaration.medium))
    footer = duplicates.shard_footer(table, samples.samples_version(declaration))
    tables.write(table, TableRef(DATASET, SAMPLES, shard), footer=footer)
    return table["sample_id"].filter(pc.equal(table["status"], "ok")).combine_chunks()


def _write_metric(
    tables: Tables, name: str, shard: str, ids: pa.Array, digest: str, past: pa.Scalar, random: np.random.Generator
) -> None:
    columns = get_metric(name).columns if name in DECLARED else SYNTHETIC_COLUMNS
    version = get_metric(name).metric_version() if name in DECLARED else f"{name}-1"
    rows = len(ids)
    values = {
        "sample_id": ids,
        "status": pa.repeat("ok", rows),
        "reason": pa.nulls(rows),
        **{c.name: _values(c, rows, random) for c in columns},
        "metric_version": pa.repeat(version, rows),
        "computed_at": pa.repeat(past, rows),
    }
    footer = {"metric_version": version, "failed": "0", "samples_digest": digest}
    table = _table(values, metric_schema(columns))
    tables.write(table, TableRef(DATASET, name, shard), footer=footer)


def _values(column: Column, rows: int, random: np.random.Generator) -> np.ndarray:
    if pa.types.is_boolean(column.type):
        return random.random(rows) < 0.05
    if pa.types.is_integer(column.type):
        return random.integers(0, 2**64, rows, dtype=np.uint64)
    return random.uniform(column.low or 0, column.high or 1, rows).astype(np.float32)


def _table(values: dict[str, object], schema: pa.Schema) -> pa.Table:
    def column(value: object, kind: pa.DataType) -> object:
        if isinstance(value, pa.Array | pa.ChunkedArray):
            return value.cast(kind)
        return pa.array(value.tolist() if isinstance(value, np.ndarray) and value.dtype.kind in "UO" else value, kind)

    return pa.table([column(values[f.name], f.type) for f in schema], schema=schema)


def _hex(random: np.random.Generator, rows: int, digits: int) -> pa.Array:
    text = pa.py_buffer(random.bytes(rows * digits // 2).hex().encode())
    offsets = pa.py_buffer(np.arange(0, (rows + 1) * digits, digits, dtype=np.int32))
    return pa.StringArray.from_buffers(rows, offsets, text)
