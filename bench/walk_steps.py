"""What ``walk.py`` runs in processes of their own: making and changing a folder of files, and the limits that listings and
registration are compared with.

Belongs here: the steps. Does not belong here: processes and the report (``walk.py``). Each step imports only what it needs: its
peak memory is shown.

    python walk_steps.py STEP [ARGUMENT ...]
"""

import hashlib
import io
import os
import random
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

IN_FOLDER = 1000
SIDE = 8
"""Pixels of each side of an image, RGB."""
CHANGED = 100


def make(folder: str, files: str, first: str = "0") -> None:
    """Create valid images of a few hundred bytes, each with other bytes: PNG and JPEG in turn, ``IN_FOLDER`` a folder."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), (90, 120, 200)).save(buffer, "JPEG")
    jpeg = buffer.getvalue()
    for number in range(int(first), int(first) + int(files)):
        inside = Path(folder, f"{number // IN_FOLDER:05}")
        if number % IN_FOLDER == 0 or number == int(first):
            inside.mkdir(parents=True, exist_ok=True)
        name = f"{number:08}.{'jpg' if number % 2 else 'png'}"
        (inside / name).write_bytes(_jpeg(jpeg, number) if number % 2 else _png(number))


def _png(number: int) -> bytes:
    pixels = random.Random(number).randbytes(SIDE * SIDE * 3)
    rows = b"".join(b"\0" + pixels[y * SIDE * 3 : (y + 1) * SIDE * 3] for y in range(SIDE))
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b""))
    chunks = (struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _jpeg(image: bytes, number: int) -> bytes:
    """The image with its number as a comment behind the first marker."""
    comment = f"image {number}".encode()
    return image[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + image[2:]


def change(folder: str, files: str) -> None:
    """Change ``CHANGED`` files, remove as many and add as many, all over the folder."""
    every = int(files) // CHANGED
    for number in range(0, every * CHANGED, every):
        even, odd = number + number % 2, number + 1 - number % 2
        changed = Path(folder, f"{even // IN_FOLDER:05}", f"{even:08}.png")
        changed.write_bytes(_png(10**9 + number))
        Path(folder, f"{odd // IN_FOLDER:05}", f"{odd:08}.jpg").unlink()
    make(folder, str(CHANGED), str(-(-int(files) // IN_FOLDER) * IN_FOLDER))


def paths(folder: str) -> Iterator["os.DirEntry[str]"]:
    """The files below a folder."""
    folders = [folder]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    yield entry


def scandir(folder: str) -> None:
    """The limit of a listing in Python: names and sizes, nothing kept."""
    print(sum(entry.stat().st_size >= 0 for entry in paths(folder)))


def read(folder: str) -> None:
    """The limit of registration: one thread that reads each file, hashes it, and reads its header with Pillow."""
    from PIL import Image

    count = 0
    for entry in paths(folder):
        with open(entry.path, "rb", buffering=0) as file:
            data = file.read()
        count += len(hashlib.sha256(data).hexdigest()) == 64
        with Image.open(io.BytesIO(data)) as image:
            assert image.size == (SIDE, SIDE)
    print(count)


def storage(root: str) -> None:
    """Arot's storage alone."""
    from resources.storage import Storage

    print(sum(len(some.uri) for some in Storage().ls_columns(root)))


def listing(root: str) -> None:
    """What an inventory starts from: the listing as Arrow columns, with sidecars looked for."""
    from arot_assets.datasets.listing import list_source
    from arot_assets.declarations import ImageDataset
    from resources.storage import Storage

    declaration = ImageDataset(name="walked", source=root)
    print(list_source(Storage(), declaration).objects.num_rows)


def inventory(root: str, store: str) -> None:
    """An inventory, the first or the next, without Dagster."""
    from datetime import UTC, datetime

    from arot_assets.datasets.inventory import seen_again, take_inventory
    from arot_assets.declarations import ImageDataset
    from resources.storage import Storage
    from resources.tables import INVENTORY, TableRef, Tables

    files, declaration = Storage(), ImageDataset(name="walked", source=root)
    tables = Tables(files, store)
    if tables.exists(TableRef("walked", INVENTORY)):
        assert seen_again(files, tables, declaration, datetime.now(UTC))
        print("seen again")
        return
    print(take_inventory(files, tables, declaration, datetime.now(UTC))[0].new)


def paginator(root: str) -> None:
    """boto3's paginator, with the fields that a listing needs."""
    import boto3

    bucket, _, prefix = root.removeprefix("s3://").partition("/")
    pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    rows = [(o["Key"], o["Size"], o["LastModified"], o["ETag"]) for page in pages for o in page["Contents"]]
    print(len(rows))


STEPS: dict[str, Callable[..., None]] = {
    f.__name__: f for f in (make, change, scandir, read, storage, listing, inventory, paginator)
}

if __name__ == "__main__":
    STEPS[sys.argv[1]](*sys.argv[2:])
