"""The steps of metric tables, and which of their shards are current.

Belongs here: the question that `arot run` and `arot status` ask of a metric table. The work is in ``build.py`` and ``rows.py``.
"""

from collections.abc import Mapping
from dataclasses import replace

from arot_assets.datasets.declaration import DatasetDeclaration
from arot_assets.datasets.samples import samples_version
from arot_assets.datasets.shards import footers_of, sharded_state
from arot_assets.datasets.steps import CONSERVATION, samples_path
from arot_assets.metrics.build import metric_versions
from arot_assets.metrics.children import is_conserved, own_tables
from arot_assets.metrics.metric import Metric
from arot_assets.metrics.registry import get_metric
from arot_assets.metrics.rows import row_versions, wanted_footer
from arot_assets.steps import Check, Key, Look, State, Step
from resources.models.entries import find_entry
from resources.tables import SAMPLES

VALUES_IN_RANGE = "values_in_range"


def metric_path(dataset: str, metric: str) -> Key:
    """The key of a metric table."""
    return (dataset, metric)


def metric_steps(declaration: DatasetDeclaration) -> list[Step]:
    """The metric tables of one dataset; those that see files and miss the same shards share a decode."""
    metrics = [get_metric(name) for name in declaration.metrics]
    own = [_own_step(declaration)] if declaration.medium.tables else []
    return own + [row_step(declaration.name, m) if m.rows is not None else _step(declaration, m) for m in metrics]


def _step(declaration: DatasetDeclaration, metric: Metric) -> Step:
    key = metric_path(declaration.name, metric.name)
    return Step(
        keys=(key,),
        upstream=(samples_path(declaration.name),),
        state=lambda look: metric_state(look, declaration, metric),
        dataset=declaration.name,
        together=f"{declaration.name}/metrics",
        retries=True,
        checks={key: (Check(CONSERVATION), *([Check(VALUES_IN_RANGE)] if has_ranges(metric) else ()))},
    )


def _own_step(declaration: DatasetDeclaration) -> Step:
    """The tables that the medium has by itself, which are built together."""
    tables = own_tables(declaration.medium)
    keys = tuple(metric_path(declaration.name, table.name) for table in tables)
    return Step(
        keys=keys,
        upstream=(samples_path(declaration.name),),
        state=lambda look: _own_state(look, declaration),
        dataset=declaration.name,
        together=f"{declaration.name}/metrics",
        retries=True,
        checks={
            key: tuple([Check(CONSERVATION)] * is_conserved(table) + [Check(VALUES_IN_RANGE)] * table.has_ranges)
            for key, table in zip(keys, tables, strict=True)
        },
    )


def _own_state(look: Look, declaration: DatasetDeclaration) -> State:
    """Which shards have all tables of the medium, of the samples that are there now; rows are those of the last."""
    tables = own_tables(declaration.medium)

    def wanted(shard: str) -> Mapping[str, str] | None:
        samples = footers_of(look, declaration.name, SAMPLES)
        of = samples[shard].strings if shard in samples else {}
        if of.get("samples_version") != samples_version(declaration):
            return None
        digest = of["samples_digest"]
        for table in tables[:-1]:
            footer = footers_of(look, declaration.name, table.name).get(shard)
            found = footer.strings if footer is not None else {}
            if (found.get("metric_version"), found.get("samples_digest")) != (table.version, digest):
                return None
        return {"metric_version": tables[-1].version, "samples_digest": digest}

    return sharded_state(look, declaration.name, tables[-1].name, wanted)


def with_weights(look: Look, metric: Metric, state: State) -> State:
    """The state, which waits if there is work and someone has to fetch the weights of the metric's model first."""
    if state.current or metric.model is None:
        return state
    remedy = look.resources.models.files.waits(find_entry(metric.model))
    return replace(state, waits=(*state.waits, f"the weights of {metric.model} (`{remedy}`)")) if remedy else state


def row_step(dataset: str, metric: Metric, *more: Key) -> Step:
    """The step of a table that is computed from other tables; those of the same tables read them once.

    Args:
        dataset: whose tables.
        metric: one with ``rows``.
        more: what it is made from beside those tables.
    """
    assert metric.rows is not None
    key = metric_path(dataset, metric.name)
    return Step(
        keys=(key,),
        upstream=(samples_path(dataset), *(metric_path(dataset, t) for t in metric.rows.tables if t != SAMPLES), *more),
        state=lambda look: row_state(look, dataset, metric),
        dataset=dataset,
        together=f"{dataset}/rows of {', '.join(metric.rows.tables)}",
        retries=True,
        checks={key: (Check(CONSERVATION), *([Check(VALUES_IN_RANGE)] if has_ranges(metric) else ()))},
    )


def row_state(look: Look, dataset: str, metric: Metric) -> State:
    """Which shards have a row of the metric's version for each sample, made from the rows that are there now."""
    takes = metric.rows
    assert takes is not None
    models = look.resources.models
    version = look.once(("row version", dataset, metric.name), lambda: row_versions([metric], models)[metric.name])

    def wanted(shard: str) -> Mapping[str, str] | None:
        def footer(table: str) -> Mapping[str, str] | None:
            found = footers_of(look, dataset, table).get(shard)
            return found.strings if found is not None else None

        return wanted_footer(footer, takes, version)

    return with_weights(look, metric, sharded_state(look, dataset, metric.name, wanted))


def has_ranges(metric: Metric) -> bool:
    """Whether a column declares the range of its values, so that there is something to check."""
    return any(column.low is not None or column.high is not None for column in metric.columns)


def metric_state(look: Look, declaration: DatasetDeclaration, metric: Metric) -> State:
    """Which shards have a row of the metric's version for each of their ok samples."""
    dataset, models, medium = declaration.name, look.resources.models, declaration.medium
    version = look.once(
        ("metric version", metric.name, medium.name), lambda: metric_versions([metric], models, medium)[metric.name]
    )
    samples, read = footers_of(look, dataset, SAMPLES), samples_version(declaration)

    def wanted(shard: str) -> Mapping[str, str] | None:
        footer = samples[shard].strings if shard in samples else {}
        if footer.get("samples_version") != read:
            return None
        return {"metric_version": version, "samples_digest": footer["samples_digest"]}

    return with_weights(look, metric, sharded_state(look, dataset, metric.name, wanted))
