"""Filling the tables of media whose files have many stills: which files are missing, one decode for all their tables,
each written in one step.

Belongs here: file-level increments of one shard. Does not belong here: how a file is measured (``file_pass.py``),
tables with one row a sample (``build.py``), Dagster.

What ``table_builder.py`` says of rows holds here of files: a file's rows are current if they are of the table's version, they
are looked for in other shards by content, and finished files are saved while work goes on. The medium's own tables
belong together: a file has its rows in all of them, which its row in the last one says.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.datasets.declaration import DatasetDeclaration
from arot_assets.datasets.presence import Copies, Shards, present_uris
from arot_assets.datasets.reach import reaching
from arot_assets.media.wants import SOUND, TABLES
from arot_assets.metrics.build import reading, told_when_stopped
from arot_assets.metrics.children import SAMPLE, FileTable, file_tables
from arot_assets.metrics.file_pass import file_pass
from arot_assets.metrics.metric import Metric
from arot_assets.metrics.one_pass import Item
from arot_assets.metrics.sharing import loaded_models, passes
from arot_assets.metrics.table_builder import MetricResult, TableBuilder, start_table, write_table
from arot_assets.progress import track
from resources.storage import Storage
from resources.tables import GRAIN, SAMPLES, TableRef
from resources.tables.keeping import Keeping
from resources.warehouse import Warehouse

if TYPE_CHECKING:
    from resources.models import Models


def build_files(
    storage: Storage,
    warehouse: Warehouse,
    models: "Models",
    declaration: DatasetDeclaration,
    shard: str,
    metrics: Sequence[Metric],
    own: bool = True,
    retry: str | None = None,
    shards: Shards | None = None,
) -> dict[str, MetricResult]:
    """Bring the medium's tables and those of some metrics up to date for one shard, in one decode of the files that
    need it.

    Args:
        storage: reaches the files.
        warehouse: over the lake.
        models: loads what model metrics need.
        declaration: the dataset.
        shard: the shard's name; its samples must be there.
        metrics: what to measure on stills.
        own: whether the medium's own tables are wanted.
        retry: None keeps failed files; otherwise failed rows whose reason contains this text are computed again.
        shards: of the dataset, where the builds of several shards share what it finds.

    Returns:
        table -> its result.

    Raises:
        StorageError: the store cannot be written; the existing tables are kept.
    """
    dataset, medium, tables = declaration.name, declaration.medium, warehouse.tables
    columns = [column.name for column in medium.columns]
    ref = TableRef(dataset, SAMPLES, shard)
    digest = tables.footer(ref)["samples_digest"]  # first: of rows that change meanwhile this is outdated
    samples = tables.read(ref, columns=["sample_id", "uri", "status", *columns])
    ok = samples.filter(pc.equal(samples["status"], "ok")).to_pylist()
    uris = {row["sample_id"]: row["uri"] for row in ok}
    present = present_uris(warehouse, dataset, shard)
    wanted = [t for t in file_tables(medium, metrics, models) if own or t.metric is not None]
    shards = shards or Shards(warehouse, dataset)
    growing = {t.name: start_table(tables, dataset, shard, t, t.version, uris, retry, shards) for t in wanted}
    _agree(wanted, growing)
    todo = [
        Item(row["sample_id"], row["uri"], needed, {name: row[name] for name in columns})
        for row in ok
        if row["uri"] in present
        and (needed := frozenset(name for name, one in growing.items() if row["sample_id"] not in one.done))
    ]
    if todo:
        _fill(reaching(storage, declaration), warehouse, models, declaration, shard, wanted, growing, todo)
    for table in wanted:
        one = growing[table.name]
        if one.result.error:
            one.keep()
            continue
        many = table.grain != SAMPLE
        of = {"samples_digest": digest, **({GRAIN: table.grain} if many else {})}
        write_table(tables, dataset, shard, one, list(uris), of, many=many)
    for one in growing.values():
        if not one.result.error:
            one.unfinished.clear()
    return {name: one.result for name, one in growing.items()}


def _agree(wanted: Sequence[FileTable], growing: Mapping[str, TableBuilder]) -> None:
    """Leave out rows of the medium's tables that another of them lacks, because work was stopped between the two."""
    own = [growing[t.name] for t in wanted if t.want == TABLES]
    if not own:
        return
    whole = own[-1].done
    for one in own[:-1]:
        one.parts = [
            part.filter(pc.is_in(part["sample_id"], value_set=pa.array(list(whole), pa.string()))) for part in one.parts
        ]
        one.done = set(whole)


def _fill(
    storage: Storage,
    warehouse: Warehouse,
    models: "Models",
    declaration: DatasetDeclaration,
    shard: str,
    wanted: Sequence[FileTable],
    growing: Mapping[str, TableBuilder],
    todo: Sequence[Item],
) -> None:
    """One pass, or one for each group of models that fit into memory together; the medium's tables are filled by the
    first."""
    by_name = {table.name: table for table in wanted}
    metrics = {t.name: t.metric for t in wanted if t.metric is not None}
    needed = [metrics[n] for n in metrics if any(n in item.metrics for item in todo)]
    groups = passes(models, needed) or [frozenset()]
    own = frozenset(name for name in by_name if name not in metrics)
    copies = Copies(warehouse, declaration.name, [item.sample_id for item in todo])
    for k, names in enumerate(groups):
        with loaded_models(models, [metrics[name] for name in names], warehouse.tables) as (loaded, failed):
            for name, error in failed.items():
                growing[name].result.error = error
            left = (names - failed.keys()) | (own if k == 0 else frozenset())
            items = [replace(item, metrics=item.metrics & left) for item in todo if item.metrics & left]
            if not items:
                continue
            before = {name: model.usage for name, model in loaded.items()}
            frames = sum(item.facts.get("frames_expected") or 0 for item in items)
            work = "heard" if all(by_name[name].want == SOUND for name in left) else "decoded"
            title = f"{declaration.name} {shard}: frames {work} for {', '.join(sorted(left))}"

            def keep() -> None:
                for one in growing.values():
                    one.keep()

            with (
                track(title, frames) as advance,
                reading(storage, declaration.medium, items, copies) as read,
                closing(
                    file_pass(
                        items,
                        by_name,
                        read,
                        loaded,
                        medium=declaration.medium,
                        limits=declaration.limits,
                        advance=advance,
                    )
                ) as results,
                told_when_stopped(declaration.name, shard, growing),
                Keeping(keep) as keeping,
            ):
                for result in results:
                    for name, error in result.broken.items():
                        growing[name].result.error = error
                    with keeping.adding():
                        for name, rows in result.tables.items():  # the medium's last table after its others
                            growing[name].add_file(result.sample_id, rows)
            for name in left:
                metric = by_name[name].metric
                if metric is not None and metric.model:
                    growing[name].result.model = loaded[metric.model].report(before[metric.model])
