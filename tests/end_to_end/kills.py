"""Is anything lost when parts of a run die? ``kill -9`` of whatever a run needs, at random, many times.

Belongs here: everything that a run on many machines needs, on loopback (three nodes of Ray, an S3 server with source and store,
Dagster's services with their records in PostgreSQL), the kills, the comparison with an undisturbed run. Does not belong here: how
many kills are tested (``test_kills.py``).

    python -m tests.end_to_end.kills --kills 100 --photos 2000
"""

import argparse
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa

from arot_assets.project import init_project
from resources.storage import Storage, StorageError
from resources.tables import SAMPLES, TableRef, Tables
from resources.tables.leases import LEASES, Holder
from tests.conftest import EXAMPLES
from tests.end_to_end.conftest import Project
from tests.end_to_end.services import DEPLOY, command, end, workspace
from tests.servers.postgres import postgres, programs
from tests.servers.ray_nodes import Nodes, importable
from tests.servers.swift import Swift, free_ports

VICTIMS = ("driver", "worker", "raylet", "code server", "PostgreSQL", "S3 server")
METRICS = ("cv2", "phash")
BUCKET = "kills"
SIDE = 320
AT_ONCE = 3
"""Things that are killed one after the other, at most, before the next table is waited for."""
TRIES = 6
"""Ends of a driver in a row that no kill explains, after which something is broken."""
EPILOG = """
A run is `arot run` over photos in an S3 server, with its store there too, on three nodes of one core, beside a code server and a
daemon whose automation works on the same dataset; their records are in PostgreSQL. After each new table and a random time up to
three of these are killed: the driver, a worker process, the raylet of a node, the code server, PostgreSQL, the S3 server. What died is
started again, a dead driver too. When the run has ended, its tables must be those of an undisturbed run of one process, and
no reservation of a living process may be left; then the next begins. A node that nobody killed and that is gone all the same, as on a
machine with other work, is replaced and counted. After --minutes, or a SIGINT or SIGTERM, nothing more is killed: the run is ended in peace,
and its tables are compared.
"""


class Bare(Project):
    """A project with one dataset and nothing else."""

    def lay_out(self) -> None:
        """What `arot init` writes."""
        init_project(self.root)


class Site:
    """Everything that a run needs, and may lose.

    Args:
        folder: an empty one.
        photos: how many.
        shard: photos of a shard.
        chance: when something is killed, and which worker or node.
        choose: what is killed next, one after the other.
    """

    def __init__(
        self, folder: Path, photos: int, shard: int, chance: random.Random, choose: Callable[[], Sequence[str]]
    ) -> None:
        installed = programs()
        assert installed is not None, "PostgreSQL is not installed"
        self.killed, self.in_service, self.healed = Counter[str](), 0, 0
        self._chance, self._choose, self._stack = chance, choose, ExitStack()
        self._folder = folder
        self._log = self._stack.enter_context((folder / "log").open("ab"))
        try:
            (folder / "swift").mkdir()
            self._swift = self._stack.enter_context(Swift(folder / "swift"))
            self._records = self._stack.enter_context(postgres(installed))
            os.environ.update(self._swift.environment())
            _upload(self._swift, photos)
            self._project = Bare(folder / "project")
            source = f"s3://{BUCKET}/photos"
            self._project.declare_dataset("d", source=source, metrics=[*METRICS], shard_size=shard)
            shutil.rmtree(self._project.defs / "datasets" / "demo")
            self._home = folder / "home"
            self._home.mkdir()
            shutil.copy(DEPLOY / "dagster.yaml", self._home)
            (self._port,) = free_ports(1)
            self._workspace = workspace(folder / "workspace.yaml", self._port)
            self._nodes = Nodes()
            self._stack.callback(self._nodes.stop)
        except BaseException:
            self._stack.close()
            raise

    def close(self) -> None:
        """End everything."""
        self._stack.close()

    def calm(self) -> dict[str, pa.Table]:
        """The tables of an undisturbed run of one process."""
        store = self._folder / "calm"
        environment = self._project.environment(
            AROT_STORE=str(store), AROT_THREADS="2", DAGSTER_HOME=str(self._folder / "calm-home")
        )
        told = subprocess.run(self._arot(), cwd=self._project.root, env=environment, capture_output=True, text=True)
        assert told.returncode == 0, told.stdout + told.stderr
        return tables_of(str(store))

    def run(self, store: str, kills: int, seconds: float, until: Callable[[], bool]) -> list[str]:
        """One run in which things are killed until there were so many, ended in peace.

        Args:
            store: its URI, a new one.
            kills: how many may be killed in all runs of this site.
            seconds: the longest wait between a new table and a kill.
            until: whether it is time to kill no more.

        Returns:
            What went wrong: nothing.
        """
        environment = self._environment(store)
        services = {name: self._service(name, environment) for name in ("code", "daemon")}
        driver = self._drive(environment)
        ends = 0
        try:
            while driver.poll() != 0:
                if driver.poll() is not None:  # it died, or said that what it needs is gone
                    ends += 1
                    if ends > TRIES:
                        return [f"{store}: `arot run` failed {TRIES} times in a row, see {self._folder / 'log'}"]
                    driver = self._drive(environment)
                before = self._count(store)
                while driver.poll() is None and self._count(store) == before:  # however slow, something is done
                    time.sleep(0.3)
                    if lost := self._nodes.lost():  # nobody killed it: too much else to do for its heartbeats
                        self._heal(lost, driver, services, environment)
                        ends = 0
                moment = time.monotonic() + self._chance.uniform(0, seconds)
                while driver.poll() is None and time.monotonic() < moment:
                    time.sleep(0.05)
                if driver.poll() is None and not until():
                    for victim in self._choose():
                        if self.killed.total() < kills and self._kill(victim, driver, services, environment):
                            ends = 0
        finally:
            for process in services.values():
                end(process)
            if driver.poll() is None:
                end(driver)
        for _ in range(TRIES):  # what the killed services held may have to be made; then there is nothing to do
            told = subprocess.run(
                self._arot(), cwd=self._project.root, env=environment, capture_output=True, text=True, check=False
            )
            if "nothing to do" in told.stdout:
                return []
            if told.returncode and not self._nodes.lost():
                break
            self._nodes.mend()
        return [f"{store}: never done: {told.stdout[-500:]}{told.stderr[-500:]}"]

    def left(self, store: str) -> list[str]:
        """Reservations of living processes; those of killed ones are taken over, or listed by `arot gc`."""
        tables = Tables(Storage(), store)
        holders = {}
        for name in tables.list(LEASES):
            try:
                holders[name] = Holder.decoded(tables.storage.read_bytes(f"{store}/{LEASES}/{name}"))
            except StorageError as error:
                if error.kind != "not_found":  # it was given back since it was listed
                    raise
        return [f"{name} is reserved by {holder}" for name, holder in holders.items() if not holder.is_gone]

    def _heal(
        self,
        lost: str,
        driver: "subprocess.Popen[bytes]",
        services: dict[str, "subprocess.Popen[bytes]"],
        environment: dict[str, str],
    ) -> None:
        """Replace what of the cluster is gone; without its head, what works on it has to begin again too."""
        print(f"{time.strftime('%H:%M:%S')} a {lost} of the cluster is gone, which nobody killed", flush=True)
        self.healed += 1
        self._nodes.mend()
        if lost == "head":
            if driver.poll() is None:
                end(driver)
            end(services["code"])
            services["code"] = self._service("code", environment)

    def _kill(
        self,
        victim: str,
        driver: "subprocess.Popen[bytes]",
        services: dict[str, "subprocess.Popen[bytes]"],
        environment: dict[str, str],
    ) -> bool:
        """Kill something, and start it again after a while; a worker where there is none is the driver. False if that is gone."""
        if victim == "worker" and not self._nodes.kill_worker(self._chance):
            victim = "driver"
        if victim == "driver":
            if driver.poll() is not None:
                return False
            end(driver)
        elif victim == "raylet":
            self._nodes.kill_raylet(self._chance)
        elif victim == "code server":
            (working,) = self._records.ask(
                "select count(*) from runs where status = 'STARTED' and run_body like '%grpc_info%'"
            )
            self.in_service += working[0] > 0
            end(services["code"])
            services["code"] = self._service("code", environment)
        else:
            server = self._records if victim == "PostgreSQL" else self._swift
            server.kill()
            time.sleep(self._chance.uniform(0, 3))
            server.start()
        self.killed[victim] += 1
        made = self._count(environment["AROT_STORE"])
        print(f"{time.strftime('%H:%M:%S')} kill {self.killed.total()}: {victim}; {made} tables are there", flush=True)
        return True

    def _count(self, store: str) -> int:
        """Number of tables that are there."""
        tables = Tables(Storage(), store)
        return sum(len(tables.shards("d", name)) for name in (SAMPLES, *METRICS))

    def _arot(self) -> list[str]:
        return [sys.executable, "-m", "arot_assets.cli", "run", "d"]

    def _environment(self, store: str) -> dict[str, str]:
        ours = {"AROT_STORE": store, "AROT_COMPUTE": "ray", "AROT_UNIT_CORES": "1", **self._nodes.environment}
        return self._project.environment(
            PYTHONPATH=importable(),
            DAGSTER_HOME=str(self._home),
            AROT_LEASE_SECONDS="6",
            **self._records.environment,
            **ours,
        )

    def _drive(self, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self._arot(),
            cwd=self._project.root,
            env=environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _service(self, name: str, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
        replaced = {"0.0.0.0": "127.0.0.1", "4000": str(self._port), "/opt/arot/workspace.yaml": str(self._workspace)}
        return subprocess.Popen(
            command(name, replaced),
            cwd=self._project.root,
            env=environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _upload(swift: Swift, photos: int) -> None:
    """Photos of the examples, small, each with other content."""
    from PIL import Image

    small = []
    for file in sorted((EXAMPLES / "photo").rglob("*.jpg")):
        with Image.open(file) as image:
            image.thumbnail((SIDE, SIDE))
            image.convert("RGB").save(packed := io.BytesIO(), "JPEG")
            small.append(packed.getvalue())
    client = swift.client(max_pool_connections=16)
    client.create_bucket(Bucket=BUCKET)

    def put(n: int) -> None:
        body = small[n % len(small)] + n.to_bytes(4, "big")  # after the end of the image
        client.put_object(Bucket=BUCKET, Key=f"photos/{n:05}.jpg", Body=body)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(photos)))


def tables_of(store: str) -> dict[str, pa.Table]:
    """Every table of the dataset, with its footer, without the moments of work."""
    tables, found = Tables(Storage(), store), {}
    for name in (SAMPLES, *METRICS):
        for shard in tables.shards("d", name):
            table = tables.read(TableRef("d", name, shard))
            found[f"{name}/{shard}"] = table.drop_columns(["ingested_at" if name == SAMPLES else "computed_at"])
    return found


def differences(one: dict[str, pa.Table], other: dict[str, pa.Table]) -> list[str]:
    """The tables that are lost, too many, or other ones."""
    names = sorted(one.keys() | other.keys())
    return [n for n in names if n not in one or n not in other or not one[n].equals(other[n], check_metadata=True)]


def kill_often(
    folder: Path,
    kills: int,
    photos: int,
    shard: int,
    chance: random.Random,
    choose: Callable[[], Sequence[str]],
    seconds: float = 2.0,
    minutes: float = 600.0,
    stop: Callable[[], bool] = bool,
) -> tuple[Site, int, list[str]]:
    """Run after run, until so many things were killed or the time is over.

    Args:
        folder: an empty one.
        kills: how many in all.
        photos: of the dataset.
        shard: photos of a shard.
        chance: when something is killed.
        choose: what is killed next, one after the other.
        seconds: the longest wait between a new table and a kill.
        minutes: after which nothing more is killed.
        stop: whether nothing more is to be killed from now on.

    Returns:
        What was killed, in how many runs, and what was lost or differs.
    """
    site = Site(folder, photos, shard, chance, choose)
    last, runs, wrong = time.monotonic() + 60 * minutes, 0, list[str]()

    def over() -> bool:
        return stop() or time.monotonic() > last

    try:
        calm = site.calm()
        assert sum(table.num_rows for name, table in calm.items() if name.startswith(SAMPLES)) == photos
        while site.killed.total() < kills and not over() and not wrong:
            store = f"s3://{BUCKET}/store-{runs}"
            wrong += site.run(store, kills, seconds, over)
            wrong += [f"{store}: {name} differs" for name in differences(calm, tables_of(store))]
            runs += 1
            print(f"run {runs}: {site.killed.total()} kills, {len(wrong)} faults", flush=True)
            wrong += [f"{store}: {lease}" for lease in site.left(store)]
    finally:
        site.close()
    return site, runs, wrong


def main() -> int:
    """Command line; the exit status is 1 if a table differs."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, epilog=EPILOG, formatter_class=form)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--shard", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=2.0, help="longest wait between a table and a kill")
    parser.add_argument("--minutes", type=float, default=600.0, help="no more kills after that; the run is still ended")
    parser.add_argument("--seed", type=int, default=0)
    said = parser.parse_args()
    chance, signals = random.Random(said.seed), list[int]()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda got, _: signals.append(got))
    with tempfile.TemporaryDirectory(prefix="arot-kills-", ignore_cleanup_errors=True) as folder:
        try:
            site, runs, wrong = kill_often(
                Path(folder),
                said.kills,
                said.photos,
                said.shard,
                chance,
                lambda: chance.sample(VICTIMS, chance.randint(1, AT_ONCE)),
                said.seconds,
                said.minutes,
                lambda: bool(signals),
            )
        finally:
            shutil.copy(Path(folder) / "log", Path(tempfile.gettempdir()) / "arot-kills.log")
    each = ", ".join(f"{site.killed[v]} of a {v}" for v in VICTIMS)
    more = f"{site.in_service} code servers had a run; {site.healed} times something of the cluster was gone that nobody had killed, and was replaced"
    print(f"{site.killed.total()} kills ({each}; {more}); {runs} runs of {said.photos} photos, seed {said.seed}")
    print("\n".join(wrong or ["every table is that of an undisturbed run, bit for bit; no reservation was left"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
