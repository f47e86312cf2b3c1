"""Why rows are not usable, counted.

Belongs here: what ``arot status`` and ``arot demo`` show about failed rows, and about files of another kind. Does not
belong here: what is done and what is missing (the rooms' ``steps.py``).
"""

from arot_assets.datasets.shards import statuses_of
from arot_assets.reasons import OBJECT
from arot_assets.steps import Look
from resources.warehouse.views import literal, quote

GOOD = {"ok", "duplicate"}
"""Statuses of rows that need no reason."""


def failures_by_reason(look: Look, dataset: str, table: str) -> list[tuple[str, int]]:
    """Rows of present objects that failed, or are of another kind of file (``unsupported: …``), by reason without the object's
    name, most frequent first.
    """
    if not look.resources.tables.shards(dataset, table) or statuses_of(look, dataset, table).keys() <= GOOD:
        return []
    return (
        look.connection()
        .execute(
            f"""select status || ': ' || regexp_replace(coalesce(reason, ''), {literal(OBJECT)}, '…', 'g'), count(*)
            from {quote(dataset)}.{quote(table)}
            where status not in {tuple(GOOD)} group by 1 order by 2 desc, 1"""
        )
        .fetchall()
    )
