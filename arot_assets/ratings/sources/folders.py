"""Ratings in folders: a file below the folder of its class.

Belongs here: folders as ``Statement``; the files themselves are not read, unless samples are named by their content.
"""

import hashlib
from collections.abc import Iterator

from arot_assets.ratings.declaration import CATEGORY, SourceRule
from arot_assets.ratings.said import RatingsError, Statement, counted
from resources.storage import Storage


def read_folders(storage: Storage, source: SourceRule) -> Iterator[Statement]:
    """The class of each file: the first folder below the source's.

    By path, a sample is what has the same path below the class's folder; by id or SHA-256, what has the same bytes.

    Raises:
        RatingsError: samples cannot be named that way.
        StorageError: the folder cannot be listed.
    """
    root = source.address.rstrip("/") + "/"
    if source.by == "uri":
        raise RatingsError(f"source '{source.name}': files in class folders are copies; use `by: sha256` or `by: path`")
    key = counted(())  # a copy in another class says something else, which corrects nothing
    for info in sorted(storage.ls(root.rstrip("/")), key=lambda info: info.uri):
        label, _, path = info.uri.removeprefix(root).partition("/")
        if not path or path.rsplit("/", 1)[-1].startswith("."):
            continue
        item = path
        if source.by != "path":
            item = hashlib.sha256(storage.read_bytes(info.uri)).hexdigest()
            item = item if source.by == "sha256" else item[:32]
        yield Statement(
            key(item), CATEGORY, (item,), source.rater_name, labels=(label,)
        )  # a copy has another time: no rating
