"""How fast is storage? Small objects and listings from S3 on loopback: ours, plain boto3 in threads, and unibox.

Belongs here: the server, the rounds and the report. Does not belong here: unibox (``unibox_worker.py``).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import results

from arot_assets.markdown import write_table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
BUCKET = "bench"
EPILOG = """
what is measured, wall time in one process (unibox: its own eight)
  load     objects of 100 KB, read whole: resources.storage, boto3's get_object in as many threads, unibox.concurrent_loads
  list     a prefix: Storage.ls_columns, boto3's paginator with the fields extracted, unibox.ls

The server is OpenStack Swift with s3api on the same machine, so it takes its share of the cores: if it is the limit, all
clients look alike. Therefore the CPU time that a client itself spends per object is shown too. Rounds alternate.

examples:
  python bench/storage.py --unibox /tmp/unibox/bin/python     all; adds a section to bench/RESULTS.md
  python bench/storage.py --objects 1000 --listed 5000 --no-record

unibox needs a separate environment: python -m venv /tmp/unibox; /tmp/unibox/bin/pip install unibox==0.12.0 requests
"""


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--objects", type=int, default=10_000, help="objects of 100 KB")
    parser.add_argument("--listed", type=int, default=100_000, help="objects in the listed prefix")
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--unibox", help="python of an environment with unibox 0.12.0; without it, it is left out")
    parser.add_argument("--unibox-objects", type=int, default=500, help="how many of the objects unibox loads")
    parser.add_argument("--no-record", action="store_true", help="print only")
    said = parser.parse_args()
    from tests.servers.swift import Swift

    with tempfile.TemporaryDirectory(prefix="arot-bench-") as folder, Swift(Path(folder)) as swift:
        os.environ.update(swift.environment())
        text = measure(swift, said)
    print(text)
    if not said.no_record:
        print(f"added to {results.append('storage: S3 on loopback', text)}")


def measure(swift: Any, said: argparse.Namespace) -> str:
    """Create the objects, run the rounds, write the table."""
    import boto3
    from botocore.config import Config

    from resources.storage import Storage

    storage = Storage()
    client = boto3.client("s3", config=Config(max_pool_connections=said.threads, signature_version="s3v4"))
    client.create_bucket(Bucket=BUCKET)
    data = os.urandom(75_000).hex().encode()[:100_000]  # text, which all three can load
    keys = [f"objects/{i % 100:02}/{i:06}.txt" for i in range(said.objects)]
    uris = [f"s3://{BUCKET}/{k}" for k in keys]
    started = time.perf_counter()
    with ThreadPoolExecutor(said.threads) as pool:
        list(pool.map(lambda u: storage.write(u, data), uris))
    print(f"{said.objects:,} objects written in {time.perf_counter() - started:.0f} s", flush=True)
    started = time.perf_counter()
    fill(swift.folder, said.listed)
    print(f"{said.listed:,} objects to list made in {time.perf_counter() - started:.0f} s", flush=True)

    def in_threads(read: Callable[[str], bytes], names: Sequence[str]) -> int:
        with ThreadPoolExecutor(said.threads) as pool:
            return sum(got == data for got in pool.map(read, names))

    def paginate() -> int:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="listed/")
        return len([(o["Key"], o["Size"], o["LastModified"], o["ETag"]) for page in pages for o in page["Contents"]])

    ways: dict[str, dict[str, Callable[[], int]]] = {
        "load": {
            "ours": lambda: in_threads(storage.read_bytes, uris),
            "boto3": lambda: in_threads(lambda k: client.get_object(Bucket=BUCKET, Key=k)["Body"].read(), keys),
        },
        "list": {
            "ours": lambda: sum(len(c.uri) for c in storage.ls_columns(f"s3://{BUCKET}/listed")),
            "boto3": paginate,
        },
    }
    counts = {"load": said.objects, "list": said.listed}
    lines = []
    with Unibox(said.unibox) as unibox:
        for work, clients in ways.items():
            taken: dict[str, list[tuple[float, float | None]]] = {name: [] for name in clients}
            for _ in range(said.rounds):
                for name, act in clients.items():
                    taken[name].append(timed(act, counts[work]))
                    print(f"{work} {name}: {taken[name][-1][0]:.1f} s", flush=True)
            if said.unibox:
                few = uris[:: max(1, said.objects // said.unibox_objects)]
                job = {"load": few, "workers": 8} if work == "load" else {"list": f"s3://{BUCKET}/listed"}
                took = unibox.seconds(job, len(few) if work == "load" else counts[work])
                taken["unibox"] = [(took * counts[work] / len(few) if work == "load" else took, None)]
                print(f"{work} unibox: {took:.1f} s", flush=True)
            best = statistics.median(s for s, _ in taken["ours"])
            for name, rounds in taken.items():
                seconds = statistics.median(s for s, _ in rounds)
                cpu = [c for _, c in rounds if c is not None]
                spent = f"{1000 * statistics.median(cpu) / counts[work]:.3f}" if cpu else "–"
                lines.append((work, name, f"{counts[work] / seconds:,.0f}", spent, f"{seconds / best:.2f} x"))
    about = (
        f"{said.objects:,} objects of 100 KB, {said.listed:,} listed; {said.threads} threads, {said.rounds} rounds "
        f"that alternate (unibox one, in 8 processes, {said.unibox_objects:,} of the objects); Swift on the same "
        f"{os.cpu_count()} cores; load average at the end "
        f"{os.getloadavg()[0]:.1f}. Every byte was compared.\n\n"
    )
    head = ("work", "way", "objects/s (median)", "client's CPU, ms per object", "ours is")
    return about + write_table(head, lines)


def fill(folder: Path, count: int) -> None:
    """Create many objects below ``listed/`` as rows of the container's database, which is all that a listing reads.

    Uploading a hundred thousand of them one by one would take this server half an hour.
    """
    from swift.common.utils import Timestamp
    from swift.container.backend import ContainerBroker

    for path in (folder / "devices" / "container").rglob("*.db"):
        broker = ContainerBroker(str(path))
        if broker.get_info()["container"] == BUCKET:
            for start in range(0, count, 10_000):
                broker.merge_items(
                    [_row(i, Timestamp.now().internal) for i in range(start, min(start + 10_000, count))]
                )
            return
    raise RuntimeError(f"no container '{BUCKET}' below {folder}")


def _row(number: int, stamp: str) -> dict[str, Any]:
    return {
        "name": f"listed/{number:07}.jpg",
        "created_at": stamp,
        "size": 100_000,
        "content_type": "image/jpeg",
        "etag": f"{number:032x}",
        "deleted": 0,
        "storage_policy_index": 0,
        "ctype_timestamp": None,
        "meta_timestamp": None,
    }


def timed(act: Callable[[], int], expected: int) -> tuple[float, float]:
    """Wall and CPU seconds; fails if the result is incomplete."""
    wall, cpu = time.perf_counter(), time.process_time()
    came = act()
    taken = time.perf_counter() - wall, time.process_time() - cpu
    if came != expected:
        raise RuntimeError(f"{came:,} of {expected:,} arrived")
    return taken


class Unibox:
    """The worker, if there is one."""

    def __init__(self, python: str | None) -> None:
        self._python = python
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Unibox":
        if self._python:
            worker = Path(__file__).with_name("unibox_worker.py")
            self._process = subprocess.Popen(
                [self._python, str(worker)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            assert self._process.stdout is not None
            self._process.stdout.readline()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def seconds(self, job: dict[str, Any], expected: int) -> float:
        """Duration of a job."""
        assert self._process is not None and self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        told = json.loads(self._process.stdout.readline())
        if told["came"] != expected:
            raise RuntimeError(f"unibox: {told['came']:,} of {expected:,} arrived")
        return float(told["seconds"])


if __name__ == "__main__":
    main()
