"""Clips as files: the rows of a SQL model with spans of films, cut exactly, with the proof of each beside them.

Belongs here: which clips of which films, where the files and their table go, what is there already. Does not belong
here: decoding and encoding (``media/video/cut.py``), the command (``cli/cut.py``), clips as a dataset (``dataset.py``).

The model has a row a clip, with ``clip_id``, ``sample_id`` (of the film), ``start_n``, ``end_n``, ``start_pts`` and
``end_pts``, as the macros ``shots`` and ``sections`` give; rows whose ``status`` is not ``ok`` are passed over. The table
that comes of it has a row for each other clip. A clip with the same settings that is there already is not cut again.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from arot_assets.columns import Column
from arot_assets.datasets.forgotten import forgotten
from arot_assets.datasets.nodes import meet
from arot_assets.datasets.places import medium_of, place_of, seen_by_all
from arot_assets.errors import ProjectError
from arot_assets.media.file import DecodeError, File
from arot_assets.media.video import isolated
from arot_assets.media.video.medium import VIDEO
from arot_assets.progress import track
from resources.compute import Needs, stays_here
from resources.parallel import ordered_map
from resources.scratch import WorkingFolder
from resources.storage import Storage, StorageError
from resources.storage.storage import join
from resources.tables.keeping import Keeping
from resources.warehouse import Connection, Warehouse
from resources.warehouse.views import quote

if TYPE_CHECKING:
    from arot_assets.media.video.clip_file import Cut, Settings
    from resources.defaults import Resources

TABLE = "clips.parquet"
FILE = "mp4"
FAILED = "failed"
"""Footer key: how many clips have no file, or none as planned."""
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
NEEDED = ("clip_id", "sample_id", "start_n", "end_n", "start_pts", "end_pts")
Film = tuple[str, list[dict[str, Any]]]
"""Of one film: its sample_id, and the clips that are asked for."""
PROVENANCE = ("start_n", "end_n", "start_pts", "end_pts")


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


def cut_clips(
    resources: "Resources", model: str, films: str, target: Target, settings: "Settings", threads: int | None = None
) -> pa.Table:
    """Cut the clips of a SQL model into a folder.

    Args:
        resources: the store and the sources.
        model: the SQL model, which has been built.
        films: the dataset of the films.
        target: where the files go.
        settings: how files are written. The bars of each film are cut away as well.
        threads: films at a time.

    Returns:
        The table of the clips that are there now: one row for each clip of the model.

    Raises:
        ProjectError: there is no such model, it lacks a column or has no clip, or the dataset is not of films.
        StorageError: the folder cannot be written.
    """
    if medium_of(resources.warehouse.tables, films).name != VIDEO.name:
        raise ProjectError(f"'{films}' is no dataset of films; `arot status` lists the datasets")
    with resources.warehouse.connect() as con:
        by_film = _asked(con, model, films)
    if not by_film:
        raise ProjectError(f"model '{model}' has no clip; loosen its conditions before its clips are cut")
    before = _before(resources, target)
    done: list[dict[str, Any]] = []
    todo: dict[str, list[dict[str, Any]]] = {}
    for film, rows in by_film.items():
        own = told(_own(settings, rows))
        for row in rows:
            known = before.get(row["clip_id"])
            if known is not None and known["settings"] == own:
                done.append(known)
            else:
                todo.setdefault(film, []).append(row)

    def keep() -> None:
        _write(resources, target, done)

    gone = forgotten(resources.warehouse.tables)
    total = sum(map(len, todo.values()))
    uris = {rows[0]["uri"]: film for film, rows in todo.items() if rows[0]["uri"]}
    work = FilmCutter(resources.storage, resources.warehouse, films, settings, target.folder, frozenset(gone), uris)
    with track(f"clips of {model}", total) as advance:

        def kept(item: Film) -> list[dict[str, Any]]:
            made = work(item)
            with keeping.adding():  # now, not when its turn comes: another film may be stopped before
                done.extend(made)
            return made

        def on_nodes() -> Generator[list[dict[str, Any]], None, None]:
            meet(resources.compute, resources.tables, Needs(), seen_by_all(resources.tables, [films]))
            for _, made in resources.compute.map(work, list(todo.items()), Needs()):
                with keeping.adding():
                    done.extend(made)
                yield made

        here = resources.compute.is_local or not resources.shares(target.folder)
        with (
            Keeping(keep) as keeping,
            closing(ordered_map(kept, list(todo.items()), threads, finish=True) if here else on_nodes()) as results,
        ):
            for made in results:
                advance(len(made))
    table = _write(resources, target, done)
    if target.prune:
        _prune(resources, target, table)
    return table


def told_of_place(resources: "Resources", model: str, folder: str) -> list[str]:
    """What people are told of clips that this process cuts though the engine is another."""
    if resources.shares(folder):
        return []
    why = f"{folder} is a folder of this machine, which others may not see"
    remedy = "all machines cut to an address such as s3://bucket/clips, and a declared dataset of clips"
    return stays_here(resources.compute, f"the cut of {model}", why, remedy)


@dataclass(frozen=True)
class FilmCutter:
    """Cuts the clips of one film into files, in any process: the unit of work of an engine.

    Attributes:
        storage: the sources and the folder.
        warehouse: where the film is found.
        films: the dataset.
        settings: how files are written.
        folder: where they go.
        gone: ids of what was taken down.
        uris: uri -> sample_id of all films that are asked for.
    """

    storage: Storage
    warehouse: Warehouse
    films: str
    settings: "Settings"
    folder: str
    gone: frozenset[str]
    uris: Mapping[str, str]

    @cached_property
    def read(self) -> Callable[[str], File]:
        """``uri -> File``, made once in a process."""
        place = place_of(self.storage, self.warehouse, self.films, list(self.uris.values()))
        return place.files(self.uris)

    def __call__(self, item: Film) -> list[dict[str, Any]]:
        """The rows of the clips of a film; their files are in place.

        Raises:
            StorageError: the folder cannot be written, or the server of the films does not answer.
        """
        film, rows = item

        with WorkingFolder("clips") as mine:
            made = list(_of_film(film, rows, lambda: self.read(rows[0]["uri"]).path(), self.settings, mine))
            for row in made:
                if row["status"] == "ok":
                    row["file"] = f"{row['clip_id']}.{FILE}"
                    cut = mine / row["file"]
                    row["sample_id"] = hashlib.sha256(cut.read_bytes()).hexdigest()[:32]
                    if row["sample_id"] in self.gone:
                        row |= {"status": "failed", "reason": "taken down", "file": None, "sample_id": None}
                    else:
                        _store(self.storage, cut, join(self.folder, row["file"]))
        return made


def wanted(con: Connection, model: str, films: str, settings: "Settings") -> str:
    """64 hex digits of which clips are asked for, and how their files are written.

    Raises:
        ProjectError: there is no such model, or it lacks a column.
    """
    _require(con, model)
    rows = con.execute(f"""select m.clip_id, d.crop_top, d.crop_bottom, d.crop_left, d.crop_right, d.sample_id is null
        from {_ok_rows(con, model)} m left join {quote(films)}.decoded d
        on d.sample_id = m.sample_id and d.status = 'ok' order by all""").fetchall()
    return hashlib.sha256(json.dumps([told(settings), rows]).encode()).hexdigest()


def _require(con: Connection, model: str) -> set[str]:
    """The columns of a model."""
    try:
        found = {row[0] for row in con.execute(f"describe main.{quote(model)}").fetchall()}
    except Exception as error:
        raise ProjectError(f"no table of a SQL model '{model}': {error}; `arot run` builds it") from error
    missing = [name for name in NEEDED if name not in found]
    if missing:
        raise ProjectError(f"model '{model}' has no column {missing[0]}; select it from the macro shots or sections")
    return found


def _ok_rows(con: Connection, model: str) -> str:
    """The relation of the clips that are to be cut."""
    ok = " where status = 'ok'" if "status" in _require(con, model) else ""
    return f"(select * from main.{quote(model)}{ok})"


def _asked(con: Connection, model: str, films: str) -> dict[str, list[dict[str, Any]]]:
    """Film -> its clips, with the facts of the film, its bars and the CRCs of each frame; the facts are null where the
    film was not decoded."""
    facts = ", ".join(f"s.{quote(column.name)}" for column in VIDEO.columns if column.name not in ("end_pts",))
    rows = con.execute(f"""
        select m.clip_id, m.sample_id, m.start_n, m.end_n, m.start_pts, m.end_pts, s.uri, {facts},
            [d.crop_top, d.crop_bottom, d.crop_left, d.crop_right] as crop, d.sample_id is not null as decoded,
            (select {{'crc': list(f.crc order by f.n), 'd_y': list(f.d_y order by f.n)}} from {quote(films)}.frames f
                where f.sample_id = m.sample_id and f.n >= m.start_n and f.n < m.end_n) as known
        from {_ok_rows(con, model)} m
        left join (from {quote(films)}.samples where status = 'ok') s on s.sample_id = m.sample_id
        left join {quote(films)}.decoded d on d.sample_id = m.sample_id and d.status = 'ok'
        order by m.sample_id, m.start_n""")
    by_film: dict[str, list[dict[str, Any]]] = {}
    for row in rows.to_arrow_table().to_pylist():
        by_film.setdefault(row["sample_id"], []).append(row)
    return by_film


def _of_film(
    film: str, rows: Sequence[Mapping[str, Any]], path: Callable[[], Path], settings: "Settings", folder: Path
) -> Iterator[dict[str, Any]]:
    """The clips of a film; a film that cannot be read or decoded fails its clips, and no others."""
    own = _own(settings, rows)
    cuts = [_cut(row) for row in rows]
    facts = {column.name: rows[0].get(column.name) for column in VIDEO.columns}
    common = {"film": film, "settings": told(own)}
    spans = {row["clip_id"]: {name: row[name] for name in PROVENANCE} for row in rows}
    done: set[str] = set()
    reason = None
    try:
        if rows[0]["uri"] is None or not rows[0]["decoded"]:
            raise DecodeError("unsupported", "its film is not there, or was not decoded; run the films' dataset again")
        for row in isolated.cut(path(), facts, cuts, own, folder):
            done.add(row["clip_id"])
            yield row | spans[row["clip_id"]] | common
    except (DecodeError, StorageError) as error:
        if isinstance(error, StorageError) and error.is_outage:
            raise
        reason = str(error)
    for cut in cuts:
        if cut.clip_id not in done:
            failed = {"status": "failed", "reason": reason or "the film ended before it"}
            yield {"clip_id": cut.clip_id} | spans[cut.clip_id] | common | failed


def _cut(row: Mapping[str, Any]) -> "Cut":
    from arot_assets.media.video.clip_file import Cut

    known = row["known"] or {}
    span = (row["start_n"], row["end_n"], row["start_pts"], row["end_pts"])
    return Cut(row["clip_id"], *span, tuple(known.get("crc") or ()), tuple(known.get("d_y") or ()))


def _own(settings: "Settings", rows: Sequence[Mapping[str, Any]]) -> "Settings":
    """The settings for a film: with its bars."""
    top, bottom, left, right = (side or 0 for side in rows[0]["crop"])
    return replace(settings, crop=(top, bottom, left, right))


def told(settings: "Settings") -> str:
    """Settings as they are kept (JSON)."""
    return json.dumps(asdict(settings), sort_keys=True)


def _before(resources: "Resources", target: Target) -> dict[str, dict[str, Any]]:
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


def _prune(resources: "Resources", target: Target, table: pa.Table) -> None:
    """Delete the files of clips that are no longer asked for."""
    kept = set(table["file"].to_pylist())
    for name in _sizes(resources, target):
        if name.endswith(f".{FILE}") and name not in kept:
            resources.storage.delete(join(target.folder, name))


def _store(storage: Storage, path: Path, uri: str) -> None:
    storage.fill(uri, lambda place: shutil.copyfile(path, place))


def _write(resources: "Resources", target: Target, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    ordered = sorted(rows, key=lambda row: (str(row["film"]), row["start_n"], str(row["clip_id"])))
    table = pa.Table.from_pylist([dict(row) for row in ordered], schema=SCHEMA)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    resources.storage.write(target.table, sink.getvalue().to_pybytes())
    return table
