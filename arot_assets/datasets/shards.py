"""Progress of a sharded table: what is done and what is missing; reads footers, and counts the rows of views.

Belongs here: the comparison shared by all tables with one file per shard. Does not belong here: what "current" means
for a particular table (its room's ``steps.py``).
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping

from arot_assets.steps import Look, State
from resources.tables import INVENTORY, TableRef
from resources.tables.tables import Footer
from resources.warehouse.views import files, quote

LOST = "lost"
"""Footer key: the failed samples that had a value of an earlier version (JSON)."""
NOT_FAILED = ("ok", "duplicate", "unsupported", "forgotten")
"""Statuses that another attempt would not change: ok samples, duplicates, files of another kind, and what was taken down."""
FAILED_ROWS, OUTSIDE_ROWS = "failed", "outside"


def objects_of(look: Look, dataset: str) -> dict[tuple[str, str], int] | None:
    """(state, shard) -> objects in the inventory; None before the first one."""

    def count() -> dict[tuple[str, str], int] | None:
        tables = look.resources.tables
        if not tables.exists(TableRef(dataset, INVENTORY)):
            return None
        found = files(tables, dataset, INVENTORY)
        rows = look.resources.warehouse.rows(f"select state, shard, count(*) from {found} group by all order by all")
        return {(state, shard): objects for state, shard, objects in rows}

    return look.once(("objects", dataset), count)


def shards_of(look: Look, dataset: str) -> tuple[str, ...]:
    """The planned shards of the inventory, in order."""
    return tuple(sorted({shard for _, shard in objects_of(look, dataset) or ()}))


def footers_of(look: Look, dataset: str, table: str) -> dict[str, Footer]:
    """Shard -> its file's footer."""
    return look.once(("footers", dataset, table), lambda: look.resources.tables.footers(dataset, table))


def sharded_state(
    look: Look,
    dataset: str,
    table: str,
    wanted: Callable[[str], Mapping[str, str] | None],
    failed: Callable[[Mapping[str, str]], int] = lambda footer: int(footer.get(FAILED_ROWS, "0")),
) -> State:
    """The state of a table with one file per shard: a shard is done if its footer has all the wanted values.

    Args:
        look: the store.
        dataset: whose shards.
        table: the table's name.
        wanted: shard -> the footer of a current file; None if its inputs do not exist.
        failed: footer -> number of failed rows.
    """
    shards = shards_of(look, dataset)
    known = objects_of(look, dataset) is not None
    footers = footers_of(look, dataset, table)
    missing, failing, lost = [], [], 0
    outside: Counter[str] = Counter()
    for shard in shards:
        footer, expected = footers.get(shard), wanted(shard)
        if (
            footer is None
            or expected is None
            or any(footer.strings.get(key) != value for key, value in expected.items())
        ):
            missing.append(shard)
            continue
        failing += [shard] if failed(footer.strings) else []
        outside.update(json.loads(footer.strings.get(OUTSIDE_ROWS, "{}")))
        lost += len(json.loads(footer.strings.get(LOST, "[]")))
    shown = statuses_of(look, dataset, table) if len(missing) < len(shards) else {}
    return State(
        current=known and not missing,
        shards=shards,
        missing=tuple(missing),
        failing=tuple(failing),
        rows=sum(shown.values()),
        failed=sum(rows for status, rows in shown.items() if status not in NOT_FAILED),
        outside=dict(outside),
        lost=lost,
        waits=() if known else (f"{dataset}/{INVENTORY}",),
    )


def statuses_of(look: Look, dataset: str, table: str) -> Mapping[str, int]:
    """Status -> rows that the view shows: objects that disappeared are still in the files, but not counted."""

    def count() -> Mapping[str, int]:
        query = f"select status, count(*) from {quote(dataset)}.{quote(table)} group by 1"
        return dict(look.connection().execute(query).fetchall())

    return look.once(("statuses", dataset, table), count)
