"""The Dagster assets of datasets: ``<dataset>/inventory`` and ``<dataset>/samples``.

Belongs here: declaring the two assets and what users see of them. The work is done by ``inventory.py``, ``samples.py``
and ``duplicates.py``.
"""

from collections import Counter
from collections.abc import Collection
from datetime import UTC, datetime
from functools import partial
from operator import itemgetter

import dagster as dg

from arot_assets.automation import WHOLE, shard_condition
from arot_assets.datasets import duplicates
from arot_assets.datasets import inventory as inventories
from arot_assets.datasets import samples as sample_rows
from arot_assets.datasets.changes import SCHEMA, InventoryChanges
from arot_assets.datasets.declaration import DatasetDeclaration
from arot_assets.datasets.objects import Listing
from arot_assets.datasets.presence import objects_of_shards
from arot_assets.datasets.steps import inventory_path, samples_path
from arot_assets.datasets.turns import Unit, in_turn, work_on
from arot_assets.failures import fails_in_words
from arot_assets.made_here import INVENTORIES, say_once
from arot_assets.metadata import COLUMN_SCHEMA, ROW_COUNT, column_schema, machine_metadata, markdown_table
from arot_assets.shard_progress import ShardProgress
from resources.compute import Compute
from resources.storage import Storage
from resources.tables import INVENTORY, SAMPLES, TableRef, Tables, remove_orphans
from resources.warehouse import Warehouse

SHARDS_PER_RUN = 50


class RetryConfig(dg.Config):
    """Launchpad settings of the sharded tables."""

    retry: str | None = None
    """Compute failed rows again whose status or reason contains this text; "" takes all of them."""


def shard_partitions(dataset: str) -> dg.DynamicPartitionsDefinition:
    """The partitions of every sharded table of a dataset."""
    return dg.DynamicPartitionsDefinition(name=f"{dataset}_shards")


def inventory_key(dataset: str) -> dg.AssetKey:
    """The asset key of a dataset's inventory."""
    return dg.AssetKey(list(inventory_path(dataset)))


def samples_key(dataset: str) -> dg.AssetKey:
    """The asset key of a dataset's samples."""
    return dg.AssetKey(list(samples_path(dataset)))


def dataset_assets(declaration: DatasetDeclaration) -> list[dg.AssetsDefinition]:
    """``inventory`` and ``samples`` of one dataset."""
    return [_inventory(declaration), _samples(declaration)]


def _inventory(declaration: DatasetDeclaration) -> dg.AssetsDefinition:
    dataset = declaration.name

    @dg.asset(
        key=inventory_key(dataset),
        deps=[dg.AssetKey(list(key)) for key in declaration.made_from],
        group_name=dataset,
        kinds={"parquet"},
        owners=declaration.owners,
        description=f"Every object seen at `{declaration.source}`, and the shard that works on it. {declaration.description}",
        metadata={COLUMN_SCHEMA: column_schema(SCHEMA), "source": declaration.source},
        pool=f"{dataset}_inventory",
        automation_condition=WHOLE if declaration.made_from else None,  # otherwise the sensor of its source asks for it
    )
    @fails_in_words
    def inventory(
        context: dg.AssetExecutionContext,
        compute: dg.ResourceParam[Compute],
        storage: dg.ResourceParam[Storage],
        tables: dg.ResourceParam[Tables],
        warehouse: dg.ResourceParam[Warehouse],
    ) -> dg.MaterializeResult:
        say_once(context, compute, INVENTORIES)
        taken: list[tuple[InventoryChanges, Listing]] = []
        in_turn(
            tables,
            [""],
            lambda _: [TableRef(dataset, INVENTORY)],
            lambda _: taken.append(inventories.take_inventory(storage, tables, declaration, datetime.now(UTC))),
            context.run.run_id,
            context.log.info,
        )
        changes, listing = taken[-1]
        shards = sorted(changes.inventory["shard"].unique().to_pylist())
        known = set(shards) - set(
            changes.new_shards
        )  # a new shard can have saved rows only from an earlier dataset of this name
        remove_orphans(tables, dataset, {SAMPLES, *declaration.all_tables}, known)
        _register(context, dataset, shards)
        settled = _settle(context, warehouse, dataset)
        warehouse.refresh()
        for problem in listing.problems:
            context.log.warning(problem)
        if listing.unsettled:
            context.log.warning(f"{len(listing.unsettled)} files are still growing and wait for the next listing")
        if len(shards) > inventories.WARN_SHARDS:
            context.log.warning(f"{len(shards):,} shards are more than Dagster handles well; raise shard_size")
        footer = tables.footer_if_any(TableRef(dataset, INVENTORY)) or {}
        commit = {"commit": footer[inventories.COMMIT]} if footer.get(inventories.COMMIT) else {}
        states = changes.inventory["state"].value_counts().to_pylist()
        return dg.MaterializeResult(
            metadata={
                ROW_COUNT: changes.inventory.num_rows,
                **commit,
                "new": changes.new,
                "changed": changes.changed,
                "gone": changes.gone,
                **settled_metadata(settled),
                "unchanged": changes.unchanged,
                "shards": len(shards),
                "new shards": ", ".join(changes.new_shards) or "none",
                "states": markdown_table(
                    [{"state": s["values"], "objects": s["counts"]} for s in sorted(states, key=itemgetter("values"))]
                ),
                "not included": markdown_table(
                    [{"extension or cause": k, "objects": v} for k, v in sorted(listing.ignored.items())]
                ),
            }
        )

    return inventory


def _register(context: dg.AssetExecutionContext, dataset: str, shards: list[str]) -> None:
    name = str(shard_partitions(dataset).name)
    missing = sorted(set(shards) - set(context.instance.get_dynamic_partitions(name)))
    if missing:
        context.instance.add_dynamic_partitions(name, missing)


def _samples(declaration: DatasetDeclaration) -> dg.AssetsDefinition:
    dataset = declaration.name

    @dg.asset(
        key=samples_key(dataset),
        deps=[inventory_key(dataset)],
        group_name=dataset,
        kinds={"parquet"},
        owners=declaration.owners,
        description="One row for each object: identity by content, header, caption, tags; or the reason it is unusable.",
        metadata={COLUMN_SCHEMA: column_schema(sample_rows.samples_schema(declaration.medium))},
        partitions_def=shard_partitions(dataset),
        backfill_policy=dg.BackfillPolicy.multi_run(SHARDS_PER_RUN),
        code_version=sample_rows.samples_version(declaration),
        automation_condition=shard_condition(inventory_key(dataset)),
    )
    @fails_in_words
    def samples(
        context: dg.AssetExecutionContext,
        config: RetryConfig,
        compute: dg.ResourceParam[Compute],
        storage: dg.ResourceParam[Storage],
        tables: dg.ResourceParam[Tables],
        warehouse: dg.ResourceParam[Warehouse],
    ) -> dg.MaterializeResult:
        results: dict[str, sample_rows.SamplesResult] = {}
        rates: dict[str, dict[str, dg.MetadataValue]] = {}
        sizes = objects_of_shards(warehouse, dataset)
        with ShardProgress(context, dataset, SAMPLES, sizes, "objects", compute.is_local) as progress:

            def done(unit: Unit, result: sample_rows.SamplesResult) -> None:
                results[unit.shard] = result
                context.log.info(f"{dataset}/samples {unit.shard}: {result.rows} rows, {result.read} read")
                rates[unit.shard] = progress.finished(unit.shard, result.read) | machine_metadata(unit.machine)

            work_on(
                compute,
                tables,
                context.partition_keys,
                lambda shard: Unit.of(dataset, shard, [SAMPLES], context.run.run_id),
                partial(sample_rows.build_unit, storage, tables, declaration, config.retry),
                done,
                say=context.log.info,
                sources=declaration.seen_by_all,
            )
        settled = _settle(context, warehouse, dataset, results)
        for shard, result in results.items():
            context.add_asset_metadata(
                metadata={
                    **shard_metadata(storage, warehouse, dataset, shard, result),
                    **rates[shard],
                },
                asset_key=samples_key(dataset),
                partition_key=shard,
            )
        warehouse.refresh()
        return dg.MaterializeResult(metadata=settled_metadata(settled))

    return samples


def _settle(
    context: dg.AssetExecutionContext, warehouse: Warehouse, dataset: str, own: Collection[str] = ()
) -> duplicates.SettlingResult:
    """Determine which of equal objects is the sample, and report the shards that this changes to Dagster.

    The events belong to no run, because automation considers an update handled if it comes from the run itself.

    Args:
        context: of the run.
        warehouse: over the store.
        dataset: whose samples.
        own: shards that this run materializes anyway.
    """

    def announce(shard: str) -> None:
        if shard not in own:
            event = dg.AssetMaterialization(
                samples_key(dataset), partition=shard, description="another copy of equal files is the sample now"
            )
            context.instance.report_runless_asset_event(event)

    settled = duplicates.settle(warehouse, dataset, announce)
    if settled.shards:
        context.log.info(f"{dataset}/samples: {settled}")
    return settled


def settled_metadata(settled: duplicates.SettlingResult) -> dict[str, int]:
    """What settling changed, as metadata for users; empty if it changed nothing."""
    if not settled.shards:
        return {}
    return {"copies that became samples": settled.originals, "rows that became duplicates": settled.duplicates}


def shard_metadata(
    storage: Storage, warehouse: Warehouse, dataset: str, shard: str, result: sample_rows.SamplesResult
) -> dict[str, dg.MetadataValue]:
    """What users see of a shard: counts, failures by reason, a few of its samples."""
    from arot_assets.datasets.places import place_of
    from arot_assets.datasets.report import failure_table, sample_sheet

    table = warehouse.tables.read(TableRef(dataset, SAMPLES, shard))
    statuses = Counter(table["status"].to_pylist())
    metadata: dict[str, dg.MetadataValue] = {
        ROW_COUNT: dg.MetadataValue.int(result.rows),
        "read now": dg.MetadataValue.int(result.read),
        "statuses": markdown_table([{"status": k, "rows": v} for k, v in sorted(statuses.items())]),
        "not ok, by reason": markdown_table(failure_table(table)),
    }
    sheet = sample_sheet(place_of(storage, warehouse, dataset, table["sample_id"].drop_null().to_pylist()), table)
    if sheet is not None:
        metadata["contact sheet"] = dg.MetadataValue.md(sheet)
    return metadata
