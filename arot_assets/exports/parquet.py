"""The layout ``parquet``: files that contain the originals and their values.

Belongs here: names, row groups and options of the files. Does not belong here: where rows come from, the commit.

The same rows always give the same bytes. Chunks are content-defined, so that a store that knows the chunks of the
previous version (Xet, behind the Hub) receives only what is new. Originals are compressed already and are stored
uncompressed.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from arot_assets.exports.features import FILE, file_schema
from arot_assets.exports.rows import FORMAT_COLUMN, ExportRows
from arot_assets.media.medium import Medium

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd

COMPRESSION = "zstd"

Stream = Generator[tuple[pa.RecordBatch, Sequence[Any]], None, None]
"""Row groups with what was read for each row: bytes, or None if nothing needed to be read."""


def file_names(split: str, count: int) -> list[str]:
    """The names of this many files, in the style of ``datasets``."""
    return [f"data/{split}-{n:05d}-of-{count:05d}.parquet" for n in range(count)]


def write_parquet(
    rows: ExportRows, split: str, stream: Stream, folder: Path, send: "Callable[[Sequence[CommitOperationAdd]], None]"
) -> "dict[str, CommitOperationAdd]":
    """Write and send one file after another; each is deleted from this machine before the next is started.

    Args:
        rows: the plan.
        split: the split's name.
        stream: one item for each row group of the plan, with the bytes of its originals.
        folder: an empty folder.
        send: uploads the content of files.

    Returns:
        Path -> what the commit will contain.
    """
    import pyarrow.parquet as pq

    schema = file_schema(rows.medium, rows.schema)
    done: dict[str, CommitOperationAdd] = {}
    for name, cut in zip(file_names(split, len(rows.cuts)), rows.cuts, strict=True):
        path = folder / name.rpartition("/")[2]
        with pq.ParquetWriter(path, schema, **_options(schema, rows.medium.name)) as writer:
            for _ in cut:
                group, originals = next(stream)
                if group.num_rows:
                    writer.write_batch(
                        with_originals(group, originals, schema, rows.medium), row_group_size=group.num_rows
                    )
        done[name] = sent(name, path, send)
        path.unlink()
    for _ in stream:
        raise AssertionError("the plan has a place for every row group")
    return done


def sent(name: str, path: Path, send: "Callable[[Sequence[CommitOperationAdd]], None]") -> "CommitOperationAdd":
    """Send a local file; returns what the commit will contain. The file is not needed after that.

    Args:
        name: its path in the repository.
        path: the file.
        send: uploads its content, if the repository keeps such files in LFS.
    """
    from huggingface_hub import CommitOperationAdd

    addition = CommitOperationAdd(name, path)
    send([addition])
    if addition.path_or_fileobj == b"":
        return addition
    return CommitOperationAdd(name, path.read_bytes())  # a plain Git file is part of the commit itself


def with_originals(
    group: pa.RecordBatch, originals: Sequence[bytes], schema: pa.Schema, medium: Medium
) -> pa.RecordBatch:
    """A row group with its originals."""
    formats, ids = group[FORMAT_COLUMN].to_pylist(), group["sample_id"].to_pylist()
    names = [medium.published.file_name(i, f) for i, f in zip(ids, formats, strict=True)]
    fields = [pa.array(originals, pa.binary()), pa.array(names, pa.string())]
    files = pa.StructArray.from_arrays(fields, fields=list(FILE))
    return pa.RecordBatch.from_arrays([files, *(group[n] for n in schema.names[1:])], schema=schema)


def _options(schema: pa.Schema, file_column: str) -> Mapping[str, Any]:
    leaves = [leaf for f in schema for leaf in _leaves(f.name, f.type)]
    bare = f"{file_column}.bytes"
    return {
        "compression": {leaf: "none" if leaf == bare else COMPRESSION for leaf in leaves},
        "use_dictionary": [leaf for leaf in leaves if leaf != bare],
        "write_page_index": True,
        "use_content_defined_chunking": True,
    }


def _leaves(path: str, kind: pa.DataType) -> list[str]:
    if pa.types.is_struct(kind):
        return [leaf for f in kind for leaf in _leaves(f"{path}.{f.name}", f.type)]
    if pa.types.is_list(kind):
        return _leaves(f"{path}.list.element", kind.value_type)
    return [path]
