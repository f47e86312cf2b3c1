"""Clips as files: the rows of a SQL model with spans of films, cut exactly, with the proof of each beside them.

Belongs here: which clips of which films, where the files and their table go, what is there already. Does not belong
here: decoding and encoding (``media/video/cut.py``), the command (``cli/cut.py``).

The model has a row a clip, with ``clip_id``, ``sample_id`` (of the film), ``start_n``, ``end_n``, ``start_pts`` and
``end_pts``, as the macros ``shots`` and ``sections`` give; rows whose ``status`` is not ``ok`` are passed over. The
table ``clips.parquet`` in the target folder has a row for each clip that was asked for. A clip with the same settings
that is there already is not cut again.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from arot_assets.columns import Column
from arot_assets.datasets.places import medium_of, place_of
from arot_assets.errors import ProjectError
from arot_assets.media.medium import DecodeError
from arot_assets.media.video import isolated
from arot_assets.media.video.medium import VIDEO
from arot_assets.progress import track
from resources.parallel import ordered_map
from resources.storage import StorageError
from resources.storage.storage import join
from resources.warehouse.views import quote

if TYPE_CHECKING:
    from arot_assets.media.video.cut import Settings
    from resources.defaults import Resources

TABLE = "clips.parquet"
COLUMNS = (
    Column("clip_id", str, "of the SQL model; the file is <clip_id>.mp4"),
    Column("sample_id", str, "the film"),
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
    Column("speed", pa.float64(), "1: time is as in the film"),
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
    Column("audio", str, "dropped"),
    Column("bytes", pa.int64(), "size of the file"),
    Column("settings", str, "how it was written (JSON)"),
)
SCHEMA = pa.schema([column.field() for column in COLUMNS])
NEEDED = ("clip_id", "sample_id", "start_n", "end_n", "start_pts", "end_pts")


def cut_clips(
    resources: "Resources", model: str, films: str, target: str, settings: "Settings", threads: int | None = None
) -> pa.Table:
    """Cut the clips of a SQL model into a folder.

    Args:
        resources: the store and the sources.
        model: the SQL model, which has been built.
        films: the dataset of the films.
        target: a folder on any scheme.
        settings: how files are written. The bars of each film are cut away as well.
        threads: films at a time.

    Returns:
        The table that is in the folder now: one row for each clip of the model.

    Raises:
        ProjectError: there is no such model, it lacks a column, or the dataset is not of films.
        StorageError: the folder cannot be written.
    """
    if medium_of(resources.warehouse.tables, films).name != VIDEO.name:
        raise ProjectError(f"'{films}' is no dataset of films; `arot status` lists the datasets")
    by_film = _asked(resources, model, films)
    before = _before(resources, target)
    kept: list[dict[str, Any]] = []
    todo: dict[str, list[dict[str, Any]]] = {}
    for film, rows in by_film.items():
        own = _told(replace(settings, crop=tuple(rows[0]["crop"])))
        for row in rows:
            known = before.get(row["clip_id"])
            if known is not None and known["status"] == "ok" and known["settings"] == own:
                kept.append(known)
            else:
                todo.setdefault(film, []).append(row)
    total = sum(map(len, todo.values()))
    done = list(kept)
    with tempfile.TemporaryDirectory(prefix="arot-clips-") as folder, track(f"clips of {model}", total) as advance:
        place = place_of(resources.storage, resources.warehouse, films, list(todo))
        read = place.files({rows[0]["uri"]: film for film, rows in todo.items()})

        def work(item: tuple[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
            film, rows = item
            mine = Path(tempfile.mkdtemp(dir=folder))
            made = list(_of_film(film, rows, lambda: read(rows[0]["uri"]).path(), settings, mine))
            for row in made:
                if row["status"] == "ok":
                    _store(resources, mine / f"{row['clip_id']}.mp4", join(target, f"{row['clip_id']}.mp4"))
                    row["file"] = f"{row['clip_id']}.mp4"
            shutil.rmtree(mine)
            return made

        for made in ordered_map(work, list(todo.items()), threads, finish=True):
            done += made
            advance(len(made))
            _write(resources, target, done)
    return _write(resources, target, done)


def _asked(resources: "Resources", model: str, films: str) -> dict[str, list[dict[str, Any]]]:
    """Film -> its clips, with the facts of the film, its bars and the CRCs of each frame."""
    facts = ", ".join(f"s.{quote(column.name)}" for column in VIDEO.columns if column.name not in ("end_pts",))
    with resources.warehouse.connect() as con:
        try:
            found = {row[0] for row in con.execute(f"describe main.{quote(model)}").fetchall()}
        except Exception as error:
            raise ProjectError(f"no table of a SQL model '{model}': {error}; `arot run` builds it") from error
        missing = [name for name in NEEDED if name not in found]
        if missing:
            raise ProjectError(
                f"model '{model}' has no column {missing[0]}; select it from the macro shots or sections"
            )
        ok = "where m.status = 'ok'" if "status" in found else ""
        rows = con.execute(f"""
            select m.clip_id, m.sample_id, m.start_n, m.end_n, m.start_pts, m.end_pts, s.uri, {facts},
                [d.crop_top, d.crop_bottom, d.crop_left, d.crop_right] as crop,
                (select list(f.crc order by f.n) from {quote(films)}.frames f
                    where f.sample_id = m.sample_id and f.n >= m.start_n and f.n < m.end_n) as crcs
            from main.{quote(model)} m join {quote(films)}.samples s using (sample_id)
            join {quote(films)}.decoded d on d.sample_id = m.sample_id and d.status = 'ok'
            {ok} order by m.sample_id, m.start_n""")
        table = rows.to_arrow_table().to_pylist()
    by_film: dict[str, list[dict[str, Any]]] = {}
    for row in table:
        by_film.setdefault(row["sample_id"], []).append(row)
    return by_film


def _of_film(
    film: str, rows: Sequence[Mapping[str, Any]], path: Callable[[], Path], settings: "Settings", folder: Path
) -> Iterator[dict[str, Any]]:
    """The clips of a film; a film that cannot be read or decoded fails its clips, and no others."""
    from arot_assets.media.video.cut import Cut

    own = replace(settings, crop=tuple(rows[0]["crop"]))
    cuts = [
        Cut(r["clip_id"], r["start_n"], r["end_n"], r["start_pts"], r["end_pts"], tuple(r["crcs"] or ())) for r in rows
    ]
    facts = {column.name: rows[0].get(column.name) for column in VIDEO.columns}
    done: set[str] = set()
    reason = None
    try:
        for row in isolated.cut(path(), facts, cuts, own, folder):
            done.add(row["clip_id"])
            yield row | {"sample_id": film, "settings": _told(own)}
    except (DecodeError, StorageError) as error:
        reason = str(error)
    for cut in cuts:
        if cut.clip_id not in done:
            failed = {"status": "failed", "reason": reason or "the film ended before it"}
            yield {"clip_id": cut.clip_id, "sample_id": film, "settings": _told(own), **failed}


def _told(settings: "Settings") -> str:
    return json.dumps(asdict(settings), sort_keys=True)


def _before(resources: "Resources", target: str) -> dict[str, dict[str, Any]]:
    """Clip -> its row of an earlier cutting into the same folder."""
    uri = join(target, TABLE)
    if not resources.storage.exists(uri):
        return {}
    table = pq.read_table(pa.BufferReader(resources.storage.read_bytes(uri)))
    return {row["clip_id"]: row for row in table.to_pylist()} if table.schema.names == SCHEMA.names else {}


def _store(resources: "Resources", path: Path, uri: str) -> None:
    resources.storage.fill(uri, lambda place: shutil.copyfile(path, place))


def _write(resources: "Resources", target: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    ordered = sorted(rows, key=lambda row: (str(row["sample_id"]), str(row["clip_id"])))
    table = pa.Table.from_pylist([dict(row) for row in ordered], schema=SCHEMA)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    resources.storage.write(join(target, TABLE), sink.getvalue().to_pybytes())
    return table
