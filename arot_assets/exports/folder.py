"""The layout ``folder``: the original image files, and ``metadata.parquet`` beside them.

Belongs here: the names of the files, and which of them need not be sent. Does not belong here: where rows come from, the commit.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from arot_assets.exports.errors import ExportError
from arot_assets.exports.originals import file_name
from arot_assets.exports.parquet import COMPRESSION, Stream, sent
from arot_assets.exports.rows import PICTURE, Rows

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd

FILE_NAME = "file_name"
METADATA = "metadata.parquet"
MOST_FILES = 100_000
"""What the Hub advises for a repository."""
METADATA_ROWS = 5000


def check_count(name: str, count: int) -> None:
    """Reject more files than a repository should contain.

    Raises:
        ExportError: there are too many.
    """
    if count > MOST_FILES:
        raise ExportError(
            f"exports/{name}: {count:,} image files are more than a repository on the Hub handles well ({MOST_FILES:,}); "
            "use `layout: parquet`"
        )


def place(sample_id: str, kind: str) -> str:
    """An image's path below its split: in one of 256 folders."""
    return f"{sample_id[:2]}/{file_name(sample_id, kind)}"


def write_folder(
    rows: Rows, split: str, stream: Stream, folder: Path, send: "Callable[[Sequence[CommitOperationAdd]], None]"
) -> "dict[str, CommitOperationAdd]":
    """Send the images group by group, then the metadata.

    Args:
        rows: the plan.
        split: the split's name, which is the folder's.
        stream: row groups with the bytes of their images; None for an image that the repository already has.
        folder: an empty folder.
        send: uploads the content of files.

    Returns:
        Path -> what the commit will contain; without the images that are already there.
    """
    import pyarrow.parquet as pq
    from huggingface_hub import CommitOperationAdd

    schema = pa.schema([pa.field(FILE_NAME, pa.string()), *rows.schema])
    done: dict[str, CommitOperationAdd] = {}
    path = folder / METADATA
    waiting: list[pa.RecordBatch] = []
    with pq.ParquetWriter(path, schema, compression=COMPRESSION, write_page_index=True) as writer:
        for group, pictures in stream:
            names = _places(group)
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


def known_pictures(split: str, files: Mapping[str, str | None]) -> Callable[[Mapping[str, Any]], bool]:
    """Tells whether a repository already has the image of a row, at its path and with its content.

    Args:
        split: the split's name.
        files: path -> SHA-256 of what the repository has; None for a file that is not in LFS, which counts as correct.
    """

    def known(row: Mapping[str, Any]) -> bool:
        if row["uri"] is None:
            return False
        path = f"{split}/{place(row['sample_id'], row['format'])}"
        return path in files and files[path] in (row["sha256"], None)

    return known


def _places(group: pa.RecordBatch) -> list[str]:
    formats = group[PICTURE + "format"].to_pylist()
    return [place(i, f) for i, f in zip(group["sample_id"].to_pylist(), formats, strict=True)]
