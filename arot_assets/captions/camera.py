"""Whether what a caption says of the camera is what was measured of the film or clip itself.

Belongs here: the columns, and how the rule is called. Does not belong here: the rule. It is that of the macros ``clip_motion``
and ``clip_camera_words``, which is read from their file and asked over stored steps, so that there is one.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import pyarrow as pa

from arot_assets.captions.declaration import CaptionsDeclaration
from arot_assets.captions.fields import field_columns
from arot_assets.columns import Column
from arot_assets.project import TEMPLATE

FIELD = "camera"
"""The property of ``fields`` that speaks of the camera."""
STEPS = "steps"
MEASURED = (
    *("n0", "n1", "seconds", "total", "cam_x", "cam_y", "zoom", "roll", "subject", "subject_p95", "subject_area"),
)
COLUMNS = (
    Column(
        "camera_said",
        pa.list_(pa.string()),
        "what the field `camera` names: still, pan, tilt, zoom, roll, handheld; empty if nothing of these",
    ),
    Column(
        "camera_measured", pa.string(), "the same as measured over the whole file; null for one of a picture or two"
    ),
    Column(
        "camera_agrees",
        pa.bool_(),
        "whether one of those said was measured, of pans and tilts in the direction named; null where nothing is said, or "
        "measured",
    ),
)
MACROS = TEMPLATE / "dbt_like_sql" / "macros" / "films.sql"


def speaks_of_camera(declaration: CaptionsDeclaration) -> bool:
    """Whether a captioner of films has a text about the camera."""
    if declaration.stills is None or declaration.fields is None:
        return False
    return any(c.name == FIELD and c.type == pa.string() for c in field_columns(declaration.fields, ()))


def taken(declaration: CaptionsDeclaration) -> tuple[str, ...]:
    """The stored columns that the answer is made from."""
    return (f"{declaration.name}.{FIELD}", *(f"{STEPS}.{name}" for name in MEASURED))


def camera_words(texts: pa.ChunkedArray, steps: Mapping[str, pa.ChunkedArray]) -> dict[str, list[Any]]:
    """The columns of some films or clips.

    Args:
        texts: what is said of N of them.
        steps: ``steps`` column -> N lists of its values, one a step; null for a file without.

    Returns:
        column -> N values.
    """
    import duckdb

    said = pa.table({"k": pa.array(range(len(texts)), pa.int64()), "text": texts, **steps})
    values = ", ".join(f"unnest({name}) as {name}" for name in steps)
    with duckdb.connect() as con:
        con.register("said", said)
        con.execute(
            "create table files as select k as sample_id, k as clip_id, 'ok' as status, text as camera from said"
        )
        con.execute("create table clips as select *, 0 as start_n, 2147483647 as end_n from files")
        con.execute(f"create table steps as select k as sample_id, {values} from said")
        con.execute(f"create table motion as select * from {_rule().clip_motion('clips', 'steps')}")
        words = _rule().clip_camera_words("files", FIELD, "files", "motion")
        rows = con.execute(
            f"""select w.said, m.camera_kind, w.agrees from motion m
            left join {words} w on w.sample_id = m.clip_id order by m.clip_id"""
        ).fetchall()
    return {column.name: [row[i] for row in rows] for i, column in enumerate(COLUMNS)}


@cache
def _rule() -> Any:
    """The two macros, as functions that give SQL."""
    from jinja2.sandbox import SandboxedEnvironment

    text = MACROS.read_text(encoding="utf-8")
    blocks = [
        found[0]
        for name in ("clip_motion", "clip_camera_words")
        if (found := re.search(rf"\{{% macro {name}\(.*?\{{%- endmacro %\}}", text, re.DOTALL))
    ]
    return SandboxedEnvironment().from_string("\n".join(blocks)).module
