"""The original bytes of files, verified to be those that were measured.

Belongs here: reading and verifying, in order, with bounded memory. Does not belong here: what is done with them.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa

from arot_assets.datasets.places import Place
from arot_assets.exports.errors import ExportError
from arot_assets.exports.rows import ORIGINAL, ORIGINAL_COLUMNS
from resources.parallel import ordered_map
from resources.storage import StorageError

MANY = 100
"""After this many files that cannot be read, the others are not tried."""
SHOWN = 3


@dataclass(frozen=True)
class MissingOriginal:
    """A file that cannot be published.

    Attributes:
        sample_id: the sample.
        uri: its former address; None if no dataset has it any more.
        reason: what is wrong.
    """

    sample_id: str
    uri: str | None
    reason: str


def read_original(places: Mapping[str, Place], row: Mapping[str, Any]) -> bytes | MissingOriginal:
    """The bytes of one sample, from wherever its dataset has them.

    Args:
        places: contains at least its dataset.
        row: ``sample_id`` and ``ORIGINAL_COLUMNS``.
    """
    sample_id, uri = row["sample_id"], row["uri"]
    if uri is None:
        return MissingOriginal(sample_id, None, "no dataset has this sample any more")
    try:
        return places[row["dataset"]].files({uri: sample_id})(uri).read()
    except StorageError as error:
        return MissingOriginal(sample_id, uri, error.reason)


def read_groups(
    groups: Iterator[pa.RecordBatch], read: Callable[[Mapping[str, Any]], Any], threads: int | None
) -> Generator[tuple[pa.RecordBatch, list[Any]], None, None]:
    """Row groups with what ``read`` returns for each row; the next groups are read in the background.

    Callers that may stop early must close it, which ends its threads.

    Args:
        groups: batches of ``Rows.sql``, none of them empty.
        read: called in threads.
        threads: None for the default.
    """
    begun: deque[pa.RecordBatch] = deque()

    def rows() -> Iterator[Mapping[str, Any]]:
        for group in groups:
            begun.append(group)
            yield from original_rows(group)

    with closing(ordered_map(read, rows(), threads)) as results:
        for first in results:
            group = begun.popleft()
            yield group, [first, *islice(results, group.num_rows - 1)]


def original_rows(group: pa.RecordBatch) -> list[dict[str, Any]]:
    """``sample_id`` and ``ORIGINAL_COLUMNS`` of each row."""
    columns = {n: group[ORIGINAL + n].to_pylist() for n in ORIGINAL_COLUMNS}
    columns["sample_id"] = group["sample_id"].to_pylist()
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def listed(gone: list[MissingOriginal]) -> str:
    """The first few missing files, with their reasons."""
    shown = "; ".join(f"{g.uri or g.sample_id}: {g.reason}" for g in gone[:SHOWN])
    return f"{shown}; …" if len(gone) > SHOWN else shown


def stop(name: str, gone: list[MissingOriginal], medium: str) -> ExportError:
    """The error for files that are missing or have changed; ``medium`` names them."""
    count = f"at least {len(gone)}" if len(gone) >= MANY else str(len(gone))
    noun = medium if count == "1" else f"{medium}s"
    return ExportError(
        f"exports/{name}: {count} {noun} can no longer be read, nothing was published: {listed(gone)}. Run the dataset "
        "again so that the subset excludes them, or set `on_missing: skip`"
    )
