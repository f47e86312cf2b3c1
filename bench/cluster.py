"""What does a Ray cluster cost and gain? Nodes of one core on loopback beside this process: the same tables, and ratios of time.

Belongs here: the cluster, the rounds, the comparison. Does not belong here: what a unit is (``arot_assets.metrics.units``).
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import results

if TYPE_CHECKING:
    from resources.compute import Compute

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
SAME = "Every table of every round is the same as this process's, bit for bit, with its footer."
METRICS = ("cv2", "phash")
KINDS = ("this process", "workers", "Ray's own")
EPILOG = """
what is measured: one step of metrics (cv2, phash) over photos, with one thread a unit, tables in a new store each time
  this process            every shard, one thread
  Ray with N nodes        of one core each, N = 1, 2, 3; workers are warm (a first step is not counted)
efficiency is the time of one node over that of N, and overhead that of one node over this process. On fewer idle cores than
nodes, or beside other work, the efficiency says nothing; the CPU seconds of each kind of process do: what this process and Ray's
own ones take of the cores is missing to the workers. The tables are compared in any case: every value and footer but the
moments of work.

example: python bench/cluster.py --photos 400 --rounds 3
"""


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=240)
    parser.add_argument("--shard", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--no-record", action="store_true", help="print only")
    said = parser.parse_args()
    os.environ |= {"AROT_THREADS": "1", "AROT_UNIT_CORES": "1"}
    with tempfile.TemporaryDirectory(prefix="arot-cluster-") as folder:
        text = measure(Path(folder), said.photos, said.shard, said.rounds)
    print(text)
    if not said.no_record:
        results.append("A Ray cluster on loopback", text)


def measure(folder: Path, photos: int, shard: int, rounds: int) -> str:
    """The report."""
    import ray
    from ray.cluster_utils import Cluster

    from resources.compute import Local, compute_of

    source = folder / "photos"
    photos_at(source, photos)
    spent: dict[str, list[Spent]] = {}
    told: list[str] = []
    node = {"num_cpus": 1, "object_store_memory": 80_000_000}
    alone = step(Local(), folder / "store-alone", source, shard)
    spent["this process"] = [
        alone,
        *(step(Local(), folder / f"store-alone-{n}", source, shard) for n in range(rounds - 1)),
    ]
    for nodes in (1, 2, 3):
        cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
        for _ in range(nodes - 1):
            cluster.add_node(**node)
        compute = compute_of("ray", cluster.address)
        step(compute, folder / "warm", source, shard)
        for n in range(rounds):
            store = folder / f"store-{nodes}-{n}"
            spent.setdefault(f"Ray with {nodes} nodes", []).append(step(compute, store, source, shard))
            differing = differences(folder / "store-alone", store)
            told += [f"Ray with {nodes} nodes: {name} differs" for name in differing]
            shutil.rmtree(store)
        shutil.rmtree(folder / "warm")
        ray.shutdown()
        cluster.shutdown()
    one = seconds_of(spent["Ray with 1 nodes"])
    lines = [
        f"{photos} photos of the examples in shards of {shard}, cv2 and phash, one thread a unit, median of {rounds}; load "
    ]
    lines[0] += f"average at the end {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores."
    lines += ["", f"| where | s | time of one node / this | {' | '.join(f'CPU s, {kind}' for kind in KINDS)} |"]
    lines += ["|---|---|---" + "|---" * len(KINDS) + "|"]
    for what, rounds_of in spent.items():
        cpu = " | ".join(f"{statistics.median(one.cpu[kind] for one in rounds_of):.2f}" for kind in KINDS)
        lines.append(f"| {what} | {seconds_of(rounds_of):.1f} | {one / seconds_of(rounds_of):.2f} | {cpu} |")
    lines += [
        "",
        "; ".join(told) if told else SAME,
    ]
    return "\n".join(lines)


@dataclass(frozen=True)
class Spent:
    """What a step took.

    Attributes:
        seconds: from its begin to its end.
        cpu: CPU seconds in that time of each kind of process.
    """

    seconds: float
    cpu: Counter[str]


def seconds_of(rounds: list[Spent]) -> float:
    """The median."""
    return statistics.median(one.seconds for one in rounds)


def cpu_now() -> Counter[str]:
    """CPU seconds of this process, of its children that work, and of Ray's own ones, from their begin."""
    found = Counter[str]()
    here = psutil.Process()
    for process in (here, *here.children(recursive=True)):
        with suppress(psutil.Error):
            title, times = "".join(process.cmdline()), process.cpu_times()
            works = title.startswith("ray::") and "Agent" not in title
            kind = "this process" if process == here else "workers" if works else "Ray's own"
            found[kind] += times.user + times.system
    return found


def step(compute: "Compute", store: Path, source: Path, shard: int) -> Spent:
    """Inventory by this process, then samples and metrics by the engine; gives what the metrics took."""
    from datetime import UTC, datetime

    from arot_assets.datasets.duplicates import settle
    from arot_assets.datasets.inventory import take_inventory
    from arot_assets.datasets.presence import Shards
    from arot_assets.datasets.samples import build_unit
    from arot_assets.datasets.turns import Unit, work_on
    from arot_assets.declarations import ImageDataset
    from arot_assets.metrics.units import build_metric_unit
    from resources.models import Models
    from resources.storage import Storage
    from resources.tables import INVENTORY, SAMPLES, TableRef, Tables
    from resources.warehouse import Warehouse

    storage = Storage()
    tables, models = Tables(storage, str(store)), Models(device="cpu")
    warehouse = Warehouse(tables)
    declared = ImageDataset(name="d", source=str(source), shard_size=shard, settle_seconds=0)
    take_inventory(storage, tables, declared, datetime.now(UTC))
    shards = sorted(set(tables.read(TableRef("d", INVENTORY))["shard"].to_pylist()))
    done: list[str] = []

    def work(names: tuple[str, ...], build: Callable[[Any], Any]) -> None:
        done.clear()
        unit_of = partial(Unit.of, "d", names=names, run="bench")
        work_on(compute, tables, shards, unit_of, build, lambda unit, _: done.append(unit.shard))
        assert sorted(done) == shards

    work((SAMPLES,), partial(build_unit, storage, tables, declared, None))
    settle(warehouse, "d")
    before, started = cpu_now(), time.monotonic()
    of_shards = Shards(warehouse, "d")
    work(METRICS, partial(build_metric_unit, storage, warehouse, models, declared, None, of_shards))
    seconds = time.monotonic() - started
    after = cpu_now()
    return Spent(seconds, Counter({kind: after[kind] - before[kind] for kind in KINDS}))


def photos_at(source: Path, photos: int) -> None:
    """Photos of the examples, each with other content."""
    source.mkdir()
    originals = sorted((ROOT / "examples" / "images").rglob("*.jpg"))
    for n in range(photos):
        data = originals[n % len(originals)].read_bytes()
        (source / f"{n:05}.jpg").write_bytes(data + n.to_bytes(4, "big"))  # after the end of the image


def differences(one: Path, other: Path) -> list[str]:
    """Names of the tables that differ in more than the moments and places of work."""
    import pyarrow.parquet as pq

    found = []
    for file in sorted(one.glob("datasets/d/*/*.parquet")):
        name = file.relative_to(one)
        if not (other / name).exists():
            found.append(f"{name} (lost)")
            continue
        moment = "computed_at" if name.parts[2] in METRICS else "ingested_at"
        first, second = (pq.read_table(store / name).drop_columns([moment]) for store in (one, other))
        if not first.equals(second, check_metadata=True):
            found.append(str(name))
    return found


if __name__ == "__main__":
    main()
