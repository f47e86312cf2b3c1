"""Checks of datasets: nothing is lost.

Belongs here: the conservation check of ``samples`` and the SQL that every conservation check shares.
"""

from collections.abc import Iterator, Sequence

import dagster as dg

from arot_assets.datasets.assets import samples_key
from arot_assets.datasets.declaration import DatasetDeclaration
from arot_assets.datasets.steps import CONSERVATION
from arot_assets.failures import fails_in_words
from arot_assets.metadata import markdown_table
from resources.tables import INVENTORY, SAMPLES, Tables
from resources.warehouse import Warehouse
from resources.warehouse.views import files

EXAMPLES = 10


def dataset_checks(declaration: DatasetDeclaration) -> Iterator[dg.AssetChecksDefinition]:
    """The checks of one dataset."""
    yield _samples_conservation(declaration.name)


def _samples_conservation(dataset: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=samples_key(dataset),
        name=CONSERVATION,
        blocking=True,
        description="Exactly one row for every object of every shard that has been processed.",
    )
    @fails_in_words
    def conservation(tables: dg.ResourceParam[Tables], warehouse: dg.ResourceParam[Warehouse]) -> dg.AssetCheckResult:
        done = ", ".join(f"'{shard}'" for shard in tables.shards(dataset, SAMPLES)) or "''"
        expected = f"select uri, shard from {files(tables, dataset, INVENTORY)} where shard in ({done})"
        found = f"select uri, shard from {files(tables, dataset, SAMPLES)}"
        return conservation_result(warehouse, expected, found, ("uri", "shard"))

    return conservation


def conservation_result(warehouse: Warehouse, expected: str, found: str, key: Sequence[str]) -> dg.AssetCheckResult:
    """Compare two sets of keys.

    Args:
        warehouse: runs the queries.
        expected: query for the keys that must be present, each exactly once.
        found: query for the keys that are present.
        key: the columns of both queries.
    """
    columns = ", ".join(key)
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
    return dg.AssetCheckResult(
        passed=lost == 0 and extra == 0,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{total:,} rows expected, {lost:,} lost, {extra:,} too many",
        metadata={"expected": total, "lost": lost, "extra": extra, "examples": markdown_table(examples)},
    )
