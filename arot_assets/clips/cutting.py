"""Clips as files: the rows of a SQL model with spans of films, cut exactly, with the proof of each beside them.

Belongs here: the work, film by film, and its engine. Does not belong here: which clips are asked for (``asked.py``), where files
go and what is there already (``target.py``), decoding and encoding (``media/video/cut.py``), the command (``cli/cut.py``), clips
as a dataset (``dataset.py``).

A clip with the same settings that is there already is not cut again.
"""

import hashlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from arot_assets.clips.asked import asked, told
from arot_assets.clips.target import FILE, Target, cut_before, prune, store_clip, write_table
from arot_assets.datasets.forgotten import forgotten, forgotten_spans
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
from resources.warehouse import Warehouse

if TYPE_CHECKING:
    from arot_assets.media.video.clip_file import Cut, Settings
    from resources.defaults import Resources

FAILED = "failed"
"""Footer key: how many clips have no file, or none as planned."""
Film = tuple[str, list[dict[str, Any]]]
"""Of one film: its sample_id, and the clips that are asked for."""
PROVENANCE = ("start_n", "end_n", "start_pts", "end_pts")


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
        by_film = asked(con, model, films)
    if not by_film:
        raise ProjectError(f"model '{model}' has no clip; loosen its conditions before its clips are cut")
    before = cut_before(resources, target)
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
        write_table(resources, target, done)

    gone, spans = forgotten(resources.warehouse.tables), forgotten_spans(resources.warehouse.tables)
    total = sum(map(len, todo.values()))
    uris = {rows[0]["uri"]: film for film, rows in todo.items() if rows[0]["uri"]}
    work = FilmCutter(
        resources.storage, resources.warehouse, films, settings, target.folder, frozenset(gone), uris, spans
    )
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
    table = write_table(resources, target, done)
    if target.prune:
        prune(resources, target, table)
    return table


def told_of_place(resources: "Resources", model: str, folder: str) -> list[str]:
    """What people are told of clips that this process cuts though the engine is another."""
    if resources.shares(folder):
        return []
    why = f"{folder} is a folder of this machine, which others may not see"
    remedy = "all machines cut to an address such as s3://bucket/clips, and a declared dataset of clips"
    return stays_here(resources.compute, f"the cut of {model}", why, remedy)


def _overlap(row: Mapping[str, Any], start: int, end: int) -> bool:
    """Whether a clip shows some of a span."""
    return bool(row["start_pts"] < end and start < row["end_pts"])


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
        spans: film -> the spans of it that were taken down.
    """

    storage: Storage
    warehouse: Warehouse
    films: str
    settings: "Settings"
    folder: str
    gone: frozenset[str]
    uris: Mapping[str, str]
    spans: Mapping[str, Sequence[tuple[int, int]]] = field(default_factory=dict)

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
        own = told(_own(self.settings, rows))
        out = [row for row in rows if any(_overlap(row, *span) for span in self.spans.get(film, ()))]
        left_out = [
            {"clip_id": row["clip_id"], "film": film, "settings": own, "status": "failed", "reason": "taken down"}
            | {name: row[name] for name in PROVENANCE}
            for row in out
        ]
        rows = [row for row in rows if row not in out]
        return left_out + (self._cut(film, rows) if rows else [])

    def _cut(self, film: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
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
                        store_clip(self.storage, cut, join(self.folder, row["file"]))
        return made


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
