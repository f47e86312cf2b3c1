"""Checks of metric tables: conservation (blocking) and value ranges.

Belongs here: one check per rule and table, answered by SQL over the store.
"""

from collections.abc import Iterator

import dagster as dg

from arot_assets.datasets.checks import conservation_result
from arot_assets.datasets.declaration import DatasetDeclaration
from arot_assets.datasets.steps import CONSERVATION
from arot_assets.failures import fails_in_words
from arot_assets.metadata import markdown_table
from arot_assets.metrics.assets import metric_key
from arot_assets.metrics.metric import Metric
from arot_assets.metrics.registry import get_metric
from arot_assets.metrics.steps import VALUES_IN_RANGE, has_ranges
from resources.tables import SAMPLES, Tables
from resources.warehouse import Warehouse
from resources.warehouse.views import departed, files, quote


def metric_checks(declaration: DatasetDeclaration) -> Iterator[dg.AssetChecksDefinition]:
    """The checks of every metric table of a dataset."""
    for name in declaration.metrics:
        yield conservation_check(declaration.name, name)
        metric = get_metric(name)
        if has_ranges(metric):
            yield _values_in_range(declaration.name, metric)


def conservation_check(dataset: str, table: str) -> dg.AssetChecksDefinition:
    """Exactly one row for every ok sample of a present object, in every shard that is up to date.

    An object that left is no work any more: its rows may stay, and no view shows them. A shard whose samples changed since (a
    run beside this one read or settled them) is work that is known to be missing, and no loss.
    """

    @dg.asset_check(
        asset=metric_key(dataset, table),
        name=CONSERVATION,
        blocking=True,
        description="Exactly one row for every ok sample that is present, of every shard that is up to date.",
    )
    @fails_in_words
    def conservation(tables: dg.ResourceParam[Tables], warehouse: dg.ResourceParam[Warehouse]) -> dg.AssetCheckResult:
        done = ", ".join(f"'{shard}'" for shard in _up_to_date(tables, dataset, table)) or "''"
        ok = f"select sample_id, uri, shard from {files(tables, dataset, 'samples')} where status = 'ok' and shard in ({done})"
        expected = f"select sample_id, shard from ({ok}) anti join ({departed(tables, dataset)}) using (uri, shard)"
        left = f"select sample_id, shard from ({ok}) semi join ({departed(tables, dataset)}) using (uri, shard)"
        rows = f"select sample_id, parse_filename(filename, true) as shard from {files(tables, dataset, table, named=True)}"
        found = f"select * from ({rows}) anti join ({left}) using (sample_id, shard) where shard in ({done})"
        return conservation_result(warehouse, expected, found, ("sample_id", "shard"))

    return conservation


def _up_to_date(tables: Tables, dataset: str, table: str) -> list[str]:
    """The shards whose table is of the samples that are there now."""
    samples = tables.footers(dataset, SAMPLES)
    return [
        shard
        for shard, footer in tables.footers(dataset, table).items()
        if shard in samples and footer.strings.get("samples_digest") == samples[shard].strings["samples_digest"]
    ]


def _values_in_range(dataset: str, metric: Metric) -> dg.AssetChecksDefinition:
    bounded = [c for c in metric.columns if c.low is not None or c.high is not None]

    @dg.asset_check(
        asset=metric_key(dataset, metric.name),
        name=VALUES_IN_RANGE,
        description="Every value of an ok row is a number within the range that its column documents.",
    )
    @fails_in_words
    def values_in_range(
        warehouse: dg.ResourceParam[Warehouse], tables: dg.ResourceParam[Tables]
    ) -> dg.AssetCheckResult:
        counts = []
        for column in bounded:
            name = quote(column.name)
            rules = [f"{name} is null", f"isnan({name}::double)"]
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
