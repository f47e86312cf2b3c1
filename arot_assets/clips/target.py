"""Where the files of clips go, and the table of what is there.

Belongs here: the folder, its table and its columns. Does not belong here: cutting (``cutting.py``).
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from arot_assets.columns import Column
from resources.storage import Storage
from resources.storage.storage import join

if TYPE_CHECKING:
    from resources.defaults import Resources

TABLE = "clips.parquet"
FILE = "mp4"
COLUMNS = (
    Column("clip_id", str, "of the SQL model; the file is <clip_id>.mp4"),
    Column("sample_id", str, "of the file, by its content as of any sample; null where there is none"),
    Column("film", str, "sample_id of the film"),
    Column("start_n", pa.int32(), "first frame of the span in the film"),
    Column("end_n", pa.int32(), "the frame after its last"),
    Column("start_pts", pa.int64(), "when the span starts, in units of the film's time_base"),
    Column("end_pts", pa.int64(), "when it ends"),
    Column("status", str, "ok | failed"),
    Column("reason", str, "why there is no file, or why it is not as planned; null when ok"),
    Column("file", str, "name in this folder"),
    Column("width", pa.int32(), "pixels"),
    Column("height", pa.int32(), "pixels"),
    Column("fps", pa.float64(), "frames per second, constant"),
    Column("frames_planned", pa.int32(), "frames that the span has at this rate, down to the bucket"),
    Column("frames_written", pa.int32(), "frames that the file has, decoded again"),
    Column("source_frames", pa.int32(), "frames of the film in the span"),
    Column("first_n", pa.int32(), "frame of the film that the first frame shows"),
    Column("last_n", pa.int32(), "frame of the film that the last frame shows"),
    Column("repeated", pa.int32(), "frames that show the same frame of the film as the one before"),
    Column("speed", pa.float64(), "how much faster than the film it plays; 1 unless `timing: retime`"),
    Column("repeats_dropped", pa.int32(), "frames of the span left out because they repeat the one before"),
    Column("source_crc_wrong", pa.int32(), "frames of the span whose grid is not the one of the first decode"),
    Column("psnr_first", pa.float64(), "first frame against its own of the film, dB, on at most 192 pixels"),
    Column("psnr_middle", pa.float64(), "the same of the middle frame"),
    Column("psnr_last", pa.float64(), "the same of the last frame"),
    Column(
        "margin_first",
        pa.float64(),
        "dB by which its own frame is closer than those beside it; 99 beside equal ones",
    ),
    Column("margin_middle", pa.float64(), "the same of the middle frame"),
    Column("margin_last", pa.float64(), "the same of the last frame"),
    Column("audio", str, "aac | none (the film has none) | dropped"),
    Column("audio_seconds", pa.float64(), "length of the sound, decoded again; null without"),
    Column("audio_rms_db", pa.float64(), "loudness of the sound, dB below full scale; null without, or in silence"),
    Column("audio_silent", pa.float64(), "share of the span for which the film has no sound; null without", 0.0, 1.0),
    Column("bytes", pa.int64(), "size of the file"),
    Column("settings", str, "how it was written (JSON)"),
)
SCHEMA = pa.schema([column.field() for column in COLUMNS])


@dataclass(frozen=True)
class Target:
    """Where the files of clips go.

    Attributes:
        folder: on any scheme.
        table: uri of the table of what is there, which is kept up to date while clips are cut.
        prune: delete the files of clips that the model no longer has.
    """

    folder: str
    table: str
    prune: bool = False


def cut_before(resources: "Resources", target: Target) -> dict[str, dict[str, Any]]:
    """Clip -> its row of an earlier cutting into the same folder, if its file is still there."""
    if not resources.storage.exists(target.table):
        return {}
    table = pq.read_table(pa.BufferReader(resources.storage.read_bytes(target.table)))
    if table.schema.names != SCHEMA.names:
        return {}
    there = _sizes(resources, target)
    rows = (row for row in table.to_pylist() if row["status"] == "ok" and there.get(row["file"]) == row["bytes"])
    return {row["clip_id"]: row for row in rows}


def _sizes(resources: "Resources", target: Target) -> dict[str, int]:
    """Name -> bytes of the files in a target folder; nothing if there is none yet."""
    if not resources.storage.is_folder(target.folder):
        return {}
    return {info.uri.rpartition("/")[2]: info.size for info in resources.storage.ls(target.folder)}


def prune(resources: "Resources", target: Target, table: pa.Table) -> None:
    """Delete the files of clips that are no longer asked for."""
    kept = set(table["file"].to_pylist())
    for name in _sizes(resources, target):
        if name.endswith(f".{FILE}") and name not in kept:
            resources.storage.delete(join(target.folder, name))


def store_clip(storage: Storage, path: Path, uri: str) -> None:
    storage.fill(uri, lambda place: shutil.copyfile(path, place))


def write_table(resources: "Resources", target: Target, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    ordered = sorted(rows, key=lambda row: (str(row["film"]), row["start_n"], str(row["clip_id"])))
    table = pa.Table.from_pylist([dict(row) for row in ordered], schema=SCHEMA)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    resources.storage.write(target.table, sink.getvalue().to_pybytes())
    return table
