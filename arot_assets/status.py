"""What is done and what is missing, table by table and shard by shard; reads footers and no row.

Belongs here: the comparison of declarations with the store, for ``arot status`` and ``arot run``. Does not belong here:
doing anything about it.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.scoring import wanted_footer
from arot_assets.datasets.declaration import DatasetDeclaration
from arot_assets.datasets.samples import FAILED, SAMPLES, samples_version
from arot_assets.metrics.build import LOST, metric_versions
from arot_assets.metrics.registry import get_metric
from arot_assets.reasons import OBJECT
from resources.defaults import Resources
from resources.tables import INVENTORY, TableRef
from resources.warehouse.views import files, literal, quote


@dataclass
class TableStatus:
    """One table over all shards of its dataset.

    Attributes:
        name: ``samples``, a metric's or a classifier's name.
        rows: rows in complete, current shards, of objects that are present.
        failed: rows among them that failed (of samples: not ok, duplicates apart).
        outside: column -> values outside the range that it declares.
        missing: shards without a complete table of the current version, in order.
        failing: shards with failed rows, also of objects that left, in order.
        done: number of shards that are not missing.
        lost: failed rows whose sample had a value of an earlier version.
    """

    name: str
    rows: int = 0
    failed: int = 0
    outside: Counter[str] = field(default_factory=Counter)
    missing: list[str] = field(default_factory=list)
    failing: list[str] = field(default_factory=list)
    done: int = 0
    lost: int = 0


@dataclass(frozen=True)
class DatasetStatus:
    """A dataset: its shards, and each of its tables.

    Attributes:
        dataset: its name.
        objects: state -> objects in the inventory; empty before the first inventory.
        shards: names in order.
        tables: by name, samples first.
    """

    dataset: str
    objects: Mapping[str, int]
    shards: tuple[str, ...]
    tables: Mapping[str, TableStatus]


def dataset_status(
    resources: Resources, dataset: DatasetDeclaration, classifiers: Mapping[str, ClassifierDeclaration]
) -> DatasetStatus:
    """Compare what is declared of a dataset with what is in the store."""
    tables = resources.tables
    objects, shards = _inventory(resources, dataset.name)
    result = {SAMPLES: TableStatus(SAMPLES)}
    digests: dict[str, str] = {}
    heads = tables.heads(dataset.name, SAMPLES)
    for shard in shards:
        footer = heads[shard].footer if shard in heads else {}
        if footer.get("samples_version") != samples_version(dataset):
            result[SAMPLES].missing.append(shard)
            continue
        digests[shard] = footer["samples_digest"]
        statuses = Counter(json.loads(footer["statuses"]))
        result[SAMPLES].done += 1
        result[SAMPLES].rows += sum(statuses.values())
        failed = sum(statuses[s] for s in FAILED)
        result[SAMPLES].failed += failed
        result[SAMPLES].failing += [shard] if failed else []
    for name, version in metric_versions([get_metric(m) for m in dataset.metrics], resources.models).items():
        wanted = {shard: {"metric_version": version, "samples_digest": digest} for shard, digest in digests.items()}
        result[name] = _metric_status(resources, dataset.name, name, wanted, shards)
    for name, classifier in classifiers.items():
        if classifier.dataset == dataset.name:
            scores = {shard: wanted_footer(tables, classifier, shard) for shard in digests}
            result[name] = _metric_status(resources, dataset.name, name, scores, shards)
    if objects.keys() - {"present"}:
        _count_present(resources, dataset.name, result)
    return DatasetStatus(dataset.name, objects, tuple(shards), result)


def failures_by_reason(resources: Resources, dataset: str, table: str) -> list[tuple[str, int]]:
    """Rows of present objects that failed, by reason without the object's name, most frequent first."""
    if not resources.tables.shards(dataset, table):
        return []
    with resources.warehouse.connect() as con:
        return con.execute(
            f"""select status || ': ' || regexp_replace(coalesce(reason, ''), {literal(OBJECT)}, '…', 'g'), count(*)
            from {quote(dataset)}.{quote(table)}
            where status not in ('ok', 'duplicate') group by 1 order by 2 desc, 1"""
        ).fetchall()


def _count_present(resources: Resources, dataset: str, tables: Mapping[str, TableStatus]) -> None:
    """Rows of objects that left, or were replaced, are in the files still, but in no view and in no count."""
    with resources.warehouse.connect() as con:
        for name, status in tables.items():
            if not status.done:
                continue
            counted = con.execute(
                f"""select count(*), count(*) filter (status not in ('ok', 'duplicate'))
                from {quote(dataset)}.{quote(name)}"""
            ).fetchone()
            status.rows, status.failed = counted or (0, 0)


def _metric_status(
    resources: Resources, dataset: str, name: str, wanted: Mapping[str, Mapping[str, str] | None], shards: list[str]
) -> TableStatus:
    """A shard is done when its footer says all that is wanted of it."""
    status = TableStatus(name)
    heads = resources.tables.heads(dataset, name)
    for shard in shards:
        head, expected = heads.get(shard), wanted.get(shard)
        if head is None or expected is None or any(head.footer.get(key) != value for key, value in expected.items()):
            status.missing.append(shard)
            continue
        status.done += 1
        status.rows += head.num_rows
        failed = int(head.footer.get("failed", "0"))
        status.failed += failed
        status.outside.update(json.loads(head.footer.get("outside", "{}")))
        status.failing += [shard] if failed else []
        status.lost += len(json.loads(head.footer.get(LOST, "[]")))
    return status


def _inventory(resources: Resources, dataset: str) -> tuple[dict[str, int], list[str]]:
    if not resources.tables.exists(TableRef(dataset, INVENTORY)):
        return {}, []
    source = files(resources.tables, dataset, INVENTORY)
    with resources.warehouse.connect_bare() as con:
        rows = con.execute(f"select state, shard, count(*) from {source} group by all order by all").fetchall()
    states: Counter[str] = Counter()
    for state, _, count in rows:
        states[state] += count
    return dict(states), sorted({shard for _, shard, _ in rows})
