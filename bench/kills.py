"""Is anything lost when parts of a run die? ``kill -9`` of driver, workers and nodes of a Ray cluster, at random, many times.

Belongs here: the cluster on loopback, the kills, the comparison with an undisturbed run. Does not belong here: what a run does
(``cluster.py``).
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import results
from cluster import differences, photos_at, step

DRIVE = "import sys; from pathlib import Path; import cluster; from resources.compute import compute_of; "
DRIVE += "cluster.step(compute_of('ray'), Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))"
VICTIMS = ("driver", "worker", "node")
WHOLE = "Every table of every run is that of an undisturbed one, bit for bit; no reservation was left."
EPILOG = """
A run is a driver that makes samples, cv2 and phash of some photos on three nodes of one core. After each new table and a random
time, one of driver, a worker process, or a node that is not the head is killed; a dead driver is started again, a node
replaced. When the run has ended, its tables must be those of an undisturbed run of one process, and no reservation of a living
process may be left; then the next begins.

example: python bench/kills.py --kills 100
"""


def main() -> int:
    """Command line; the exit status is 1 if a table differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=int(os.environ.get("AROT_KILLS", "20")))
    parser.add_argument("--photos", type=int, default=120)
    parser.add_argument("--shard", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="longest wait between a table and a kill")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-record", action="store_true", help="print only")
    said = parser.parse_args()
    os.environ |= {"AROT_THREADS": "1", "AROT_UNIT_CORES": "1", "AROT_LEASE_SECONDS": "5"}
    with tempfile.TemporaryDirectory(prefix="arot-kills-") as folder:
        text, wrong = measure(Path(folder), said)
    print(text)
    if not said.no_record:
        results.append("Killed drivers, workers and nodes", text)
    return 1 if wrong else 0


def measure(folder: Path, said: argparse.Namespace) -> tuple[str, list[str]]:
    """The report, and what was lost or differs."""
    from resources.compute import Local

    chance = random.Random(said.seed)
    source, killed, wrong, runs = folder / "photos", Counter[str](), list[str](), 0
    photos_at(source, said.photos)
    step(Local(), folder / "calm", source, said.shard)
    nodes = Nodes()
    try:
        while sum(killed.values()) < said.kills:
            store = folder / f"store-{runs}"
            runs += 1
            driver = nodes.drive(store, source, said.shard)
            while driver.poll() is None or driver.returncode != 0:
                if driver.poll() is not None:  # it died, or said that a unit was lost too often: run it again
                    driver = nodes.drive(store, source, said.shard)
                tables = count(store)
                while count(store) == tables and driver.poll() is None:  # however slow the machine, something gets done
                    time.sleep(0.05)
                moment = time.monotonic() + chance.uniform(0, said.seconds)
                while time.monotonic() < moment and driver.poll() is None:
                    time.sleep(0.05)
                if driver.poll() is None and sum(killed.values()) < said.kills:
                    killed[nodes.kill(chance.choice(VICTIMS), driver, chance)] += 1
            wrong += [f"run {runs}: {name}" for name in differences(folder / "calm", store)]
            wrong += [f"run {runs}: {lease} is left" for lease in left(store)]
            print(f"run {runs}: {sum(killed.values())} kills, {len(wrong)} faults", flush=True)
            shutil.rmtree(store)
    finally:
        nodes.stop()
    told = ", ".join(f"{killed[v]} of a {v}" for v in VICTIMS)
    total = f"{sum(killed.values())} kills ({told}) over {runs} runs of {said.photos} photos in shards of {said.shard}"
    lines = [
        f"{total}: samples, cv2 and phash,",
        "on three nodes of one core on loopback; begun again until it ended.",
    ]
    lines += ["", *(wrong or [WHOLE])]
    return "\n".join(lines), wrong


def count(store: Path) -> int:
    """Number of tables that are there."""
    return sum(1 for _ in store.glob("datasets/d/*/*.parquet"))


def left(store: Path) -> list[str]:
    """Reservations of living processes; those of killed ones are taken over, or listed by `arot gc`."""
    from resources.tables.leases import Holder

    files = (store / "leases").glob("*") if (store / "leases").exists() else ()
    return [file.name for file in files if not Holder.decoded(file.read_bytes()).is_gone]


class Nodes:
    """Three nodes of one core, of which two may be killed."""

    def __init__(self) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        os.environ["RAY_health_check_failure_threshold"] = "50"  # noqa: SIM112  # Ray's own spelling; slow is not dead
        from ray.cluster_utils import Cluster

        self._node = {"num_cpus": 1, "object_store_memory": 80_000_000}
        self._cluster: Any = Cluster(initialize_head=True, head_node_args={**self._node, "include_dashboard": False})
        self._others = [self._cluster.add_node(**self._node) for _ in range(2)]

    def drive(self, store: Path, source: Path, shard: int) -> "subprocess.Popen[bytes]":
        """Start a driver."""
        environment = {**os.environ, "RAY_ADDRESS": self._cluster.address}
        environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
        command = [sys.executable, "-c", DRIVE, str(store), str(source), str(shard)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self, victim: str, driver: "subprocess.Popen[bytes]", chance: random.Random) -> str:
        """Kill something; gives what it was, which is the driver where there is no worker."""
        if victim == "node":
            node = self._others.pop(chance.randrange(len(self._others)))
            raylet = node.all_processes["raylet"][0].process
            raylet.kill()
            self._cluster.remove_node(node, allow_graceful=False)
            self._others.append(self._cluster.add_node(**self._node))
            return victim
        workers = [p for p in psutil.process_iter(["cmdline"]) if is_worker(p, self._raylets())]
        if victim == "worker" and workers:
            chance.choice(workers).kill()
            return victim
        driver.kill()
        driver.wait()
        return "driver"

    def stop(self) -> None:
        """End all nodes."""
        self._cluster.shutdown()

    def _raylets(self) -> set[int]:
        nodes = [self._cluster.head_node, *self._others]
        return {node.all_processes["raylet"][0].process.pid for node in nodes}


def is_worker(process: psutil.Process, raylets: set[int]) -> bool:
    """Whether it is a process of one of these nodes that works, or did, on a unit."""
    try:
        return (
            process.ppid() in raylets
            and "".join(process.cmdline()).startswith("ray::")
            and "IDLE" not in process.name()
        )
    except psutil.Error:
        return False


if __name__ == "__main__":
    sys.exit(main())
