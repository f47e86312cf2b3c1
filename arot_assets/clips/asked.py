"""The clips that a SQL model asks for, film by film.

Belongs here: reading the model, and what it must have. Does not belong here: cutting (``cutting.py``).

The model has a row a clip, with ``clip_id``, ``sample_id`` (of the film), ``start_n``, ``end_n``, ``start_pts`` and
``end_pts``, as the macros ``shots`` and ``sections`` give; rows whose ``status`` is not ``ok`` are passed over.
"""

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from arot_assets.errors import ProjectError
from arot_assets.media.video.medium import VIDEO
from resources.errors import ArotError
from resources.warehouse import Connection
from resources.warehouse.views import quote

if TYPE_CHECKING:
    from arot_assets.media.video.clip_file import Settings

NEEDED = ("clip_id", "sample_id", "start_n", "end_n", "start_pts", "end_pts")


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
    except ArotError:
        raise  # it may be there: a server does not answer, a file is damaged
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


def asked(con: Connection, model: str, films: str) -> dict[str, list[dict[str, Any]]]:
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


def told(settings: "Settings") -> str:
    """Settings as they are kept (JSON)."""
    return json.dumps(asdict(settings), sort_keys=True)
