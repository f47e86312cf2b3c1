"""The layout ``folder``: the original files, and ``metadata.parquet`` beside them.

Belongs here: the names of the files, and which of them need not be sent. Does not belong here: where rows come from, the commit.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from arot_assets.exports.errors import ExportError
from arot_assets.exports.parquet import COMPRESSION, Stream, sent
from arot_assets.exports.rows import FORMAT_COLUMN, ExportRows
from arot_assets.media.medium import Medium

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd

FILE_NAME = "file_name"
METADATA = "metadata.parquet"
MOST_FILES = 100_000
"""The Hub's recommended maximum for a repository."""
METADATA_ROWS = 5000


def check_count(name: str, count: int, medium: str) -> None:
    """Reject more files than a repository should contain.

    Raises:
        ExportError: there are too many.
    """
    if count > MOST_FILES:
        raise ExportError(
            f"exports/{name}: {count:,} {medium} files are more than a repository on the Hub handles well ({MOST_FILES:,}); "
            "use `layout: parquet`"
        )


def place(medium: Medium, sample_id: str, kind: str) -> str:
    """A file's path below its split: in one of 256 folders."""
    return f"{sample_id[:2]}/{medium.published.file_name(sample_id, kind)}"


def write_folder(
    rows: ExportRows, split: str, stream: Stream, folder: Path, send: "Callable[[Sequence[CommitOperationAdd]], None]"
) -> "dict[str, CommitOperationAdd]":
    """Send the originals group by group, then the metadata.

    Args:
        rows: the plan.
        split: the split's name, which is the folder's.
        stream: row groups with the bytes of their originals; None for one that the repository already has.
        folder: an empty folder.
        send: uploads the content of files.

    Returns:
        Path -> what the commit will contain; without the files that are already there.
    """
    import pyarrow.parquet as pq
    from huggingface_hub import CommitOperationAdd

    schema = pa.schema([pa.field(FILE_NAME, pa.string()), *rows.schema])
    done: dict[str, CommitOperationAdd] = {}
    path = folder / METADATA
    waiting: list[pa.RecordBatch] = []
    with pq.ParquetWriter(path, schema, compression=COMPRESSION, write_page_index=True) as writer:
        for group, pictures in stream:
            names = _places(rows.medium, group)
            some = {
                f"{split}/{n}": CommitOperationAdd(f"{split}/{n}", data)
                for n, data in zip(names, pictures, strict=True)
                if data is not None
            }
            if some:
                send(list(some.values()))
                done |= some
            columns = [pa.array(names, pa.string()), *(group[n] for n in schema.names[1:])]
            waiting.append(pa.RecordBatch.from_arrays(columns, schema=schema))
            if sum(b.num_rows for b in waiting) >= METADATA_ROWS:
                writer.write_table(pa.Table.from_batches(waiting))
                waiting = []
        if waiting:
            writer.write_table(pa.Table.from_batches(waiting))
    name = f"{split}/{METADATA}"
    return {**done, name: sent(name, path, send)}


def known_originals(medium: Medium, split: str, files: Mapping[str, str | None]) -> Callable[[Mapping[str, Any]], bool]:
    """A function that tells whether a repository already has the file of a row, at its path and with its content.

    Args:
        medium: what the files are.
        split: the split's name.
        files: path -> SHA-256 of what the repository has; None for a file that is not in LFS, which counts as correct.
    """

    def known(row: Mapping[str, Any]) -> bool:
        if row["uri"] is None:
            return False
        path = f"{split}/{place(medium, row['sample_id'], row['format'])}"
        return path in files and files[path] in (row["sha256"], None)

    return known


def _places(medium: Medium, group: pa.RecordBatch) -> list[str]:
    formats = group[FORMAT_COLUMN].to_pylist()
    return [place(medium, i, f) for i, f in zip(group["sample_id"].to_pylist(), formats, strict=True)]
