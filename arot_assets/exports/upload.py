"""Reading every original and uploading all contents; nothing is committed here.

Belongs here: the stream of row groups with their originals, and the handling of missing ones. Does not belong here: the files
(``parquet.py``, ``folder.py``), the commit (``publish.py``).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from arot_assets.datasets.places import Place, dataset_root
from arot_assets.exports.digest import ColumnsDigest
from arot_assets.exports.errors import ExportError
from arot_assets.exports.folder import known_originals, write_folder
from arot_assets.exports.originals import MANY, MissingOriginal, listed, original_rows, read_groups, read_original, stop
from arot_assets.exports.parquet import Stream, write_parquet
from arot_assets.exports.publication import Publication
from arot_assets.exports.repository import RepositorySnapshot
from arot_assets.exports.rows import ORIGINAL, batch_schema, hashed, regrouped, values_digest
from arot_assets.media.file import DecodeError, File
from arot_assets.media.wants import Pixels
from arot_assets.progress import log, track
from resources.parallel import fetching_threads
from resources.scratch import WorkingFolder
from resources.storage.hub import commits
from resources.storage.objects import is_local

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd

SHEET_POSTERS = 24
TILE = 96
"""Longer side of a poster on the contact sheet, in pixels."""


@dataclass
class UploadResult:
    """The result of reading and uploading.

    Attributes:
        files: path -> what the commit will contain.
        gone: originals that could not be read.
        gone_bytes: their total size.
        posters: of some samples, RGB uint8 [h, w, 3].
    """

    files: "dict[str, CommitOperationAdd]" = field(default_factory=dict)
    gone: list[MissingOriginal] = field(default_factory=list)
    gone_bytes: int = 0
    posters: "list[Pixels]" = field(default_factory=list)


def upload(publication: Publication, remote: RepositorySnapshot) -> UploadResult:
    """Read every original that the repository does not have, and upload all contents.

    Args:
        publication: what to publish.
        remote: the current state of the repository.

    Raises:
        ExportError: originals are missing and that is not allowed, or the subset was rebuilt in the meantime.
        StorageError: the Hub cannot be reached.
    """
    declaration, client, done = publication.declaration, publication.client, UploadResult()

    def send(additions: "Sequence[CommitOperationAdd]") -> None:
        commits.preupload(client, declaration.address, additions)

    write = write_parquet if declaration.layout == "parquet" else write_folder
    with (
        WorkingFolder("export") as folder,
        closing(_stream(publication, remote, done)) as stream,
    ):
        done.files = write(publication.rows, declaration.split, stream, folder, send)
    if done.gone:
        log.warning("exports/%s: left out: %s", declaration.name, listed(done.gone))
    return done


def _stream(publication: Publication, remote: RepositorySnapshot, done: UploadResult) -> Stream:
    """Row groups with their originals, without the missing ones. Where that is not allowed, the rest is only read, so
    that the error at the end tells how many are missing."""
    declaration, rows = publication.declaration, publication.rows
    places, seen, schema = publication.places(), ColumnsDigest(), batch_schema(rows)
    known = known_originals(rows.medium, declaration.split, remote.files)
    far = not all(is_local(dataset_root(publication.resources.tables, d)) for d in rows.datasets)

    def read(row: Mapping[str, Any]) -> bytes | MissingOriginal | None:
        there = declaration.layout == "folder" and known(row)
        return None if there else read_original(places, row)

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in rows.batches(publication.con):
            seen.add(hashed(batch))
            yield batch

    groups = regrouped(batches(), [n for cut in rows.cuts for n in cut])
    read_rows = 0
    with (
        track(f"exports/{declaration.name}", rows.count) as advance,
        closing(read_groups(groups, read, fetching_threads(far))) as read_ones,
    ):
        for group, found in read_ones:
            _note_gone(done, group, found)
            _add_posters(done, places, group, found, read_rows, rows.count)
            read_rows += len(found)
            advance(len(found))
            if not done.gone or declaration.on_missing == "skip":
                kept = [n for n, one in enumerate(found) if not isinstance(one, MissingOriginal)]
                yield group.take(pa.array(kept, pa.int64())), [found[n] for n in kept]
            elif len(done.gone) >= MANY:
                break
    if done.gone and (declaration.on_missing == "stop" or len(done.gone) == rows.count):
        raise stop(declaration.name, done.gone, rows.medium.name)
    if read_rows != rows.count or values_digest(seen, declaration, rows.cuts, schema) != rows.digest:
        raise ExportError(
            f"exports/{declaration.name}: the subset was rebuilt while it was being published; publish it again"
        )


def _note_gone(done: UploadResult, group: pa.RecordBatch, found: Sequence[Any]) -> None:
    for one, size in zip(found, group[ORIGINAL + "bytes"].fill_null(0).to_pylist(), strict=True):
        if isinstance(one, MissingOriginal):
            done.gone.append(one)
            done.gone_bytes += size


def _add_posters(
    done: UploadResult,
    places: Mapping[str, Place],
    group: pa.RecordBatch,
    found: Sequence[Any],
    before: int,
    count: int,
) -> None:
    """Some samples to show, spread evenly over all rows."""
    step = max(1, -(-count // SHEET_POSTERS))
    for number, (row, data) in enumerate(zip(original_rows(group), found, strict=True), before):
        if number % step == 0 and isinstance(data, bytes):
            place, uri = places[row["dataset"]], row["uri"]
            # a medium that opens paths finds the file where it was fetched to
            file = place.files({uri: row["sample_id"]})(uri) if place.medium.by_path else File.of(uri, data)
            try:
                done.posters.append(place.medium.poster(file, TILE))
            except DecodeError:
                continue
