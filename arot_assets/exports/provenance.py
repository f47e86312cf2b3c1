"""Where a subset comes from: its models, datasets, metric tables with their versions, and the models behind them.

Belongs here: looking that up. Does not belong here: how a card shows it (``card.py``).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from arot_assets.classifiers.entry import load_entry
from arot_assets.classifiers.promotion import ROOT, current
from arot_assets.datasets.inventory import COMMIT
from arot_assets.datasets.places import dataset_root
from arot_assets.exports.errors import ExportError
from arot_assets.exports.rows import added_descriptions
from arot_assets.local_paths import shown_source
from arot_assets.metrics.registry import get_metric, known_metrics
from arot_assets.subsets.describe import ModelColumn, ModelResult
from arot_assets.subsets.project import WIDE, Project
from arot_assets.subsets.runner import load_result, stale_models, waiting_models
from resources.models.entries import find_entry
from resources.tables import INVENTORY, SAMPLES, TableRef, Tables
from resources.warehouse import Warehouse


@dataclass(frozen=True)
class Source:
    """A dataset behind a subset.

    Attributes:
        dataset: its name.
        address: where its objects are, in a form that may be published.
        commit: the commit, if it is a repository on the Hub; empty for other sources.
    """

    dataset: str
    address: str
    commit: str


@dataclass(frozen=True)
class Table:
    """A metric table behind a subset.

    Attributes:
        name: ``dataset.table``.
        versions: ``metric_version`` of its rows.
        made_by: the model and its revision; empty if there is none.
    """

    name: str
    versions: tuple[str, ...]
    made_by: str


@dataclass(frozen=True)
class Provenance:
    """Everything behind a subset.

    Attributes:
        models: the SQL models, upstream first; the last is the subset.
        sources: datasets.
        tables: metric tables.
    """

    models: tuple[ModelResult, ...]
    sources: tuple[Source, ...]
    tables: tuple[Table, ...]

    @property
    def subset(self) -> ModelResult:
        """The subset itself."""
        return self.models[-1]


def require_current(project: Project, subset: str, tables: Tables, warehouse: Warehouse) -> None:
    """Make sure that what is published is what the SQL says now.

    Raises:
        ExportError: the subset is not built, or older than its inputs.
        ProjectError: there is no such model.
    """
    model = project.model(subset)
    if not model.is_subset:
        raise ExportError(f"model '{subset}' is not a subset; tag it as one: config(tags=['subset'])")
    waiting = waiting_models(project, warehouse).get(subset)
    if waiting:
        raise ExportError(
            f"subset '{subset}' is waiting for {', '.join(waiting)}; `arot run` of that dataset builds them"
        )
    if subset in stale_models(project, tables, warehouse):
        raise ExportError(f"subset '{subset}' is not built, or out of date; `arot run` of its dataset builds it")


def trace(datasets: Sequence[str], project: Project, subset: str, tables: Tables) -> Provenance:
    """Look up what a built subset comes from."""
    models = tuple(r for n in _with_upstream(project, subset) if (r := load_result(project, n, tables)) is not None)
    roots = {d: dataset_root(tables, d) for d in datasets}
    footers = {d: tables.footer(TableRef(d, INVENTORY)) for d in datasets}
    sources = tuple(Source(d, shown_source(root), footers[d].get(COMMIT, "")) for d, root in roots.items())
    read = {
        (found.schema, found.identifier)
        for model in models
        for found in (project.source(*s) for s in project.inputs(model.name)[1])
    }
    metrics = sorted(t for t in read if t[1] not in (SAMPLES, WIDE, "inventory"))
    return Provenance(models, sources, tuple(_table(tables, *t) for t in metrics))


def column_texts(provenance: Provenance) -> dict[str, str]:
    """The meaning of each column that can be published."""
    own = {c.name: _text(c) for c in provenance.subset.columns}
    return {**added_descriptions(), **own}


def _text(column: ModelColumn) -> str:
    is_uri = any((u.table, u.column) == (SAMPLES, "uri") for u in column.upstream or ())
    return f"{column.description}, relative to its source" if is_uri and column.description else column.description


def _with_upstream(project: Project, name: str) -> Iterator[str]:
    seen: set[str] = set()

    def visit(model: str) -> Iterator[str]:
        if model not in seen:
            seen.add(model)
            for ref in project.inputs(model)[0]:
                yield from visit(ref)
            yield model

    return visit(name)


def _table(tables: Tables, dataset: str, table: str) -> Table:
    footers = tables.footers(dataset, table).values()
    versions = tuple(sorted({h.strings.get("metric_version", "") for h in footers} - {""}))
    return Table(f"{dataset}.{table}", versions, _made_by(tables, table))


def _made_by(tables: Tables, table: str) -> str:
    if table in tables.list(ROOT):
        pointer = current(tables, table)
        if pointer is None:
            return "no promoted model"
        own = load_entry(tables, table, pointer.digest)
        trained_on = own.options.get("trained_on", "")
        return f"model {pointer.digest} of this project, on {' '.join(filter(None, (own.takes, trained_on)))}, {own.licence}"
    if table not in known_metrics():
        return ""
    model = get_metric(table).model
    if model is None:
        return "code, no model"
    entry = find_entry(model)
    return f"{entry.public_name}, revision {entry.weights.release}, {entry.licence}"
