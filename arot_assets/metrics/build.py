"""Filling metric tables: find the rows that are missing, compute only those, write each table in one step.

Belongs here: the pass over one shard that fills several tables. Does not belong here: which rows are current
(``table_builder.py``), how a file is measured (``one_pass.py``), Dagster.

A moved file is measured where it is now, in its new shard. Regularly (``Keeping``), and when the work is stopped, finished
rows are saved beside the table, which is replaced when it is complete.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from arot_assets.datasets.ahead import ReadAhead
from arot_assets.datasets.declaration import DatasetDeclaration
from arot_assets.datasets.presence import Copies, Shards, present_uris
from arot_assets.datasets.reach import reaching, reader
from arot_assets.media.file import Content
from arot_assets.media.medium import Medium
from arot_assets.metrics.metric import Metric, Row
from arot_assets.metrics.one_pass import Item, MeasurementFailure, ModelFailure, one_pass
from arot_assets.metrics.sharing import loaded_models, passes
from arot_assets.metrics.table_builder import MetricResult, TableBuilder, start_table, write_table
from arot_assets.progress import kept, track
from resources.parallel import fetching_threads
from resources.storage import Storage
from resources.storage.objects import is_local
from resources.tables import SAMPLES, TableRef, Tables
from resources.tables.keeping import Keeping
from resources.warehouse import Warehouse

if TYPE_CHECKING:
    from resources.models import Models
    from resources.models.runner import Runner


def metric_versions(metrics: Iterable[Metric], models: "Models", medium: Medium) -> dict[str, str]:
    """The version that current rows of each metric carry; loads no model."""
    return {m.name: m.metric_version(models.fingerprint(m.model) if m.model else "", medium.decoder) for m in metrics}


def build_metrics(
    storage: Storage,
    warehouse: Warehouse,
    models: "Models",
    declaration: DatasetDeclaration,
    shard: str,
    metrics: Sequence[Metric],
    retry: str | None = None,
    shards: Shards | None = None,
) -> dict[str, MetricResult]:
    """Bring the tables of some metrics up to date for one shard, in one pass over the files that need it.

    Args:
        storage: reaches the files.
        warehouse: over the lake.
        models: loads what model metrics need, when the first file needs it.
        declaration: the dataset.
        shard: the shard's name; its samples must be there.
        metrics: what to measure.
        retry: None keeps failed rows; otherwise failed rows whose reason contains this text are computed again.
        shards: of the dataset, where the builds of several shards share what it finds.

    Returns:
        metric name -> its result.

    Raises:
        StorageError: the store cannot be written; the existing tables are kept.
        ModelError: a model cannot be loaded.
    """
    dataset, medium = declaration.name, declaration.medium
    own = [column.name for column in medium.columns]
    columns = ["sample_id", "uri", "status", *own]
    tables, ref = warehouse.tables, TableRef(dataset, SAMPLES, shard)
    digest = tables.footer(ref)[
        "samples_digest"
    ]  # first: of rows that change meanwhile this is outdated, and told to be
    samples = tables.read(ref, columns=columns)
    ok = samples.filter(pc.equal(samples["status"], "ok")).to_pylist()
    uris = {row["sample_id"]: row["uri"] for row in ok}
    present = present_uris(warehouse, dataset, shard)
    shards = shards or Shards(warehouse, dataset)
    versions = metric_versions(metrics, models, medium)
    growing = {m.name: start_table(tables, dataset, shard, m, versions[m.name], uris, retry, shards) for m in metrics}
    todo = [
        Item(row["sample_id"], row["uri"], needed, {name: row[name] for name in own})
        for row in ok
        if row["uri"] in present
        and (needed := frozenset(name for name, g in growing.items() if row["sample_id"] not in g.done))
    ]
    if todo:
        copies = Copies(warehouse, dataset, [item.sample_id for item in todo])
        _fill(reaching(storage, declaration), models, tables, declaration, shard, metrics, growing, todo, copies)
    for one in growing.values():
        if one.result.error:  # what was computed before is not lost
            one.keep()
            continue
        write_table(tables, dataset, shard, one, list(uris), {"samples_digest": digest})
        one.unfinished.clear()
    return {name: one.result for name, one in growing.items()}


def _fill(
    storage: Storage,
    models: "Models",
    tables: Tables,
    declaration: DatasetDeclaration,
    shard: str,
    metrics: Sequence[Metric],
    growing: Mapping[str, TableBuilder],
    todo: Sequence[Item],
    copies: Copies,
) -> None:
    """One pass, or one for each group of models that fit into memory together. A model that fails ends its own tables only."""
    needed = {m.name: m for m in metrics if any(m.name in item.metrics for item in todo)}
    for names in passes(models, needed.values()):
        with loaded_models(models, [needed[name] for name in names], tables) as (loaded, failed):
            for name, error in failed.items():
                growing[name].result.error = error
            left = names - failed.keys()
            items = [replace(item, metrics=item.metrics & left) for item in todo if item.metrics & left]
            if items:
                _pass(storage, loaded, declaration, shard, metrics, growing, items, copies)


def _pass(
    storage: Storage,
    loaded: "Mapping[str, Runner]",
    declaration: DatasetDeclaration,
    shard: str,
    metrics: Sequence[Metric],
    growing: Mapping[str, TableBuilder],
    todo: Sequence[Item],
    copies: Copies,
) -> None:
    dataset, medium = declaration.name, declaration.medium
    needed = {m.name: m for m in metrics if any(m.name in item.metrics for item in todo)}
    before = {name: model.usage for name, model in loaded.items()}
    cells_left = {item.sample_id: len(item.metrics) for item in todo}

    def keep() -> None:
        for part in growing.values():
            part.keep()

    with (
        track(f"{dataset} {shard}: {', '.join(sorted(needed))}", len(todo)) as advance,
        reading(storage, medium, todo, copies) as read,
        closing(one_pass(todo, needed, read, loaded, medium=medium, limits=declaration.limits)) as cells,
        told_when_stopped(dataset, shard, growing),
        Keeping(keep) as keeping,  # kept before the threads are waited for
    ):
        for cell in cells:
            one = growing[cell.metric]
            if isinstance(cell.result, ModelFailure):
                one.result.error = cell.result.reason
            else:
                with keeping.adding():
                    one.add(_cells(one, cell.sample_id, cell.result))
            cells_left[cell.sample_id] -= 1
            if cells_left[cell.sample_id] == 0:
                advance(1)
    for name, metric in needed.items():
        if metric.model:
            growing[name].result.model = loaded[metric.model].report(before[metric.model])


def _cells(one: TableBuilder, sample_id: str, result: "Row | MeasurementFailure") -> dict[str, Any]:
    failed = isinstance(result, MeasurementFailure)
    said: dict[str, Any] = {"reason": result.reason} if isinstance(result, MeasurementFailure) else dict(result)
    return said | {
        "sample_id": sample_id,
        "status": "failed" if failed else "ok",
        "metric_version": one.version,
        "computed_at": datetime.now(UTC),
    }


@contextmanager
def told_when_stopped(dataset: str, shard: str, growing: Mapping[str, TableBuilder]) -> Iterator[None]:
    """Work that is stopped tells how many rows are kept."""
    try:
        yield
    except BaseException:
        for name, one in growing.items():
            kept(f"{dataset}/{name} {shard}", one.result.computed)
        raise


def reading(
    storage: Storage, medium: Medium, todo: Sequence[Item], copies: Copies
) -> AbstractContextManager[Callable[[str], Content]]:
    """What gives these samples: those of a far source are fetched ahead."""
    read = reader(storage, medium, {item.uri: item.sample_id for item in todo}, copies)
    threads = fetching_threads(any(not is_local(item.uri) for item in todo))
    return nullcontext(read) if threads is None else ReadAhead(read, [item.uri for item in todo], threads)
