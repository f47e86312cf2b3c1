"""What ``scale.py`` times inside a process: one step per process, so that its peak memory is its own.

Belongs here: the steps. Does not belong here: creating data (``scale_lake.py``), processes and the report
(``scale.py``).

    python scale_steps.py STEP STORE SOURCE ROWS REPEAT   ->   {"seconds": [[wall, CPU], ...], "note": "..."}
"""

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from scale_lake import DATASET, DECLARED, SYNTHETIC, TIME, listing, make_departed, make_lake, make_source, mixed

from arot_assets.datasets import inventory
from arot_assets.datasets.changes import InventoryChanges, plan
from arot_assets.datasets.declaration import SHARD_SIZE
from resources.storage import Storage
from resources.tables import INVENTORY, StoreFile, TableRef, Tables
from resources.warehouse import Warehouse

NOW = datetime.fromtimestamp(TIME + 86_400, UTC)
PICTURES = 8
LISTINGS = {"same": StoreFile("listing-same.parquet"), "mixed": StoreFile("listing-mixed.parquet")}
SCRATCH = StoreFile("scratch/inventory.parquet")
FILTERS = {"width": "s.width >= 1024", "cv2": "cv2.brightness between 50 and 200", "aesthetic": "aesthetic.score > 6"}
WIDE_FILTERS = "width >= 1024 and cv2__brightness between 50 and 200 and aesthetic__score > 6"
Times = list[tuple[float, float]]
"""Wall and CPU seconds (of all threads) of each repetition."""
Timed = tuple[Times, str]


def main() -> None:
    """Run the step that the arguments name."""
    step, store, source, rows, repeat = sys.argv[1:6]
    if step == "make_source":
        smallest = sorted(Path(sys.argv[6]).rglob("*.jpg"), key=lambda p: (p.stat().st_size, p.name))[:PICTURES]
        seconds, note = _times(lambda: make_source(Path(source), int(rows), smallest), 1), ""
    elif step == "make_lakes":
        seconds, note = _times(lambda: make_lakes(Path(store), Path(source), int(rows)), 1), ""
    else:
        seconds, note = STEPS[step](Tables(store=store, storage=Storage()), int(rows), int(repeat))
    print(json.dumps({"seconds": seconds, "note": note}))


def make_lakes(store: Path, source: Path, rows: int) -> None:
    """The store, the same with objects gone, and two listings to compare it with."""
    make_lake(store, source, rows)
    make_departed(store.with_name(f"{store.name}-departed"), store)
    tables = Tables(store=str(store), storage=Storage())
    listed = listing(source, rows)
    tables.write(listed, LISTINGS["same"])
    tables.write(mixed(listed), LISTINGS["mixed"])


def read_inventory(tables: Tables, rows: int, repeat: int) -> Timed:
    """Read the whole inventory into memory."""

    def read() -> None:
        found = inventory.read_inventory(tables, DATASET)
        assert found is not None and found.num_rows == rows

    return _times(read, repeat), ""


def write_inventory(tables: Tables, rows: int, repeat: int) -> Timed:
    """Write the whole inventory back to disk, synced."""
    table = tables.read(TableRef(DATASET, INVENTORY))
    seconds = _times(lambda: tables.write(table, SCRATCH), repeat)
    return seconds, f"{Path(tables.uri(SCRATCH)).stat().st_size / 2**20:.0f} MiB"


def plan_same(tables: Tables, rows: int, repeat: int) -> Timed:
    """Compare with a listing in which nothing changed."""
    found, seconds = _plan(tables, "same", repeat)
    assert not found.differs and found.unchanged == rows, found
    return seconds, "all unchanged"


def plan_mixed(tables: Tables, rows: int, repeat: int) -> Timed:
    """Compare with a listing with 1 % new, 1 % changed and 1 % gone, and cut the new shards."""
    found, seconds = _plan(tables, "mixed", repeat)
    share = rows // 100
    assert (found.new, found.changed, found.gone, found.unchanged) == (share, share, share, rows - 2 * share), found
    assert len(found.new_shards) == -(-2 * share // SHARD_SIZE) and found.inventory.num_rows == rows + 2 * share
    return seconds, f"{share:,} new, {share:,} changed, {share:,} gone; {len(found.new_shards)} new shards"


def refresh(tables: Tables, rows: int, repeat: int) -> Timed:
    """Write a new ``catalog.duckdb``: samples, ten metric tables, wide."""
    warehouse = Warehouse(tables=tables)
    seconds = _times(warehouse.refresh, repeat)
    return seconds, f"{warehouse.catalog_path.stat().st_size / 1024:.0f} KiB"


def join_explicit(tables: Tables, rows: int, repeat: int) -> Timed:
    """Ten metric tables joined explicitly, three filters, one column of each."""
    metrics = (*DECLARED, *SYNTHETIC)
    columns = ", ".join(f"avg({m}.{_column(m)})" for m in metrics)
    joins = " ".join(f"join {DATASET}.{m} using (sample_id)" for m in metrics)
    where = " and ".join(FILTERS.values())
    return _query(tables, f"select count(*), {columns} from {DATASET}.samples s {joins} where {where}", repeat)


def join_wide(tables: Tables, rows: int, repeat: int) -> Timed:
    """The same query through ``scale.wide``."""
    columns = ", ".join(f"avg({m}__{_column(m)})" for m in (*DECLARED, *SYNTHETIC))
    return _query(tables, f"select count(*), {columns} from {DATASET}.wide where {WIDE_FILTERS}", repeat)


def join_polars(tables: Tables, rows: int, repeat: int) -> Timed:
    """The same query in polars, streamed, over the same files."""
    import polars

    def scan(table: str, *columns: str) -> polars.LazyFrame:
        return polars.scan_parquet(f"{tables.folder(TableRef(DATASET, table))}/*.parquet").select("sample_id", *columns)

    # polars joins in the order that is written: those with filters come first, which leaves the fewest rows
    metrics = sorted((*DECLARED, *SYNTHETIC), key=lambda name: (name not in FILTERS, name))
    found: list[tuple[float, ...]] = []

    def once() -> None:
        whole = scan("samples", "width").filter(polars.col("width") >= 1024)
        for metric in metrics:
            columns = {"brightness", _column(metric)} if metric == "cv2" else {_column(metric)}
            one = scan(metric, *columns).rename({_column(metric): metric})
            if metric == "cv2":
                one = one.filter(polars.col("brightness").is_between(50, 200))
            elif metric == "aesthetic":
                one = one.filter(polars.col(metric) > 6)
            whole = whole.join(one, on="sample_id")
        asked = whole.select(polars.len(), *(polars.col(m).cast(polars.Float64).mean() for m in metrics))
        found[:] = asked.collect(engine="streaming").rows()

    seconds = _times(once, repeat)
    return seconds, f"{found[0][0]:,} rows left"


def one_metric(tables: Tables, rows: int, repeat: int) -> Timed:
    """The most common query: samples and one metric."""
    query = f"select count(*), avg(brightness) from {DATASET}.samples join {DATASET}.cv2 using (sample_id) where width >= 1024"
    return _query(tables, query, repeat)


def connect(tables: Tables, rows: int, repeat: int) -> Timed:
    """A connection with every view, as a statement has it that may read any."""

    def once() -> None:
        with Warehouse(tables=tables).connect() as con:
            con.execute("show all tables")

    return _times(once, repeat), ""


STEPS: dict[str, Callable[[Tables, int, int], Timed]] = {
    f.__name__: f
    for f in (
        read_inventory, write_inventory, plan_same, plan_mixed, refresh, connect,
        join_explicit, join_wide, join_polars, one_metric,
    )
}  # fmt: skip


def _plan(tables: Tables, which: str, repeat: int) -> tuple[InventoryChanges, Times]:
    previous = tables.read(TableRef(DATASET, INVENTORY))
    listed = tables.read(LISTINGS[which])
    found: list[InventoryChanges] = []

    def once() -> None:
        found.clear()
        found.append(plan(previous, listed, NOW, SHARD_SIZE))

    seconds = _times(once, repeat)
    return found[0], seconds


def _query(tables: Tables, query: str, repeat: int) -> Timed:
    """Time a query with its connection, which finds the columns of the tables, as a command has it."""
    found: list[tuple[float | None, ...]] = []

    def once() -> None:
        with Warehouse(tables=tables).connect() as con:
            found[:] = con.execute(query).fetchall()

    seconds = _times(once, repeat)
    assert found[0][0] and None not in found[0], found
    return seconds, f"{found[0][0]:,} rows left"


def _column(metric: str) -> str:
    return {"cv2": "sharpness", "phash": "phash"}.get(metric, "score")


def _times(once: Callable[[], object], repeat: int) -> Times:
    seconds = []
    for _ in range(repeat):
        wall, cpu = time.perf_counter(), time.process_time()
        once()
        seconds.append((time.perf_counter() - wall, time.process_time() - cpu))
    return seconds


if __name__ == "__main__":
    main()
