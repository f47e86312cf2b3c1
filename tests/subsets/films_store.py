"""The datasets of films and clips of the demo, shaped as the asset graph makes them, without decoding anything."""

import hashlib
from datetime import datetime
from typing import Any

import pyarrow as pa

from arot_assets.clips.target import SCHEMA as CUT_SCHEMA
from arot_assets.columns import metric_schema
from arot_assets.datasets.changes import SCHEMA as INVENTORY_SCHEMA
from arot_assets.datasets.samples import samples_schema
from arot_assets.media.video.medium import VIDEO
from arot_assets.metrics.children import own_tables
from arot_assets.metrics.registry import get_metric
from resources.tables import TableRef, Tables

FRAMES, SHOT, FPS = 120, 30, 24
SHARD = "00000"
Rows = list[dict[str, Any]]


def write_films(tables: Tables, now: datetime) -> None:
    """Two films of four shots each, and a file for each shot."""
    films = [_sample(f"film {k}", f"/films/{k}.mp4", FRAMES, now) for k in range(2)]
    clips, cut = [], []
    for film in films:
        for start in range(0, FRAMES, SHOT):
            span = (start, start + SHOT)
            clip_id = _sha256(f"{film['sha256']} {span[0]} {span[1]} 1/{FPS}")[:32]
            clips.append(_sample(clip_id, f"/clips/{clip_id}.mp4", 17, now))
            row = {"clip_id": clip_id, "sample_id": clips[-1]["sample_id"], "film": film["sample_id"], "status": "ok"}
            row |= {"start_n": span[0], "end_n": span[1], "start_pts": span[0], "end_pts": span[1]}
            cut.append(row | {"frames_written": 17})
    for dataset, samples in (("films", films), ("clips", clips)):
        present = [{"uri": r["uri"], "size": 1000, "mtime": now, "shard": SHARD, "state": "present"} for r in samples]
        tables.write(pa.Table.from_pylist(present, INVENTORY_SCHEMA), TableRef(dataset, "inventory"))
        tables.write(pa.Table.from_pylist(samples, samples_schema(VIDEO)), TableRef(dataset, "samples", SHARD))
    tables.write(pa.Table.from_pylist(cut, CUT_SCHEMA), TableRef("clips", "cut"))
    ids = [film["sample_id"] for film in films]
    rows = {"frames": _frames(ids), "steps": _steps(ids), "stills": _stills(ids)}
    rows["decoded"] = [{"sample_id": one, "frames_decoded": FRAMES, "crop_top": 0} for one in ids]
    for table in own_tables(VIDEO):
        own = [{"status": "ok", "metric_version": table.version, **row} for row in rows.get(table.name, [])]
        footer = {} if table.grain == "sample" else {"grain": table.grain}
        tables.write(pa.Table.from_pylist(own, table.schema()), TableRef("films", table.name, SHARD), footer)

    scores = [
        {**{k: row[k] for k in ("sample_id", "n", "pts")}, "status": "ok", "p_photo": 0.9} for row in rows["stills"]
    ]
    tables.write(pa.Table.from_pylist(scores), TableRef("films", "style", SHARD), {"grain": "still"})
    voice = get_metric("voice")
    spoken = [{"sample_id": one, "status": "ok", "metric_version": "1"} for one in ids]
    spoken[0] |= {"speech_seconds": 1.2, "speech_share": 0.24, "max_probability": 0.9, "sound_seconds": 5.0}
    spoken[0] |= {"spans": [{"start": 0.5, "end": 1.5}, {"start": 2.0, "end": 2.2}]}  # the other film has no sound
    tables.write(pa.Table.from_pylist(spoken, metric_schema(voice.columns)), TableRef("films", "voice", SHARD))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _sample(name: str, uri: str, frames: int, now: datetime) -> dict[str, Any]:
    content = _sha256(name)
    facts = {
        "time_base": f"1/{FPS}",
        "first_pts": 0,
        "last_pts": frames - 1,
        "end_pts": frames,
        "seconds": frames / FPS,
    }
    facts |= {"median_fps": float(FPS), "avg_fps": float(FPS), "is_vfr": False, "width": 192, "height": 128}
    row = {"sample_id": content[:32], "sha256": content, "uri": uri, "status": "ok", "notes": [], "bytes": 1000}
    return row | facts | {"shard": SHARD, "ingested_at": now}


def _frames(films: list[str]) -> Rows:
    """Little changes but at the beginning of a shot, where everything does."""
    found = []
    for film in films:
        for n in range(FRAMES):
            cut = n > 0 and n % SHOT == 0
            change = 40.0 if cut else 1.0 + n % 3 / 8
            row = {"sample_id": film, "n": n, "pts": n, "key": cut, "damaged": False, "resized": False, "crc": n}
            row |= {
                "mean_y": 100.0,
                "std_y": 40.0,
                "p02_y": 10.0,
                "p98_y": 200.0,
                "d_y": change,
                "d_u": 0.5,
                "d_v": 0.5,
            }
            row |= {"similarity": 0.1 if cut else 0.99, "comes_back": 0.0 if cut else 0.99}
            found.append(row | {"linear_change": 2.0, "linear_residual": 1.0, "linear_corr": 0.0})
    return found


def _steps(films: list[str]) -> Rows:
    """Each film pans faster from shot to shot."""
    motion = {"total": 0.2, "p90": 0.3, "cam_y": 0.0, "zoom": 0.0, "roll": 0.0, "subject": 0.01, "subject_p95": 0.02}
    return [
        {"sample_id": film, "n0": n, "n1": n + 2, "seconds": 2 / FPS, "cam_x": 0.1 * (1 + n // SHOT), **motion}
        for film in films
        for n in range(0, FRAMES - 2, 2)
    ]


def _stills(films: list[str]) -> Rows:
    picture = {"blur": 8.0, "comb": 0.4, "blockiness": 0.2, "phash": 1, "phash_mirrored": 2}
    return [{"sample_id": film, "n": n, "pts": n, **picture} for film in films for n in range(0, FRAMES, FPS // 2)]
