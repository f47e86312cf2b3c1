"""Why rows are not usable, counted.

Belongs here: what ``arot status`` and ``arot demo`` show about failed rows, and about files of another kind. Does not
belong here: what is done and what is missing (the rooms' ``steps.py``).
"""

from arot_assets.reasons import OBJECT
from resources.defaults import Resources
from resources.warehouse.views import literal, quote


def failures_by_reason(resources: Resources, dataset: str, table: str) -> list[tuple[str, int]]:
    """Rows of present objects that failed, or are of another kind of file (``unsupported: …``), by reason without the object's
    name, most frequent first.
    """
    if not resources.tables.shards(dataset, table):
        return []
    with resources.warehouse.connect() as con:
        return con.execute(
            f"""select status || ': ' || regexp_replace(coalesce(reason, ''), {literal(OBJECT)}, '…', 'g'), count(*)
            from {quote(dataset)}.{quote(table)}
            where status not in ('ok', 'duplicate') group by 1 order by 2 desc, 1"""
        ).fetchall()
