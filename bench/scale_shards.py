"""What grows with the number of shards? Status, catalogue and comparison of listings up to 10 M samples in 2,000 shards.

Belongs here: stores whose inventory is whole and whose shards are links to one, so that ten million samples take seconds to
make, and the steps whose cost is files and footers. Does not belong here: queries over rows (``scale.py``). Imports little: a
child's peak memory starts at that of its parent.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import results
from scale_project import copy_project

from arot_assets.markdown import write_table

ROOT = Path(__file__).parents[1]
DATASET, SHARD = "scale", 5000
INVENTORY_ROWS = """
select printf('/nowhere/%05d/%08d.jpg', n // 1000, n) as uri, (20000 + n * 7919 % 500000)::bigint as size,
  moment as mtime, null::varchar as etag, []::varchar[] as sidecars, null::timestamptz as sidecar_mtime,
  null::varchar as metadata, printf('%05d', n // {shard}) as shard, moment as first_seen, moment as last_seen, 'present' as state
from range({rows}) t(n), (select to_timestamp(1750000000) as moment)
"""
INSIDE = """
import json, resource, sys, time
from pathlib import Path
from datetime import UTC, datetime
from arot_assets.datasets.objects import LISTED
from arot_assets.datasets.unchanged import is_unchanged, note_seen
from resources.storage import Storage
from resources.tables import INVENTORY, TableRef, Tables
from resources.warehouse import Warehouse

tables = Tables(Storage(), sys.argv[1])


def compare():
    ref = TableRef("scale", INVENTORY)
    listed = tables.read(ref, LISTED.names)
    assert is_unchanged(tables, "scale", listed)
    note_seen(tables, "scale", datetime.now(UTC), tables.footer(ref))


work = {
    "refresh": lambda: Warehouse(tables).refresh(),
    "connect": lambda: Warehouse(tables).connect().close(),
    "compare": compare,
}[sys.argv[2]]
before, wall = time.process_time(), time.perf_counter()
work()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([time.perf_counter() - wall, time.process_time() - before, peak]))
"""
MADE_UP = """
import sys
from datetime import UTC, datetime
from resources.storage.local import LocalBackend
from resources.storage.objects import ObjectColumns

rows, moment = int(sys.argv.pop(1)), 1750000000.0
at_once = 1000


def ls_columns(self, root):
    for first in range(0, rows, at_once):
        numbers = range(first, first + at_once)
        uris = [f"/nowhere/{first // 1000:05}/{n:08}.jpg" for n in numbers]
        yield ObjectColumns(uris, [20000 + n * 7919 % 500000 for n in numbers], [moment] * at_once, [None] * at_once)


LocalBackend.ls_columns = ls_columns
from arot_assets.cli import main
main()
"""
"""`arot run` with a listing that is made up: no file system has to hold so many files, and none is measured."""
STEPS = {
    "catalogue: `Warehouse.refresh`": "refresh",
    "catalogue: connection with all views": "connect",
    "inventory: compare and note, nothing changed": "compare",
}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millions", type=float, nargs="+", default=[1, 2, 4, 10])
    parser.add_argument("--make", nargs=3, metavar=("FOLDER", "STORE", "ROWS"), help="only make a store")
    parser.add_argument("--no-record", action="store_true", help="print only")
    said = parser.parse_args()
    if said.make:
        make(Path(said.make[0]), Path(said.make[1]), int(said.make[2]))
        return
    rows = []
    with tempfile.TemporaryDirectory(prefix="arot-shards-") as folder:
        for millions in said.millions:
            rows += measure(Path(folder), int(millions * 1_000_000))
    text = write_table(("samples", "shards", "step", "seconds", "CPU s", "peak MiB"), rows)
    print(text)
    if not said.no_record:
        results.append("Many shards", text)


def measure(folder: Path, rows: int) -> list[tuple[str, ...]]:
    """The lines of one size."""
    store, project = folder / f"store-{rows}", folder / f"project-{rows}"
    paths = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, __file__, "--make", folder, store, str(rows)], env=paths, check=True)
    copy_project(project, Path("/nowhere"), DATASET)
    environment = {**os.environ, "PYTHONPATH": str(project), "AROT_STORE": str(store), "AROT_PROJECT": str(project)}
    lines = []
    for what, step in STEPS.items():
        command = [sys.executable, "-c", INSIDE, str(store), step]
        done = subprocess.run(command, env=environment, cwd=project, capture_output=True, text=True, check=True)
        lines.append((what, *json.loads(done.stdout)))
    told, spent = twice([sys.executable, "-m", "arot_assets.cli", "status", DATASET], environment, project)
    assert f"{rows // SHARD} of {rows // SHARD}" in told.replace(",", ""), told
    lines.append(("`arot status`", *spent))
    shutil.rmtree(project / "dbt_like_sql" / "models")
    (project / "dbt_like_sql" / "models").mkdir()
    environment["DAGSTER_HOME"] = str(folder / f"home-{rows}")
    told, spent = twice([sys.executable, "-c", MADE_UP, str(rows), "run", DATASET], environment, project)
    assert "nothing to do" in told, told
    lines.append(("`arot run`, nothing to do, without the walk", *spent))
    for line in lines:
        print(f"{rows:,}", *line, flush=True)
    return [(f"{rows:,}", f"{rows // SHARD:,}", w, f"{s:.2f}", f"{c:.2f}", f"{m:,.0f}") for w, s, c, m in lines]


def twice(command: list[str], environment: dict[str, str], project: Path) -> tuple[str, tuple[float, float, float]]:
    """Run a command twice; what it printed, and its wall and CPU seconds and peak MiB, the second time: the first one finds no
    Python bytecode and no records."""
    for _ in range(2):
        started = time.perf_counter()
        process = subprocess.Popen(command, env=environment, cwd=project, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        told = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0, told
        spent = time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    return told, spent


def make(folder: Path, store: Path, rows: int) -> None:
    """A store of whole shards: one is written, the others are links to its files."""
    from scale_lake import DECLARED, make_lake, settle_as_is

    from arot_assets.declarations import ImageDataset
    from resources.storage import Storage
    from resources.tables import INVENTORY, TableRef, Tables
    from resources.warehouse import Warehouse

    first = folder / "first"
    if not first.exists():
        make_lake(first, Path("/nowhere"), SHARD, DECLARED)
    of_one = Tables(Storage(), str(first))
    for name in ("samples", *DECLARED):
        target = store / "datasets" / DATASET / name
        target.mkdir(parents=True)
        for number in range(rows // SHARD):
            os.link(first / "datasets" / DATASET / name / "00000.parquet", target / f"{number:05}.parquet")
    ref = TableRef(DATASET, INVENTORY)
    with Warehouse(of_one).connect() as con:
        con.execute("set timezone = 'UTC'")
        sql = INVENTORY_ROWS.format(rows=rows, shard=SHARD)
        footer = {**of_one.footer(ref), "root": ImageDataset(name=DATASET, source="/nowhere").root}
        whole = Tables(Storage(), str(store))
        con.repeated(lambda raw: whole.write_query(raw, sql, ref, footer=footer), sql)
    settle_as_is(whole)


if __name__ == "__main__":
    main()
