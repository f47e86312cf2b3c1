"""Reading the declared sources of ratings, and noticing when one of them changed.

Belongs here: which reader reads which type, and the marks of files. Does not belong here: the readers (``sources/``), keeping
(``events.py``).
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

from arot_assets.ratings.declaration import RatingsDeclaration, SourceRule
from arot_assets.ratings.events import append_events
from arot_assets.ratings.said import Statement
from arot_assets.ratings.sources.folders import read_folders
from arot_assets.ratings.sources.label_studio import read_label_studio, whole_session
from arot_assets.ratings.sources.lenslet import queue_images, read_lenslet, read_lenslet_ranking
from arot_assets.ratings.sources.rows import read_table
from resources.storage import Storage, StorageError
from resources.tables import Tables


@dataclass(frozen=True)
class SourceRatings:
    """What one source gave.

    Attributes:
        source: its name.
        said: how much it says.
        new: how many events were added.
    """

    source: str
    said: int
    new: int


def collect(tables: Tables, declaration: RatingsDeclaration, reviews: list[SourceRule]) -> list[SourceRatings]:
    """Take in what the sources say that they had not said before.

    Args:
        tables: the store's tables; their storage reads the sources.
        declaration: what the user declared.
        reviews: sources that `arot review` made.

    Raises:
        RatingsError: a source has another form than declared; those before it were taken in.
        StorageError: a source cannot be read, or the store not be written.
    """
    found = []
    for source in (*declaration.sources, *reviews):
        said = list(read_source(tables.storage, source))
        new = append_events(
            tables, declaration.name, source.name, source.by, declaration.scale_of(source), said,
            scales=source.scales, whole=whole_session(source),
        )  # fmt: skip
        found.append(SourceRatings(source.name, len(said), new))
    return found


def read_source(storage: Storage, source: SourceRule) -> Iterator[Statement]:
    """Everything that a source says.

    Raises:
        RatingsError: it has another form than declared.
        LabelStudioError: its server does not answer.
        StorageError: it cannot be read.
    """
    if source.type == "table":
        return read_table(storage, source)
    if source.type == "folder":
        return read_folders(storage, source)
    if source.type == "lenslet":
        return read_lenslet(storage, source)
    if source.type == "lenslet_ranking":
        return read_lenslet_ranking(storage, source, queue_images(storage, source))
    return read_label_studio(storage, source)


def sources_mark(tables: Tables, sources: list[SourceRule]) -> str:
    """12 hex digits that change when a file of a source does; servers are asked for what they have."""
    parts: list[object] = []
    for source in sources:
        rules = source.model_dump_json(exclude={"name"})
        if source.url:
            said = [one.__dict__ for one in read_source(tables.storage, source)]
            parts.append([source.name, rules, hashlib.sha256(json.dumps(said, default=str).encode()).hexdigest()])
            continue
        parts.append([source.name, rules, _mark_of_file(tables.storage, source)])
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def _mark_of_file(storage: Storage, source: SourceRule) -> object:
    try:
        if source.type == "folder":
            return sorted([info.uri, info.size, str(info.mtime)] for info in storage.ls(source.address.rstrip("/")))
        found = storage.stat(source.address)
    except StorageError as error:  # collecting gives a better error
        return [error.kind]
    return [found.size, str(found.mtime)]
