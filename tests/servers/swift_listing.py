"""Puts many objects into a bucket's listing of ``tests.servers.swift`` at once, without their bytes.

Belongs here: the write into Swift's own listing database, in a process that knows Swift.
Does not belong here: anything that tests call (``Swift.add_to_listing``).

Run as ``python -m tests.servers.swift_listing FOLDER BUCKET`` with a JSON list of ``[key, size]`` on standard input.
"""

import hashlib
import json
import sqlite3
import sys
from pathlib import Path

BATCH = 10_000


def database_of(folder: Path, bucket: str) -> Path:
    """Where Swift keeps the listing of a bucket."""
    for path in folder.glob("devices/container/containers/*/*/*/*.db"):
        with sqlite3.connect(path) as con:
            if con.execute("SELECT container FROM container_info").fetchone() == (bucket,):
                return path
    raise SystemExit(f"there is no bucket {bucket!r} in {folder}")


def main(folder: Path, bucket: str) -> None:
    """Merge the objects into the listing, as the object servers' updates would."""
    from swift.common.utils import Timestamp, set_swift_dir
    from swift.container.backend import ContainerBroker

    set_swift_dir(str(folder))
    broker = ContainerBroker(str(database_of(folder, bucket)))
    now = Timestamp.now().internal
    objects = [
        {
            "name": key,
            "created_at": now,
            "size": size,
            "content_type": "application/octet-stream",
            "etag": hashlib.md5(key.encode()).hexdigest(),
            "deleted": 0,
            "storage_policy_index": 0,
        }
        for key, size in json.load(sys.stdin)
    ]
    for start in range(0, len(objects), BATCH):
        broker.merge_items(objects[start : start + BATCH])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
