"""Checks of metric tables: conservation (blocking) and value ranges.

Belongs here: one check per rule and table, answered by SQL over the store.
"""

from collections.abc import Iterator

import dagster as dg

from arot_assets.datasets.checks import conservation_result
from arot_assets.datasets.conservation import compare_keys
from arot_assets.datasets.declaration import DatasetDeclaration
from arot_assets.datasets.steps import CONSERVATION
from arot_assets.failures import fails_in_words
from arot_assets.media.wants import FRAMES, SOUND
from arot_assets.metadata import markdown_table
from arot_assets.metrics.assets.spec import metric_key
from arot_assets.metrics.children import FRAME, SAMPLE, is_conserved, own_tables
from arot_assets.metrics.conservation import rows_conserved, up_to_date
from arot_assets.metrics.registry import get_metric
from arot_assets.metrics.steps import VALUES_IN_RANGE, has_ranges
from arot_assets.metrics.table_builder import MetricTable
from resources.tables import Tables
from resources.warehouse import Warehouse
from resources.warehouse.views import files, quote


def metric_checks(declaration: DatasetDeclaration) -> Iterator[dg.AssetChecksDefinition]:
    """The checks of every metric table of a dataset."""
    if declaration.medium.tables:
        yield from _checks_of_files(declaration)
        return
    for name in declaration.metrics:
        yield conservation_check(declaration.name, name)
        metric = get_metric(name)
        if has_ranges(metric):
            yield _values_in_range(declaration.name, metric)


def _checks_of_files(declaration: DatasetDeclaration) -> Iterator[dg.AssetChecksDefinition]:
    """The same for tables of which a file has many rows: every file is there, with as many frames as were decoded."""
    dataset, tables = declaration.name, own_tables(declaration.medium)
    for table in tables:
        if table.has_ranges:
            yield _values_in_range(dataset, table)
        if table.grain == SAMPLE:
            yield conservation_check(dataset, table.name)
        elif is_conserved(table):
            yield _children_check(dataset, table.name, table.grain, tables[-1].name)
    for name in declaration.metrics:
        metric = get_metric(name)
        if metric.takes == FRAMES:
            yield _children_check(dataset, name, FRAME, tables[-1].name)
        else:
            yield conservation_check(dataset, name, several=metric.takes != SOUND)
        if has_ranges(metric):
            yield _values_in_range(dataset, metric)


def _children_check(dataset: str, table: str, grain: str, last: str) -> dg.AssetChecksDefinition:
    """Rows for every file that could be decoded; if they are frames, as many as were decoded, unless the file failed."""
    rows = "frames_decoded as n" if grain == FRAME else "1 as n"
    number = "count(*) as n" if grain == FRAME else "1 as n"

    @dg.asset_check(
        asset=metric_key(dataset, table),
        additional_deps=[metric_key(dataset, last)],
        name=CONSERVATION,
        blocking=True,
        description="Rows for every film that was decoded, of every shard that is up to date; a row for every frame.",
    )
    @fails_in_words
    def conservation(tables: dg.ResourceParam[Tables], warehouse: dg.ResourceParam[Warehouse]) -> dg.AssetCheckResult:
        done = set(up_to_date(tables, dataset, table)) & set(up_to_date(tables, dataset, last))
        within = ", ".join(f"'{shard}'" for shard in sorted(done)) or "''"
        whole, parts = (
            f"(select *, parse_filename(filename, true) as shard from {files(tables, dataset, name, named=True)})"
            for name in (last, table)
        )
        failed = f"select sample_id, shard from {parts} where n is null"
        expected = f"select sample_id, shard, {rows} from {whole} where status = 'ok' and shard in ({within})"
        expected = f"select * from ({expected}) anti join ({failed}) using (sample_id, shard)"
        found = (
            f"select sample_id, shard, {number} from {parts} where n is not null and shard in ({within}) group by all"
        )
        return conservation_result(compare_keys(warehouse, expected, found, ("sample_id", "shard", "n")))

    return conservation


def conservation_check(dataset: str, table: str, several: bool = False) -> dg.AssetChecksDefinition:
    """Exactly one row for every ok sample of a present object, in every shard that is up to date; or one or more, if a
    sample may have several; see ``rows_conserved``.
    """

    @dg.asset_check(
        asset=metric_key(dataset, table),
        name=CONSERVATION,
        blocking=True,
        description="Exactly one row for every ok sample that is present, of every shard that is up to date.",
    )
    @fails_in_words
    def conservation(warehouse: dg.ResourceParam[Warehouse]) -> dg.AssetCheckResult:
        return conservation_result(rows_conserved(warehouse, dataset, table, several))

    return conservation


def _values_in_range(dataset: str, metric: MetricTable) -> dg.AssetChecksDefinition:
    bounded = [c for c in metric.columns if c.low is not None or c.high is not None]

    @dg.asset_check(
        asset=metric_key(dataset, metric.name),
        name=VALUES_IN_RANGE,
        description="Every value of an ok row is a number within the range that its column documents, or null where it may be.",
    )
    @fails_in_words
    def values_in_range(
        warehouse: dg.ResourceParam[Warehouse], tables: dg.ResourceParam[Tables]
    ) -> dg.AssetCheckResult:
        counts = []
        for column in bounded:
            name = quote(column.name)
            rules = [f"isnan({name}::double)", *([] if column.nullable else [f"{name} is null"])]
            rules += [f"{name} < {column.low!r}"] if column.low is not None else []
            rules += [f"{name} > {column.high!r}"] if column.high is not None else []
            counts.append(f"count(*) filter ({' or '.join(rules)})")
        found = files(tables, dataset, metric.name)
        (row,) = warehouse.rows(f"select {', '.join(counts)} from {found} where status = 'ok'")
        bad = [
            {"column": c.name, "allowed": f"{c.low} to {c.high}", "rows outside": n}
            for c, n in zip(bounded, row, strict=True)
            if n
        ]
        return dg.AssetCheckResult(
            passed=not bad, severity=dg.AssetCheckSeverity.WARN, metadata={"columns": markdown_table(bad)}
        )

    return values_in_range
