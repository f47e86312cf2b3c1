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
SAME = "Everything of every round is the same as this process's, bit for bit: tables with their footers, or files of the export."
METRICS = ("cv2", "phash")
KINDS = ("this process", "workers", "Ray's own")
EPILOG = """
what is measured: one step of metrics (cv2, phash) over photos, with one thread a unit, tables in a new store each time; with
--exports an export of them instead, scaled to 300 pixels, 20 photos a unit
  this process            every shard, one thread
  Ray with N nodes        of one core each, N = 1, 2, 3; workers are warm (a first step is not counted)
efficiency is the time of one node over that of N, and overhead that of one node over this process. On fewer idle cores than
nodes, or beside other work, the efficiency says nothing; the CPU seconds of each kind of process do: what this process and Ray's
own ones take of the cores is missing to the workers. The tables are compared in any case: every value and footer but the
moments of work.

examples: python bench/cluster.py --photos 400 --rounds 3
          python bench/cluster.py --exports
"""


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=240)
    parser.add_argument("--shard", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--exports", action="store_true", help="measure an export instead of metrics")
    parser.add_argument("--no-record", action="store_true", help="print only")
    said = parser.parse_args()
    os.environ |= {"AROT_THREADS": "1", "AROT_UNIT_CORES": "1"}
    with tempfile.TemporaryDirectory(prefix="arot-cluster-") as folder:
        text = measure(Path(folder), said.photos, said.shard, said.rounds, export_step if said.exports else step)
    print(text)
    if not said.no_record:
        results.append(f"A Ray cluster on loopback{', exports' if said.exports else ''}", text)


def measure(folder: Path, photos: int, shard: int, rounds: int, step: "Step") -> str:
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
        store = folder / f"store-{nodes}"  # the same each time: workers of another store are other processes
        step(compute, store, source, shard)
        for _ in range(rounds):
            shutil.rmtree(store)
            spent.setdefault(f"Ray with {nodes} nodes", []).append(step(compute, store, source, shard))
            differing = differences(folder / "store-alone", store)
            told += [f"Ray with {nodes} nodes: {name} differs" for name in differing]
        shutil.rmtree(store)
        ray.shutdown()
        cluster.shutdown()
    one = seconds_of(spent["Ray with 1 nodes"])
    lines = [
        f"{photos} photos of the examples, {shard} a unit. {step.__doc__} One thread a unit, median of {rounds}; load "
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


Step = Callable[["Compute", Path, Path, int], "Spent"]


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
    """Metrics cv2 and phash."""
    from arot_assets.datasets.presence import Shards
    from arot_assets.metrics.units import build_metric_unit

    made = Made(compute, store, source, shard)
    r = made.resources
    of_shards = Shards(r.warehouse, "d")
    build = partial(build_metric_unit, r.storage, r.warehouse, r.models, made.declared, None, of_shards)
    return spent_by(lambda: made.work(METRICS, build))


def export_step(compute: "Compute", store: Path, source: Path, shard: int) -> Spent:
    """An export, scaled to 300 pixels."""
    from exports import subset

    from arot_assets.exports import units
    from arot_assets.exports.build import export
    from arot_assets.exports.export import ExportDeclaration

    made = Made(compute, store, source, shard)
    project = subset(store, made.resources, "d")
    fields = {"name": "train", "subset": "chosen", "max_side": 300, "trainer_root": "/data"}
    units.SAMPLES = shard
    return spent_by(lambda: export(ExportDeclaration.model_validate(fields), project, made.resources))


class Made:
    """A dataset with its samples: inventory by this process, samples by the engine."""

    def __init__(self, compute: "Compute", store: Path, source: Path, shard: int) -> None:
        from datetime import UTC, datetime

        from arot_assets.datasets.duplicates import settle
        from arot_assets.datasets.inventory import take_inventory
        from arot_assets.datasets.samples import build_unit
        from arot_assets.declarations import ImageDataset
        from resources.defaults import Resources
        from resources.models import Models
        from resources.storage import Storage
        from resources.tables import INVENTORY, SAMPLES, TableRef, Tables
        from resources.warehouse import Warehouse

        os.environ["AROT_STORE"] = str(store)
        tables = Tables(Storage(), str(store))
        self.resources = Resources(tables.storage, tables, Warehouse(tables), Models(device="cpu"), compute)
        self.declared = ImageDataset(name="d", source=str(source), shard_size=shard, settle_seconds=0)
        take_inventory(tables.storage, tables, self.declared, datetime.now(UTC))
        self.shards = sorted(set(tables.read(TableRef("d", INVENTORY))["shard"].to_pylist()))
        self.work((SAMPLES,), partial(build_unit, tables.storage, tables, self.declared, None))
        settle(self.resources.warehouse, "d")

    def work(self, names: tuple[str, ...], build: Callable[[Any], Any]) -> None:
        """Tables of all shards by the engine."""
        from arot_assets.datasets.turns import Unit, work_on

        r, done = self.resources, []
        unit_of = partial(Unit.of, "d", names=names, run="bench")
        work_on(r.compute, r.tables, self.shards, unit_of, build, lambda unit, _: done.append(unit.shard))
        assert sorted(done) == self.shards


def spent_by(work: Callable[[], object]) -> Spent:
    """What some work takes."""
    before, started = cpu_now(), time.monotonic()
    work()
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
        (source / f"{n:05}.txt").write_text(f"photo {n}")


def differences(one: Path, other: Path) -> list[str]:
    """Names of the tables and files of exports that differ in more than the moments and places of work."""
    import pyarrow.parquet as pq

    found = []
    for file in sorted(one.glob("exports/train/*/**/*")):
        same = other / file.relative_to(one)
        told = file.is_file() and file.name != "receipt.json"  # which says where and when
        if told and not (same.exists() and same.read_bytes() == file.read_bytes()):
            found.append(str(file.relative_to(one)))
    for file in sorted(one.glob("datasets/d/*/*.parquet")):
        name = file.relative_to(one)
        if not (other / name).exists():
            found.append(f"{name} (lost)")
            continue
        moment = "ingested_at" if name.parts[2] == "samples" else "computed_at"
        first, second = (pq.read_table(store / name).drop_columns([moment]) for store in (one, other))
        if not first.equals(second, check_metadata=True):
            found.append(str(name))
    return found


if __name__ == "__main__":
    main()
