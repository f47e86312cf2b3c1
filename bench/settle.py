"""What do exact duplicates cost? Settling all shards once, compared with the former query over all other shards for
each shard.

Belongs here: synthetic samples with equal objects in many shards, both ways, the report.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import results

from arot_assets.datasets.changes import SCHEMA
from arot_assets.datasets.duplicates import mark_within, settle, shard_footer
from arot_assets.datasets.samples import samples_schema
from arot_assets.markdown import write_table
from arot_assets.media.image.medium import IMAGE
from resources.storage import Storage
from resources.tables import INVENTORY, SAMPLES, TableRef, Tables
from resources.warehouse import Warehouse
from resources.warehouse.connection import open_duckdb
from resources.warehouse.departed import departed
from resources.warehouse.views import files

T = TypeVar("T")
DATASET = "d"
EQUAL = 0.1
"""Fraction of the objects whose bytes are also those of an object in a random other shard."""
SHARDS_PER_RUN = 50
ODD = 0x9E3779B97F4A7C15F39CC0605CEDC835
"""Maps numbers to 128 bits, one to one."""
MEASURED_EACH = 10
"""The former method is timed for every tenth shard, and counted ten times: it takes minutes."""


def make(tables: Tables, shards: int, rows: int) -> None:
    """An inventory and its samples, as left by builds in any order: marked within each shard only."""
    random = np.random.default_rng(0)
    total = shards * rows
    content = np.arange(total)
    copies = random.random(total) < EQUAL
    content[copies] = random.integers(0, total, int(copies.sum()))
    uris = [f"/data/{n // 1000:05}/{n:08}.jpg" for n in range(total)]
    names = [f"{n:05}" for n in range(shards)]
    now = datetime.fromtimestamp(1_750_000_000, UTC)
    listed = {"uri": uris, "size": [1] * total, "mtime": [now] * total, "shard": np.repeat(names, rows)}
    listed |= {"first_seen": [now] * total, "last_seen": [now] * total, "state": ["present"] * total}
    columns = [pa.array(listed[f.name], f.type) if f.name in listed else pa.nulls(total, f.type) for f in SCHEMA]
    footer = {"changed_at": now.isoformat()}
    tables.write(pa.table(columns, schema=SCHEMA), TableRef(DATASET, INVENTORY), footer=footer)
    schema = samples_schema(IMAGE)
    for number, shard in enumerate(names):
        part = range(number * rows, (number + 1) * rows)
        found: list[dict[str, Any]] = [
            {"uri": uris[n], "sample_id": f"{int(content[n]) * ODD % 2**128:032x}", "status": "ok"}
            | {"reason": None, "duplicate_of": None, "shard": shard, "caption": f"a caption of some words, {n}"}
            for n in part
        ]
        mark_within(found)
        table = pa.Table.from_pylist(found, schema=schema)
        tables.write(table, TableRef(DATASET, SAMPLES, shard), footer=shard_footer(table, "1"))


def before(tables: Tables, shard: str) -> int:
    """The former query of each shard's build: which of its contents are ``ok`` in another shard."""
    own = tables.read(TableRef(DATASET, SAMPLES, shard), columns=["sample_id"])
    with open_duckdb(tables) as con:
        con.register("mine", own)
        return len(
            con.execute(
                f"""select s.sample_id, min(s.uri) from {files(tables, DATASET, SAMPLES)} s
                semi join mine using (sample_id)
                anti join ({departed(tables, DATASET)}) l on s.uri = l.uri and s.shard = l.shard
                where s.status = 'ok' and s.shard <> ? group by 1""",
                [shard],
            ).fetchall()
        )


def timed(work: Callable[[], T]) -> tuple[float, float, T]:
    """Seconds, CPU seconds of all threads, and the result."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return time.perf_counter() - wall, time.process_time() - cpu, found


def measure(folder: Path, shards: int, rows: int) -> list[tuple[str, float, float, str]]:
    """Step, seconds, CPU seconds, outcome."""
    whole, growing = (Tables(Storage(), str(folder / name)) for name in ("whole", "growing"))
    make(whole, shards, rows)
    names = whole.shards(DATASET, SAMPLES)
    for ref in (TableRef(DATASET, INVENTORY), TableRef(DATASET, SAMPLES, names[0])):
        Path(growing.uri(ref)).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(whole.uri(TableRef(DATASET, INVENTORY)), growing.uri(TableRef(DATASET, INVENTORY)))
    old, new = [], []
    for number, shard in enumerate(names):
        ref = TableRef(DATASET, SAMPLES, shard)
        shutil.copyfile(whole.uri(ref), growing.uri(ref))
        if number % MEASURED_EACH == MEASURED_EACH - 1:
            old.append(timed(partial(before, growing, shard)))
        if number % SHARDS_PER_RUN == SHARDS_PER_RUN - 1 or shard == names[-1]:
            new.append(timed(lambda: settle(Warehouse(growing), DATASET)))
    nothing = [timed(lambda: settle(Warehouse(Tables(Storage(), growing.root)), DATASET)) for _ in range(5)]
    last = growing.uri(TableRef(DATASET, SAMPLES, names[-1]))
    shutil.copyfile(whole.uri(TableRef(DATASET, SAMPLES, names[-1])), last)
    one = timed(lambda: settle(Warehouse(growing), DATASET))
    rewritten = sum(len(found.shards) for *_, found in new)
    return [
        (
            f"before: a query over the other shards for each of {shards} shards, one after the other",
            MEASURED_EACH * sum(wall for wall, *_ in old),
            MEASURED_EACH * sum(cpu for _, cpu, _ in old),
            f"every {MEASURED_EACH}th measured",
        ),
        (
            f"now: `settle` after each run of {SHARDS_PER_RUN} shards, {len(new)} times",
            sum(wall for wall, *_ in new),
            sum(cpu for _, cpu, _ in new),
            f"{rewritten} shards rewritten",
        ),
        ("now: one more shard", one[0], one[1], f"{len(one[2].shards)} shards rewritten"),
        (
            "now: nothing to settle, in a new process",
            statistics.median(wall for wall, *_ in nothing),
            statistics.median(cpu for _, cpu, _ in nothing),
            "footers read, no rows",
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=int, default=200)
    parser.add_argument("--rows", type=int, default=5000, help="rows per shard")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="arot-settle-") as folder:
        lines = measure(Path(folder), options.shards, options.rows)
    print(f"{results.machine()}; {options.shards} shards x {options.rows:,} rows, {EQUAL:.0%} of them copies\n")
    rows = [(step, f"{wall:.2f}", f"{cpu:.2f}", note) for step, wall, cpu, note in lines]
    print(write_table(("step", "seconds", "CPU s", "what came out"), rows))


if __name__ == "__main__":
    main()
