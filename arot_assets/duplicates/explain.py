"""Of whom a sample is a duplicate, and who is a duplicate of it, in words.

Belongs here: the texts of `arot explain`. Does not belong here: finding duplicates.
"""

from resources.warehouse import Connection
from resources.warehouse.views import quote

MOST = 10


def duplicates_of(con: Connection, sample_id: str) -> list[str]:
    """A line for each: who stays in its place, and the members of its own group; none without duplicates.

    Args:
        con: a connection with the views of the catalogue.
        sample_id: 32 hex digits.
    """
    views = con.execute("select schema_name from duckdb_views() where view_name = 'duplicates' order by 1").fetchall()
    lines = []
    for (schema,) in views:
        dataset = quote(schema)
        rows = con.execute(
            f"""select d.sample_id = ? as own, coalesce(s.uri, d.sample_id), d.kind, d.distance
            from {dataset}.duplicates d
            left join {dataset}.samples s
                on s.status = 'ok' and s.sample_id = case when d.sample_id = ? then d.kept else d.sample_id end
            where not d.stays and (d.sample_id = ? or d.kept = ?) order by own desc, d.distance, 2 limit {MOST}""",
            [sample_id] * 4,
        ).fetchall()
        for own, uri, kind, distance in rows:
            who = "it is a duplicate of" if own else "a duplicate of it:"
            lines.append(f"{who} {uri}  ({kind}, {_apart(kind, distance)})")
    return lines


def _apart(kind: str, distance: float) -> str:
    if kind == "embedding":
        return f"cosine {1 - distance:.3f}"
    return "equal pixels" if kind == "pixels" else f"{int(distance)} bits apart"
