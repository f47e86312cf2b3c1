"""Whether a table has every row that it must have, and no other.

Belongs here: the comparison, and that of ``samples`` with the inventory. Does not belong here: how Dagster shows it
(``checks.py``), metric tables (``arot_assets.metrics.conservation``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resources.tables import INVENTORY, SAMPLES
from resources.warehouse import Warehouse
from resources.warehouse.views import files

EXAMPLES = 10


@dataclass(frozen=True)
class ConservationResult:
    """What a comparison found.

    Attributes:
        expected: number of rows that must be there.
        lost: how many of them are not.
        extra: how many others are.
        examples: a few of both: the key's columns and ``problem``.
    """

    expected: int
    lost: int
    extra: int
    examples: Sequence[Mapping[str, Any]]

    @property
    def holds(self) -> bool:
        """Whether nothing is lost and nothing is too many."""
        return self.lost == 0 and self.extra == 0

    def __str__(self) -> str:
        """In words."""
        return f"{self.expected:,} rows expected, {self.lost:,} lost, {self.extra:,} too many"


def compare_keys(warehouse: Warehouse, expected: str, found: str, key: Sequence[str]) -> ConservationResult:
    """Compare two sets of keys.

    Args:
        warehouse: runs the queries.
        expected: query for the keys that must be present, each exactly once.
        found: query for the keys that are present.
        key: the columns of both queries.
    """
    columns = ", ".join(key)
    sums = f"count(*), coalesce(sum(hash({columns})), 0)::varchar, coalesce(bit_xor(hash({columns})), 0)::varchar"
    ((*of_expected, count, sum_of_found, xor_of_found),) = warehouse.rows(
        f"select * from (select {sums} from ({expected})), (select {sums} from ({found}))"
    )
    if of_expected == [count, sum_of_found, xor_of_found]:  # the same keys; to look at each takes ten times as long
        return ConservationResult(count, 0, 0, [])
    rows = warehouse.rows(
        f"""
        with expected as ({expected}), found as ({found}),
        lost as (select {columns}, 'lost' as problem from expected except all select {columns}, 'lost' from found),
        extra as (select {columns}, 'extra' as problem from found except all select {columns}, 'extra' from expected)
        select *, (select count(*) from lost), (select count(*) from extra), (select count(*) from expected)
        from (select 1) left join (from lost union all from extra) on true limit {EXAMPLES}
        """
    )
    lost, extra, total = rows[0][-3:]
    examples = [dict(zip((*key, "problem"), row[1:-3], strict=True)) for row in rows if row[-4] is not None]
    return ConservationResult(total, lost, extra, examples)


def samples_conserved(warehouse: Warehouse, dataset: str) -> ConservationResult:
    """Exactly one row of ``samples`` for every object of every shard that has been processed."""
    tables = warehouse.tables
    done = ", ".join(f"'{shard}'" for shard in tables.shards(dataset, SAMPLES)) or "''"
    expected = f"select uri, shard from {files(tables, dataset, INVENTORY)} where shard in ({done})"
    return compare_keys(
        warehouse, expected, f"select uri, shard from {files(tables, dataset, SAMPLES)}", ("uri", "shard")
    )
