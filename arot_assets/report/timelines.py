"""How much each frame of a film differs from the one before, over time, with the boundaries that a SQL model found.

Belongs here: choosing films, querying, one drawing a film. Does not belong here: the drawing itself (``drawing.py``), where
boundaries are (the macro ``boundaries``).
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape

import numpy as np

from arot_assets.drawing import data_uri, timeline
from arot_assets.local_paths import LocalPaths
from resources.tables import Tables
from resources.warehouse import Connection
from resources.warehouse.views import literal, quote

FRAMES = "frames"
MARKS = ("sample_id", "start_n", "end_n", "kind", "found_by", "score")
"""The columns by which a model of boundaries is known."""
FILMS = 24


@dataclass(frozen=True)
class Timeline:
    """The drawing of a film.

    Attributes:
        uri: the film.
        picture: a PNG.
        boundaries: how many of each kind.
    """

    uri: str
    picture: bytes
    boundaries: dict[str, int]


def timelines(con: Connection, tables: Tables, dataset: str, most: int = FILMS) -> Iterator[Timeline]:
    """One drawing each for the films of a dataset that have most boundaries; none for a dataset without frames.

    Args:
        con: a connection of the warehouse.
        tables: the store's tables.
        dataset: its name.
        most: films.
    """
    if not tables.shards(dataset, FRAMES):
        return
    marks = _marks(con)
    found = (
        f"(select sample_id, count(*) as found from {marks} group by 1)"
        if marks
        else "(select '' as sample_id, 0 as found)"
    )
    films = con.execute(f"""select s.sample_id, s.uri from {quote(dataset)}.samples s left join {found} b using (sample_id)
        where s.status = 'ok' order by coalesce(b.found, 0) desc, s.uri limit {most}""").fetchall()
    for sample, uri in films:
        steps = con.execute(
            f"""select coalesce((d_y + 2 * (d_u + d_v)) / 2, 0) from {quote(dataset)}.{FRAMES}
            where sample_id = ? and status = 'ok' order by n""",
            [sample],
        ).fetchall()
        own = f"select start_n, end_n, kind from {marks} where sample_id = ? order by start_n"
        spans = con.execute(own, [sample]).fetchall() if marks else []
        if steps:
            picture = timeline(np.array([step for (step,) in steps], np.float64), spans)
            yield Timeline(uri, picture, dict(Counter(kind for _, _, kind in spans)))


def _marks(con: Connection) -> str:
    """The first SQL model with the columns of boundaries; empty if there is none."""
    names = ", ".join(literal(name) for name in MARKS)
    rows = con.execute(
        f"""select table_name from duckdb_columns() where schema_name = 'main' and column_name in ({names})
        group by 1 having count(*) = {len(MARKS)} order by 1"""
    ).fetchall()
    return f"main.{quote(rows[0][0])}" if rows else ""


def section(drawn: Iterable[Timeline], paths: LocalPaths) -> str:
    """The drawings as a part of a page, without local paths; empty if there are none."""
    figures = []
    for one in drawn:
        name = escape(paths.removed(one.uri).rsplit("/", 1)[-1])
        told = ", ".join(f"{count:,} {escape(kind)}" for kind, count in one.boundaries.items()) or "no boundary"
        figures.append(f"<p>{name}: {told}<br><img alt='changes of {name}' src='{data_uri(one.picture)}'></p>")
    if not figures:
        return ""
    head = (
        "<h2 id=timelines>Changes over time</h2><p class=advice>How much each frame differs from the one before, in gray "
        "levels; lines are cuts, fields are dissolves, fades and damage.</p>"
    )
    return f"{head}{''.join(figures)}\n"
